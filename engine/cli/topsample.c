/* topsample: from JSON to numbers. See the header. */
#include "engine/cli/topsample.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "io/wire/utf8.h"

/* ---- members ---- */

/* jansson's getters take what is not const, and change nothing. */
static json_t *member(const json_t *json, const char *name)
{
        return json_object_get(json, name);
}

static double number_of(const json_t *json)
{
        double value = json_is_number(json) ? json_number_value(json) : NAN;
        return value >= 0 ? value : NAN; /* nothing here can be below zero */
}

static double number(const json_t *json, const char *name)
{
        return number_of(member(json, name));
}

static void copy_text(char *out, size_t out_size, const json_t *json, const char *name)
{
        const json_t *text = member(json, name);
        struct span rest = json_is_string(text) ? span_of(json_string_value(text), json_string_length(text)) : SPAN("");
        size_t used = 0;
        while (rest.size > 0) {
                size_t size = utf8_sequence_size(rest);
                if (size == 0 || rest.bytes[0] == '\0' || used + size >= out_size)
                        break;
                memcpy(out + used, rest.bytes, size);
                used += size;
                rest = span_skip(rest, size);
        }
        out[used] = '\0';
}

#define TEXT(out, json, name) copy_text(out, sizeof(out), json, name)

static json_t *load(struct span json)
{
        json_error_t unused;
        return json_loadb((const char *)json.bytes, json.size, 0, &unused);
}

/* ---- /status ---- */

/* Counters are named "name" or "name{labels}"; one name's labels are added up. NAN: there is none. */
static double counter(const json_t *counters, const char *name)
{
        size_t size = strlen(name);
        double sum = NAN;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)counters, key, value)
        {
                if (strncmp(key, name, size) != 0 || (key[size] != '\0' && key[size] != '{'))
                        continue;
                sum = (isnan(sum) ? 0 : sum) + number_of(value);
                if (isnan(sum))
                        return NAN;
        }
        return sum;
}

static void read_reactor(struct topreactor *reactor, const json_t *json)
{
#define READ_FIELD(name) reactor->name = number(json, #name);
        TOP_REACTOR_TABLE(READ_FIELD)
#undef READ_FIELD
}

int topsample_status(struct topsample *sample, struct span text)
{
        json_t *status = load(text), *reactor;
        const json_t *counters = member(status, "counters");
        size_t i;
        *sample = (struct topsample){0};
        if (!json_is_object(counters)) {
                json_decref(status);
                return -EPROTO;
        }
        TEXT(sample->version, status, "version");
        TEXT(sample->server_id, status, "server_id");
        TEXT(sample->backend, member(status, "backend"), "name");
        sample->pid = number(status, "pid");
        sample->uptime_seconds = number(status, "uptime_seconds");
        sample->clock_seconds = number(status, "now_ns") / 1e9;
        if (isnan(sample->clock_seconds))
                sample->clock_seconds = sample->uptime_seconds;
        sample->is_draining = json_is_true(member(status, "draining"));
#define READ_TOTAL(name, counter_name) sample->totals.name = counter(counters, counter_name);
        TOP_TOTAL_TABLE(READ_TOTAL)
#undef READ_TOTAL
        for (enum loss loss = 0; loss < LOSSES; loss++) {
                char name[64];
                snprintf(name, sizeof name, "deliveries_dropped{reason=\"%s\"}", loss_name(loss));
                sample->dropped[loss] = number(counters, name);
        }
        sample->watermark = NAN;
        json_array_foreach(member(status, "reactors"), i, reactor)
        {
                if (sample->reactors_count == TOP_REACTORS_MAX)
                        break;
                struct topreactor *read = &sample->reactors[sample->reactors_count++];
                read_reactor(read, reactor);
                if (!(read->watermark <= sample->watermark))
                        sample->watermark = isnan(read->watermark) ? sample->watermark : read->watermark;
        }
        json_decref(status);
        return 0;
}

/* ---- lists ---- */

/* Calls `add` for each row of the list `name` of each reactor, or of the answer itself; false: there is no such list.
 */
