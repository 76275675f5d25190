/* varz: see the header. */
#include "engine/admin/varz.h"

#include <unistd.h>

#include "engine/admin/jsontext.h"
#include "engine/admin/natstext.h"
#include "engine/admin/process.h"

#define CPU_LOOK_NS (NS_PER_S / 2) /* no share of so short a time is told */

/* Percent of one CPU since it was last asked for, or since the start. */
static double cpu_percent(struct reactor *reactor, uint64_t cpu_ns)
{
        struct cpu_share *share = &reactor->cpu_share;
        uint64_t now_ns = clock_monotonic_ns();
        if (share->asked_ns == 0)
                share->asked_ns = now_ns - (io_now_ns(reactor->io) - reactor->started_ns) - 1;
        if (now_ns - share->asked_ns >= CPU_LOOK_NS) {
                share->permille = (cpu_ns - share->cpu_ns) / ((now_ns - share->asked_ns) / 1000);
                share->asked_ns = now_ns;
                share->cpu_ns = cpu_ns;
        }
        return (double)share->permille / 10;
}

static uint16_t nats_port(const struct reactor *reactor)
{
        for (size_t i = 0; i < REACTOR_LISTENERS_MAX; i++)
                if (reactor->listeners[i] == &session_protocol && reactor->listener_ports[i] != 0)
                        return reactor->listener_ports[i];
        return 0;
}

static void add_whole(json_t *json, const char *name, uint64_t value)
{
        json_object_set_new(json, name, json_integer((json_int_t)value));
}

static void add_text(json_t *json, const char *name, const char *text)
{
        json_object_set_new(json, name, json_string(text));
}

/* The counters that nats-server has, too. */
static const struct {
        const char *name;
        enum counter_id id;
} counted[] = {
        {"connections", COUNT_CLIENTS},           {"total_connections", COUNT_CLIENTS_LET_IN},
        {"in_msgs", COUNT_EVENTS_RECEIVED},       {"out_msgs", COUNT_DELIVERIES_RELEASED},
        {"in_bytes", COUNT_EVENT_BYTES_RECEIVED}, {"out_bytes", COUNT_BYTES_SENT},
        {"slow_consumers", COUNT_CLOSED_SLOW},    {"subscriptions", COUNT_SUBSCRIPTIONS},
};

char *varz_write(struct reactor *reactor)
{
        const struct reactor_settings *settings = &reactor->settings;
        struct process_facts facts;
        char text[NATSTEXT_BYTES];
        uint64_t up_ns = io_now_ns(reactor->io) - reactor->started_ns;
        json_t *json = json_object();
        reactor_sample(reactor);
        process_look(&facts);
        add_text(json, "server_id", reactor->server_id);
        add_text(json, "server_name", reactor->server_name);
        add_text(json, "version", SPATE_VERSION);
        add_whole(json, "proto", 1);
        add_whole(json, "port", nats_port(reactor));
        add_whole(json, "max_connections", settings->conns_max);
        if (settings->subscriptions_max > 0)
                add_whole(json, "max_subscriptions", settings->subscriptions_max);
        add_whole(json, "ping_interval", settings->ping_interval_ns);
        add_whole(json, "ping_max", settings->pings_out_max);
        if (settings->auth != NULL)
                json_object_set_new(json, "auth_required", json_true());
        json_object_set_new(json, "auth_timeout", json_real((double)settings->auth_timeout_ns / 1e9));
        add_whole(json, "max_control_line", settings->nats.control_line_bytes_max);
        add_whole(json, "max_payload", settings->nats.payload_bytes_max);
        add_whole(json, "max_pending", settings->lag_bytes_max);
        add_whole(json, "write_deadline", settings->stall_ns_max);
        add_text(json, "start", natstext_time(text, reactor->started_unix_ns));
        add_text(json, "now", natstext_time(text, clock_read_ns(CLOCK_REALTIME)));
        add_text(json, "uptime", natstext_duration(text, up_ns));
        add_whole(json, "mem", facts.resident_bytes);
        add_whole(json, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
        json_object_set_new(json, "cpu", json_real(cpu_percent(reactor, facts.cpu_ns)));
        add_whole(json, "routes", 0);
        add_whole(json, "remotes", 0);
        add_whole(json, "leafnodes", 0);
        for (size_t i = 0; i < array_count(counted); i++)
                add_whole(json, counted[i].name, reactor_sum(reactor, counted[i].id));
        return jsontext_end(json);
}

char *varz_write_subsz(struct reactor *reactor)
{
        json_t *json = json_object();
        reactor_sample(reactor);
        add_whole(json, "num_subscriptions", reactor_sum(reactor, COUNT_SUBSCRIPTIONS));
        return jsontext_end(json);
}

char *varz_write_routez(struct reactor *reactor)
{
        char text[NATSTEXT_BYTES];
        json_t *json = json_object();
        add_text(json, "server_id", reactor->server_id);
        add_text(json, "now", natstext_time(text, clock_read_ns(CLOCK_REALTIME)));
        add_whole(json, "num_routes", 0);
        json_object_set_new(json, "routes", json_array());
        return jsontext_end(json);
}
