/* statusjson: see the header. */
#include "engine/admin/statusjson.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/admin/jsontext.h"

static json_t *backend_json(const struct reactor *reactor)
{
        const struct io_traits *traits = io_traits(reactor->io);
        size_t features_count;
        const struct io_feature *features = io_features(reactor->io, &features_count);
        json_t *rows = json_array();
        for (size_t i = 0; i < features_count; i++)
                json_array_append_new(rows, json_pack("{s:s,s:s,s:b,s:s}", "name", features[i].name, "kernel",
                                                      features[i].kernel, "present", features[i].present, "fallback",
                                                      features[i].fallback));
        return json_pack("{s:s,s:s,s:o}", "name", traits->name, "reason", traits->reason, "features", rows);
}

/* Of all reactors, by "name" or "name{labels}". */
static json_t *counters_json(const struct reactor *reactor)
{
        json_t *json = json_object();
        for (size_t id = 0; id < COUNTERS_COUNT; id++) {
                const struct counter_row *row = &counter_rows[id];
                char name[128];
                snprintf(name, sizeof name, row->labels[0] != '\0' ? "%s{%s}" : "%s", row->name, row->labels);
                json_object_set_new(json, name, json_integer((json_int_t)reactor_sum(reactor, id)));
        }
        return json;
}

/* What a viewer wants of one reactor. */
static const struct {
        const char *name;
        enum counter_id id;
} reactor_fields[] = {
        {"connections", COUNT_CONNECTIONS},
        {"subscriptions", COUNT_SUBSCRIPTIONS},
        {"cohorts", COUNT_COHORTS},
        {"cohort_members", COUNT_COHORT_MEMBERS},
        {"events_received", COUNT_EVENTS_RECEIVED},
        {"event_bytes_received", COUNT_EVENT_BYTES_RECEIVED},
        {"deliveries_matched", COUNT_DELIVERIES_MATCHED},
        {"deliveries_released", COUNT_DELIVERIES_RELEASED},
        {"deliveries_pending", COUNT_DELIVERIES_PENDING},
        {"bytes_sent", COUNT_BYTES_SENT},
        {"bytes_received", COUNT_BYTES_RECEIVED},
        {"turns", COUNT_TURNS},
        {"memory_used_bytes", COUNT_STREAM_BYTES},
        {"memory_limit_bytes", COUNT_STREAM_BYTES_MAX},
        {"watermark", COUNT_WATERMARK},
        {"publishers_held", COUNT_PUBLISHERS_HELD},
};

static json_t *reactor_json(const struct reactor *reactor)
{
        const struct counters *counters = &reactor->counters;
        struct pulse_times times = pulse_times(&reactor->pulse);
        uint64_t dropped = 0;
        for (int i = 0; i < LOSSES; i++)
                dropped += counter_read(counters, COUNT_DROPPED(i));
        json_t *json = json_object();
        json_object_set_new(json, "number", json_integer(reactor->settings.number));
        json_object_set_new(json, "cpu", reactor->settings.cpu < 0 ? json_null() : json_integer(reactor->settings.cpu));
        for (size_t i = 0; i < array_count(reactor_fields); i++)
                json_object_set_new(json, reactor_fields[i].name,
                                    json_integer((json_int_t)counter_read(counters, reactor_fields[i].id)));
        json_object_set_new(json, "deliveries_dropped", json_integer((json_int_t)dropped));
        json_object_set_new(json, "busy_ns", json_integer((json_int_t)times.busy_ns));
        json_object_set_new(json, "cpu_ns", json_integer((json_int_t)times.cpu_ns));
        return json;
}

char *statusjson_write(struct reactor *reactor)
{
        const struct cores *cores = reactor->cores;
        reactor_sample(reactor);
        json_t *reactors = json_array();
        for (unsigned i = 0; i < cores->count; i++)
                json_array_append_new(reactors, reactor_json(cores->core[i].reactor));
        uint64_t now_ns = io_now_ns(reactor->io), up_ns = now_ns - reactor->started_ns;
        const char *file = reactor->settings.file;
        json_t *json = json_object();
        json_object_set_new(json, "version", json_string(SPATE_VERSION));
        json_object_set_new(json, "server_id", json_string(reactor->server_id));
        json_object_set_new(json, "pid", json_integer(getpid()));
        json_object_set_new(json, "started_unix_ns", json_integer((json_int_t)reactor->started_unix_ns));
        json_object_set_new(json, "now_ns", json_integer((json_int_t)now_ns));
        json_object_set_new(json, "uptime_seconds", json_real((double)(up_ns / NS_PER_MS) / 1e3));
        json_object_set_new(json, "draining", json_boolean(reactor->is_stopping));
        json_object_set_new(json, "file", file == NULL ? json_null() : jsontext_string(span_of_text(file), false));
        json_object_set_new(json, "backend", backend_json(reactor));
        json_object_set_new(json, "counters", counters_json(reactor));
        json_object_set_new(json, "reactors", reactors);
        return jsontext_end(json);
}