static bool each_row(const json_t *answer, const char *name,
                     void (*add)(struct topsample *sample, const json_t *row, double reactor), struct topsample *sample)
{
        size_t i, j;
        json_t *reactor, *row;
        const json_t *flat = member(answer, name), *reactors = member(answer, "reactors");
        bool is_told = json_is_array(flat);
        json_array_foreach((json_t *)(uintptr_t)flat, i, row) add(sample, row, number(row, "reactor"));
        json_array_foreach((json_t *)(uintptr_t)reactors, i, reactor)
        {
                const json_t *rows = member(reactor, name);
                is_told |= json_is_array(rows);
                json_array_foreach((json_t *)(uintptr_t)rows, j, row) add(sample, row, number(reactor, "reactor"));
        }
        return is_told;
}

/* Where a row with this key belongs in `rows` of `size` bytes each, the largest key (a double at `offset`) first; the
 * rest has moved down. NULL: behind the last place. */
static void *place(void *rows, size_t *count, size_t size, size_t offset, double key)
{
        char *at = rows;
        size_t index = 0;
        for (; index < *count; index++) {
                double there;
                memcpy(&there, at + index * size + offset, sizeof there);
                if (key > there)
                        break;
        }
        if (index == TOP_ROWS_MAX)
                return NULL;
        if (*count < TOP_ROWS_MAX)
                ++*count;
        memmove(at + (index + 1) * size, at + index * size, (*count - 1 - index) * size);
        memset(at + index * size, 0, size);
        return at + index * size;
}

static void add_cohort(struct topsample *sample, const json_t *row, double reactor)
{
        double members = number(row, "members");
        struct topcohort *cohort = isnan(members) ? NULL
                                                  : place(sample->cohorts, &sample->cohorts_count, sizeof *cohort,
                                                          offsetof(struct topcohort, members), members);
        if (cohort == NULL)
                return;
        *cohort = (struct topcohort){
                .reactor = reactor,
                .members = members,
                .patterns_count = number(row, "patterns_count"),
                .stream_bytes = number(row, "stream_bytes"),
                .appended = number(row, "appended"),
                .lag_bytes = number(row, "lag_bytes"),
        };
        TEXT(cohort->pattern, row, "pattern");
}

static void add_laggard(struct topsample *sample, const json_t *row, double reactor)
{
        double pending = number(row, "pending_bytes");
        struct toplaggard *laggard = !(pending > 0) ? NULL
                                                    : place(sample->laggards, &sample->laggards_count, sizeof *laggard,
                                                            offsetof(struct toplaggard, pending_bytes), pending);
        if (laggard == NULL)
                return;
        *laggard = (struct toplaggard){
                .reactor = reactor,
                .connection = number(row, "connection"),
                .pending_bytes = pending,
                .subscriptions = number(row, "subscriptions"),
                .seconds_open = number(row, "seconds_open"),
                .owed = number(row, "matched"),
                .settled = number(row, "matched") - number(row, "pending"),
                .seconds_behind = NAN,
                .pending_per_second = NAN,
        };
        TEXT(laggard->name, row, "name");
        TEXT(laggard->user, row, "user");
        TEXT(laggard->address, row, "address");
}

/* The newest first: place() puts the largest key first, so the key is how long ago, negated, until all are in. */
static void add_loss(struct topsample *sample, const json_t *row, double reactor)
{
        double ago = number(row, "seconds_ago");
        struct toploss *loss = isnan(ago) ? NULL
                                          : place(sample->losses, &sample->losses_count, sizeof *loss,
                                                  offsetof(struct toploss, seconds_ago), -ago);
        (void)reactor;
        if (loss == NULL)
                return;
        *loss = (struct toploss){
                .seconds_ago = -ago, .count = number(row, "count"), .connection = number(row, "connection")};
        TEXT(loss->reason, row, "reason");
        TEXT(loss->name, row, "name");
        TEXT(loss->user, row, "user");
        TEXT(loss->address, row, "address");
        TEXT(loss->first_subject, row, "first_subject");
        TEXT(loss->last_subject, row, "last_subject");
}

void topsample_cohorts(struct topsample *sample, struct span json)
{
        json_t *answer = load(json);
        sample->has_cohorts = each_row(answer, "cohorts", add_cohort, sample);
        json_decref(answer);
}

void topsample_laggards(struct topsample *sample, struct span json)
{
        json_t *answer = load(json);
        sample->has_laggards = each_row(answer, "connections", add_laggard, sample);
        json_decref(answer);
}

void topsample_losses(struct topsample *sample, struct span json)
{
        json_t *answer = load(json);
        sample->has_losses = each_row(answer, "losses", add_loss, sample);
        for (size_t i = 0; i < sample->losses_count; i++)
                sample->losses[i].seconds_ago = fabs(sample->losses[i].seconds_ago);
        json_decref(answer);
}

/* ---- two samples ---- */

bool topsample_follows(const struct topsample *now, const struct topsample *before)
{
        return strcmp(now->server_id, before->server_id) == 0 && now->clock_seconds > before->clock_seconds &&
               !(now->uptime_seconds < before->uptime_seconds);
}

/* A counter that went back is not of the run before. */
static double rate(double now, double before, double seconds)
{
        double change = now - before;
        return change >= 0 && seconds > 0 ? change / seconds : NAN;
}

static double ratio(double part, double whole)
{
        return whole > 0 && part >= 0 ? part / whole : NAN;
}

static void follow_laggard(struct toplaggard *laggard, const struct topsample *before, double seconds)
{
        laggard->seconds_behind = 0; /* seen for the first time */
        for (size_t i = 0; i < before->laggards_count; i++) {
                const struct toplaggard *then = &before->laggards[i];
                bool is_same = then->connection == laggard->connection &&
                               (then->reactor == laggard->reactor || isnan(laggard->reactor)) &&
                               strcmp(then->address, laggard->address) == 0;
                if (!is_same)
                        continue;
                /* It has what it was waiting for then, and happens to wait again: a matter of this moment. */
                if (laggard->settled >= then->owed)
                        return;
                laggard->seconds_behind = (isnan(then->seconds_behind) ? 0 : then->seconds_behind) + seconds;
                laggard->pending_per_second = (laggard->pending_bytes - then->pending_bytes) / seconds;
                return;
        }
}

static const struct topreactor *find_reactor(const struct topsample *sample, double number)
{
        for (size_t i = 0; i < sample->reactors_count; i++)
                if (sample->reactors[i].number == number)
                        return &sample->reactors[i];
        return NULL;
}

void toprates_of(struct toprates *rates, struct topsample *now, const struct topsample *before)
{
        static const struct topsample nothing;
        bool is_known = before != NULL && topsample_follows(now, before);
        const struct topsample *then = is_known ? before : &nothing;
        double seconds = is_known ? now->clock_seconds - then->clock_seconds : NAN;
        *rates = (struct toprates){.seconds = seconds};
#define TOTAL_RATE(name, unused) rates->totals.name = rate(now->totals.name, then->totals.name, seconds);
        TOP_TOTAL_TABLE(TOTAL_RATE)
#undef TOTAL_RATE
        for (enum loss loss = 0; loss < LOSSES; loss++)
                rates->dropped[loss] = rate(now->dropped[loss], then->dropped[loss], seconds);
        rates->fan_out = ratio(rates->totals.deliveries_matched, rates->totals.events_received);
        rates->send_bytes = ratio(rates->totals.bytes_sent, rates->totals.sends);
        for (size_t i = 0; i < now->reactors_count; i++) {
                const struct topreactor *reactor = &now->reactors[i];
                const struct topreactor *old = is_known ? find_reactor(then, reactor->number) : NULL;
                double since = old == NULL ? NAN : seconds;
                old = old == NULL ? reactor : old;
#define REACTOR_RATE(name) rates->reactors[i].name = rate(reactor->name, old->name, since);
                TOP_REACTOR_TABLE(REACTOR_RATE)
#undef REACTOR_RATE
                double busy = rates->reactors[i].busy_ns / 1e9;
                rates->busy[i] = busy > 1 ? 1 : busy; /* the two clocks are read a moment apart */
        }
        for (size_t i = 0; is_known && i < now->laggards_count; i++)
                follow_laggard(&now->laggards[i], then, seconds);
}
