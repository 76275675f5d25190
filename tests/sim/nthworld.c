/* nthworld: see the header. */
#include "tests/sim/nthworld.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/access/auth.h"
#include "tests/fault/callfaults.h"

#define NEVER UINT32_MAX
#define LISTENERS_EACH 16u
#define ASKER_INPUT_BYTES (1u << 20)
#define TURN_NS (200 * NS_PER_US)
#define MUTE_TURNS 40

static const char *replay = "";
static const struct world *telling; /* what a failure shows */

void world_set_replay(const char *words)
{
        replay = words;
}

/* What the engine and the clients say of themselves, beside a failure. */
static void dump_world(const struct world *world)
{
        for (size_t r = 0; world != NULL && r < WORLD_REACTORS && world->reactors[r] != NULL; r++)
                for (enum counter_id id = 0; id < COUNTERS_COUNT; id++)
                        if (counter_read(&world->reactors[r]->counters, id) != 0)
                                fprintf(stderr, "  reactor %zu: %s{%s} %llu\n", r, counter_rows[id].name,
                                        counter_rows[id].labels,
                                        (unsigned long long)counter_read(&world->reactors[r]->counters, id));
        for (size_t i = 0; world != NULL && i < world->clients_count; i++) {
                const struct world_client *client = &world->clients[i];
                fprintf(stderr,
                        "  client %zu on reactor %u: %u of %u pongs, %u events, %u refusals, %zu bytes half "
                        "heard%s%s%s%s\n",
                        i, client->reactor, client->pongs, client->pings, client->events_heard, client->refusals,
                        client->input_bytes, client->traits & CLIENT_VERBOSE ? ", verbose" : "",
                        client->traits & CLIENT_DEAF ? ", deaf" : "", client->is_leaving ? ", leaving" : "",
                        client->is_over ? ", over" : "");
        }
        for (size_t i = 0; world != NULL && i < world->events_count && world->events_count < 60; i++) {
                const struct world_event *event = &world->events[i];
                fprintf(stderr, "  event %zu: %s by client %u, written at %u, taken at %d, got by %u%s%s\n", i,
                        event->subject, event->publisher, event->written_step, (int)event->taken_step, event->got,
                        event->is_asking ? ", asks" : "", event->is_unanswered ? ", 503" : "");
        }
}

void world_fail(const char *file, int line, const char *format, ...)
{
        va_list arguments;
        faults_disarm();
        fprintf(stderr, "%s: ", replay);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, " (%s:%d)\n", file, line);
        replay = ""; /* said */
        dump_world(telling);
        abort();
}

/* ---- start and end ---- */

static void begin_strike(const struct world *world)
{
        if (world->is_striking)
                faults_arm();
}

static struct io *network;           /* that io_start() joins */
static unsigned next_reactor;        /* whose io_start() is next */
static struct world *breaking_world; /* whose connections break */

static void break_connection(void *context, struct io *io, io_id id)
{
        struct world *world = context;
        for (size_t i = 0; i < world->clients_count; i++)
                if (sim_peer_io(world->clients[i].peer) == io && sim_peer_id(world->clients[i].peer) == id)
                        sim_peer_reset(world->clients[i].peer);
        for (size_t i = 0; i < world->askers_count; i++)
                if (sim_peer_io(world->askers[i].peer) == io && sim_peer_id(world->askers[i].peer) == id)
                        sim_peer_reset(world->askers[i].peer);
}

/* What a reactor starts: its place on the simulated network. */
extern int __real_io_start(struct io **io, const struct io_settings *settings);
int __wrap_io_start(struct io **io, const struct io_settings *settings);

int __wrap_io_start(struct io **io, const struct io_settings *settings)
{
        if (settings->backend != IO_BACKEND_SIM)
                return __real_io_start(io, settings);
        *io = NULL;
        if (faults_strike(FAULT_START))
                return -ENOMEM;
        bool was_armed = faults_pause();
        struct sim_settings sim = sim_settings_calm(1, SIM_KERNEL);
        int failed = network == NULL ? sim_start(io, settings, &sim) : sim_join(io, network, settings);
        world_must(failed == 0, "the simulation has no memory");
        network = network == NULL ? *io : network;
        callfaults_enter(*io, LISTENERS_EACH * next_reactor, break_connection, breaking_world);
        faults_resume(was_armed);
        return 0;
}

static char users_path[] = "/tmp/spate-nth-XXXXXX";
static bool has_users_path;

static void remove_users(void)
{
        unlink(users_path);
}

static void write_users(const char *users)
{
        bool was_armed = faults_pause();
        if (!has_users_path) {
                int file = mkstemp(users_path);
                world_must(file >= 0, "no file for users");
                close(file);
                atexit(remove_users);
                has_users_path = true;
        }
        FILE *file = fopen(users_path, "w");
        world_must(file != NULL, "no file for users");
        fputs(users, file);
        fclose(file);
        faults_resume(was_armed);
}

/* Virtual time, as the reactors have it. */
static uint64_t auth_now_ns(void)
{
        return network == NULL ? 1 : io_clock_ns(network);
}

static int start_auth(struct world *world)
{
        static const char *const listeners[] = {"10.0.0.1:4222"};
        struct auth_settings settings = {.path = users_path,
                                         .listeners = listeners,
                                         .listeners_count = array_count(listeners),
                                         .reactors_count = WORLD_REACTORS,
                                         .timeout_ns = 2 * NS_PER_S,
                                         .now_ns = auth_now_ns,
                                         .is_inline = true};
        char error[OPTIONS_ERROR_BYTES] = "";
        if (world->settings.users == NULL)
                return 0;
        write_users(world->settings.users);
        int failed = auth_new(&world->auth, &settings, error);
        world_must((failed == 0) == (error[0] == '\0'), "auth_new: %d, and \"%s\"", failed, error);
        return failed;
}

static struct reactor_settings reactor_settings_of(const struct world *world)
{
        struct reactor_settings settings = {
                .io = {.backend = IO_BACKEND_SIM},
                .memory_bytes = world->settings.memory_bytes,
                .lag_bytes_max = 128 << 10,
                .stall_ns_max = world->settings.stall_ns_max,
                .handshake_ns = 100 * NS_PER_S,
                .quiet_ns = NS_PER_MS,
                .ping_interval_ns = 1000 * NS_PER_S,
                .pings_out_max = 3,
                .conns_max = world->settings.conns_max,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
                .lag = world->settings.lag_rules == NULL ? NULL : &world->lag,
                .block_ns = 20 * NS_PER_MS,
                .auth = world->auth,
                .auth_timeout_ns = NS_PER_S,
                .edition = 1,
        };
        return settings;
}

static int start_engine(struct world *world)
{
        struct cores_settings cores = {.count = WORLD_REACTORS,
                                       .mailbox_bytes = world->settings.mailbox_bytes,
                                       .patterns_max = 5000,
                                       .secret = "a secret of 16b"};
        char bound[IO_ADDRESS_BYTES_MAX];
        int failed = start_auth(world);
        if (failed == 0)
                failed = cores_new(&world->cores, &cores);
        world->reactor_settings = reactor_settings_of(world);
        for (unsigned i = 0; failed == 0 && i < WORLD_REACTORS; i++) {
                char address[32];
                struct reactor_settings settings = world->reactor_settings;
                settings.number = i;
                settings.seed = 7 + i * 1000003;
                next_reactor = i;
                epoch_register();
                failed = reactor_new(&world->reactors[i], &settings, world->cores, NULL);
                if (failed != 0) {
                        epoch_unregister();
                        break;
                }
                snprintf(address, sizeof address, "10.0.0.%u:4222", i + 1);
                failed = reactor_listen(world->reactors[i], address, &session_protocol, bound);
                if (failed == 0 && i == 0)
                        failed = reactor_listen(world->reactors[0], "10.0.0.1:8222", &admin_protocol, bound);
                world->readers[i] = epoch_switch(NULL);
        }
        return failed;
}

static void stop_engine(struct world *world)
{
        auth_stop(world->auth);
        for (size_t i = WORLD_REACTORS; i-- > 0;) {
                if (world->reactors[i] == NULL)
                        continue;
                epoch_switch(world->readers[i]);
                reactor_free(world->reactors[i]);
                world->reactors[i] = NULL;
                epoch_unregister();
        }
        auth_free(world->auth);
        cores_free(world->cores);
        world->auth = NULL;
        world->cores = NULL;
        network = NULL;
}

static bool is_warm;

void world_count_memory(bool is_counted)
{
        is_warm = is_counted;
}

static void must_be_back(const struct world *world)
{
        if (!is_warm)
                return;
        long blocks = faults_heap_blocks() - world->heap_blocks;
        long bytes = faults_mapped_bytes() - world->mapped_bytes;
        /* libyaml 0.2.5 forgets the pairs of a mapping, or the items of a sequence, that it finds no room for. */
        long forgotten = faults_struck_in("libyaml");
        world_must(blocks >= 0 && blocks <= forgotten, "%ld blocks of the heap are left", blocks);
        world_must(bytes == 0, "%ld bytes are left mapped", bytes);
}

int world_start(struct world *world, const struct world_settings *settings, bool is_struck)
{
        memset(world, 0, offsetof(struct world, clients));
        world->clients_count = world->askers_count = world->subscriptions_count = world->events_count = 0;
        world->settings = *settings;
        breaking_world = world;
        telling = world;
        world->heap_blocks = faults_heap_blocks();
        world->mapped_bytes = faults_mapped_bytes();
        if (settings->lag_rules != NULL) {
                char error[OPTIONS_ERROR_BYTES];
                struct lag lag = {.policy = LAG_DISCONNECT, .limit_bytes = 128 << 10};
                world_must(lag_rules_init(&world->lag, lag, 128 << 10, settings->lag_rules, "", error) == 0, "%s",
                           error);
        }
        world->is_striking = is_struck;
        begin_strike(world);
        int failed = start_engine(world);
        faults_disarm();
        world->is_striking = false;
        if (failed != 0) {
                stop_engine(world);
                must_be_back(world);
                return failed;
        }
        world->io = network;
        return 0;
}

void world_stop(struct world *world)
{
        stop_engine(world);
        for (size_t i = 0; i < world->askers_count; i++)
                free(world->askers[i].input);
        must_be_back(world);
}

/* ---- what clients say ---- */

static void say(struct world_client *client, const char *text)
{
        if (!client->is_over && !client->is_leaving)
                sim_peer_write(client->peer, span_of_text(text));
}

/* Its +OK, or an -ERR, is to come. */
static void expect_answer(struct world_client *client, uint32_t what)
{
        if ((client->traits & CLIENT_VERBOSE) == 0)
                return;
        world_must(client->waiting_end < array_count(client->waiting), "too many answers are waited for");
        client->waiting[client->waiting_end++] = what;
}

void world_ping(struct world *world, size_t index)
{
        struct world_client *client = &world->clients[index];
        if (client->is_over || client->is_leaving)
                return;
        client->pings++;
        say(client, "PING\r\n");
}

size_t world_connect(struct world *world, unsigned reactor, unsigned traits, const char *user)
{
        world_must(world->clients_count < WORLD_CLIENTS_MAX, "too many clients");
        size_t index = world->clients_count++;
        struct world_client *client = &world->clients[index];
        char line[300], login[100] = "";
        memset(client, 0, sizeof *client);
        client->reactor = reactor;
        client->traits = traits;
        client->user = user;
        client->peer = sim_connect(world->io, LISTENERS_EACH * reactor);
        if (user != NULL && strcmp(user, "alice") == 0)
                snprintf(login, sizeof login, ",\"user\":\"%s\",\"pass\":\"wonder\"", user);
        else if (user != NULL)
                snprintf(login, sizeof login, ",\"auth_token\":\"token-of-%s\"", user);
        snprintf(line, sizeof line,
                 "CONNECT {\"verbose\":%s,\"pedantic\":false,\"echo\":%s,\"headers\":%s,\"no_responders\":%s,"
                 "\"protocol\":1%s}\r\n",
                 traits & CLIENT_VERBOSE ? "true" : "false", traits & CLIENT_DEAF ? "false" : "true",
                 traits & CLIENT_ASKS ? "true" : "false", traits & CLIENT_ASKS ? "true" : "false", login);
        say(client, line);
        expect_answer(client, 0);
        if (traits & CLIENT_ASKS) {
                char inbox[32];
                snprintf(inbox, sizeof inbox, "_INBOX.c%zu.*", index);
                world_subscribe(world, index, inbox, "");
        }
        world_ping(world, index);
        return index;
}

size_t world_subscribe(struct world *world, size_t index, const char *pattern, const char *group)
{
        struct world_client *client = &world->clients[index];
        char line[128];
        world_must(world->subscriptions_count < WORLD_SUBSCRIPTIONS_MAX, "too many subscriptions");
        size_t number = world->subscriptions_count++;
        struct world_subscription *subscription = &world->subscriptions[number];
        memset(subscription, 0, sizeof *subscription);
        subscription->client = (uint16_t)index;
        subscription->stands_step = subscription->end_step = NEVER;
        subscription->ping = client->pings;
        snprintf(subscription->pattern, sizeof subscription->pattern, "%s", pattern);
        snprintf(subscription->group, sizeof subscription->group, "%s", group);
        snprintf(line, sizeof line, "SUB %s %s%s%zu\r\n", pattern, group, group[0] == '\0' ? "" : " ", number);
        say(client, line);
        expect_answer(client, (uint32_t)number + 1);
        return number;
}

void world_unsubscribe(struct world *world, size_t number, uint32_t max)
{
        struct world_subscription *subscription = &world->subscriptions[number];
        struct world_client *client = &world->clients[subscription->client];
        char line[64];
        if (max > 0) {
                snprintf(line, sizeof line, "UNSUB %zu %u\r\n", number, max);
                subscription->max = max;
                subscription->max_ping = client->pings;
        } else {
                snprintf(line, sizeof line, "UNSUB %zu\r\n", number);
                subscription->end_step = world->step;
        }
        say(client, line);
        expect_answer(client, 0);
}

static uint8_t body_byte(uint32_t event, uint32_t i)
{
        return (uint8_t)(((event * 2654435761u) ^ (i * 2246822519u)) >> 13);
}

size_t world_publish(struct world *world, size_t index, const char *subject, uint32_t size, bool is_asking)
{
        static uint8_t body[200000];
        struct world_client *client = &world->clients[index];
        char line[128], reply[48] = "";
        world_must(world->events_count < WORLD_EVENTS_MAX, "too many events");
        size_t number = world->events_count++;
        struct world_event *event = &world->events[number];
        size = size < 4 ? 4 : size;
        *event = (struct world_event){.publisher = (uint16_t)index,
                                      .is_asking = is_asking,
                                      .number = client->next_number++,
                                      .size = size,
                                      .ping = client->pings,
                                      .written_step = world->step,
                                      .taken_step = NEVER};
        snprintf(event->subject, sizeof event->subject, "%s", subject);
        if (is_asking)
                snprintf(reply, sizeof reply, "_INBOX.c%zu.%zu ", index, number);
        for (uint32_t i = 4; i < size; i++)
                body[i] = body_byte((uint32_t)number, i);
        uint32_t id = (uint32_t)number;
        memcpy(body, &id, 4);
        snprintf(line, sizeof line, "PUB %s %s%u\r\n", subject, reply, size);
        if (client->is_over || client->is_leaving)
                return number;
        say(client, line);
        sim_peer_write(client->peer, span_of(body, size));
        say(client, "\r\n");
        expect_answer(client, 0);
        return number;
}

void world_leave(struct world *world, size_t index, bool is_reset)
{
        struct world_client *client = &world->clients[index];
        if (client->is_over || client->is_leaving)
                return;
        client->is_leaving = world->has_leavers = true;
        if (is_reset)
                sim_peer_reset(client->peer);
        else
                sim_peer_shutdown(client->peer);
}

/* ---- what clients hear ---- */

static bool pattern_matches(const char *pattern, const char *subject)
{
        for (;; pattern++, subject++) {
                if (pattern[0] == '>')
                        return *subject != '\0';
                if (pattern[0] == '*') {
                        while (*subject != '.' && *subject != '\0')
                                subject++;
                        pattern++;
                }
                if (*pattern != *subject)
                        return false;
                if (*pattern == '\0')
                        return true;
        }
}

static bool has_had(const struct world_subscription *subscription, size_t event)
{
        return subscription->had[event / 64] >> event % 64 & 1;
}

static void hear_event(struct world *world, size_t index, const char *subject, const char *reply, size_t sid,
                       const uint8_t *body, size_t size)
{
        uint32_t id;
        char asked[48] = "";
        world_must(sid < world->subscriptions_count && world->subscriptions[sid].client == index,
                   "client %zu got sid %zu", index, sid);
        struct world_subscription *subscription = &world->subscriptions[sid];
        world_must(size >= 4, "client %zu got %zu bytes", index, size);
        memcpy(&id, body, 4);
        world_must(id < world->events_count, "client %zu got event %u", index, id);
        struct world_event *event = &world->events[id];
        world_must(size == event->size, "event %u came with %zu of %u bytes", id, size, event->size);
        for (uint32_t i = 4; i < size; i++)
                world_must(body[i] == body_byte(id, i), "event %u has a wrong byte at %u", id, i);
        world_must(strcmp(subject, event->subject) == 0, "event %u came as %s", id, subject);
        if (event->is_asking)
                snprintf(asked, sizeof asked, "_INBOX.c%u.%u", event->publisher, id);
        world_must(strcmp(reply, asked) == 0, "event %u came with reply \"%s\"", id, reply);
        world_must(pattern_matches(subscription->pattern, subject), "%s came for %s", subject, subscription->pattern);
        world_must(subscription->state != SUB_REFUSED, "sid %zu of client %zu was refused, and got event %u", sid,
                   index, id);
        world_must(!has_had(subscription, id), "event %u came twice to sid %zu of client %zu", id, sid, index);
        world_must((world->clients[index].traits & CLIENT_DEAF) == 0 || event->publisher != index,
                   "client %zu hears itself", index);
        world_must(subscription->last[event->publisher] <= event->number || subscription->group[0] != '\0',
                   "event %u came to sid %zu behind a later one of its publisher", id, sid);
        subscription->last[event->publisher] = event->number + 1;
        subscription->had[id / 64] |= (uint64_t)1 << id % 64;
        subscription->got++;
        world_must(!subscription->is_limited || subscription->got <= subscription->max, "sid %zu got more than its %u",
                   sid, subscription->max);
        event->got++;
        world->clients[index].events_heard++;
}

static const enum loss lag_reasons[WORLD_LAG_REASONS] = {LOSS_LAG_SKIP, LOSS_CONFLATED, LOSS_MEMORY_SHED};

/* What a client that lags is told of what it missed: the sum of each reason, again where it may not have heard it. */
static void hear_lag(struct world *world, size_t index, const uint8_t *body, size_t size)
{
        char text[200], reason[32] = "";
        unsigned skipped, total;
        snprintf(text, sizeof text, "%.*s", (int)size, (const char *)body);
        int words = sscanf(text, "{\"type\":\"lagged\",\"skipped\":%u,\"reason\":\"%31[a-z_]\",\"total\":%u}", &skipped,
                           reason, &total);
        size_t i = 0;
        while (i < WORLD_LAG_REASONS && strcmp(loss_name(lag_reasons[i]), reason) != 0)
                i++;
        world_must(words == 3 && i < WORLD_LAG_REASONS, "client %zu was told %s", index, text);
        uint32_t *told = &world->clients[index].lag_totals[i];
        world_must(total >= *told && total >= skipped, "client %zu was told %s behind a total of %u", index, text,
                   *told);
        *told = total;
}

static void hear_unanswered(struct world *world, size_t index, const char *subject)
{
        unsigned asker, id;
        world_must(sscanf(subject, "_INBOX.c%u.%u", &asker, &id) == 2 && id < world->events_count && asker == index,
                   "client %zu got a 503 as %s", index, subject);
        struct world_event *event = &world->events[id];
        world_must(event->is_asking && !event->is_unanswered && event->publisher == index,
                   "a 503 too many for event %u", id);
        event->is_unanswered = true;
}

/* "MSG subject sid [reply] bytes", "HMSG subject sid [reply] head bytes"; 0: it is not whole. */
static size_t hear_delivery(struct world *world, size_t index, char *line, const uint8_t *body, size_t size)
{
        char *words[7] = {NULL}, *rest = line, *word;
        size_t count = 0;
        while (count < array_count(words) && (word = strsep(&rest, " ")) != NULL)
                words[count++] = word;
        bool is_headed = strcmp(words[0], "HMSG") == 0;
        size_t plain = is_headed ? 5 : 4;
        world_must((is_headed || strcmp(words[0], "MSG") == 0) && (count == plain || count == plain + 1),
                   "client %zu got %s", index, words[0]);
        size_t total = strtoul(words[count - 1], NULL, 10);
        if (size < total + 2)
                return 0;
        if (is_headed) {
                world_must(total == 16 && memcmp(body, "NATS/1.0 503", 12) == 0, "client %zu got strange headers",
                           index);
                hear_unanswered(world, index, words[1]);
        } else if (strcmp(words[1], SESSION_LAG_SUBJECT) == 0) {
                hear_lag(world, index, body, total);
        } else {
                hear_event(world, index, words[1], count > plain ? words[3] : "", strtoul(words[2], NULL, 10), body,
                           total);
        }
        return total + 2;
}

static void stand(struct world *world, struct world_subscription *subscription)
{
        if (subscription->state != SUB_ASKED)
                return;
        subscription->state = SUB_STANDS;
        subscription->stands_step = world->step;
}

static void hear_pong(struct world *world, size_t index)
{
        struct world_client *client = &world->clients[index];
        uint32_t ping = client->pongs++;
        world_must(client->pongs <= client->pings, "client %zu got a PONG too many", index);
        for (size_t i = 0; i < world->events_count; i++) {
                struct world_event *event = &world->events[i];
                if (event->publisher == index && !event->is_taken && event->ping <= ping) {
                        event->is_taken = true;
                        event->taken_step = world->step;
                }
        }
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                struct world_subscription *subscription = &world->subscriptions[i];
                if (subscription->client != index)
                        continue;
                if (subscription->max > 0 && !subscription->is_limited && subscription->max_ping <= ping) {
                        subscription->is_limited = true;
                        /* More may have come before the limit was known. */
                        if (subscription->max < subscription->got)
                                subscription->max = subscription->got;
                }
                if (subscription->state != SUB_ASKED || subscription->ping > ping)
                        continue;
                if (client->refusals > 0)
                        subscription->state = SUB_UNSURE; /* one of them has been refused */
                else
                        stand(world, subscription);
        }
}

/* The answer to the oldest thing that a verbose client waits for. */
static void hear_answer_of(struct world *world, size_t index, bool is_refused)
{
        struct world_client *client = &world->clients[index];
        world_must(client->waiting_first < client->waiting_end, "client %zu got an answer that it did not wait for",
                   index);
        uint32_t what = client->waiting[client->waiting_first++];
        if (what == 0)
                return;
        struct world_subscription *subscription = &world->subscriptions[what - 1];
        if (is_refused)
                subscription->state = SUB_REFUSED;
        else
                stand(world, subscription);
}

/* What comes unasked, when the users have changed: one of those with this pattern is gone. */
static bool hear_revoked(struct world *world, size_t index, const char *line)
{
        static const char head[] = "-ERR 'Permissions Violation for Subscription to \"";
        if (strncmp(line, head, sizeof head - 1) != 0)
                return false;
        char pattern[48];
        snprintf(pattern, sizeof pattern, "%.*s", (int)strcspn(line + sizeof head - 1, "\""), line + sizeof head - 1);
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                struct world_subscription *subscription = &world->subscriptions[i];
                if (subscription->client != index || strcmp(subscription->pattern, pattern) != 0 ||
                    subscription->state == SUB_REFUSED || subscription->state == SUB_ENDED)
                        continue;
                if (subscription->state == SUB_ASKED)
                        return false; /* an answer, then */
                subscription->state = SUB_ENDED;
                return true;
        }
        return false;
}

static void hear_error(struct world *world, size_t index, const char *line)
{
        struct world_client *client = &world->clients[index];
        bool is_subscription = strcmp(line, "-ERR 'maximum subscriptions exceeded'") == 0 ||
                               strncmp(line, "-ERR 'Permissions Violation", 27) == 0;
        if (hear_revoked(world, index, line))
                return;
        world_must(is_subscription || world->harm_max >= HARM_CLOSED, "client %zu got %s", index, line);
        if (!is_subscription)
                return; /* its end follows */
        world_must(world->harm_max >= HARM_REFUSED, "client %zu got %s", index, line);
        if (client->traits & CLIENT_VERBOSE)
                hear_answer_of(world, index, true);
        else
                client->refusals++;
}

/* One operation; 0: it is not whole. */
static size_t hear_one(struct world *world, size_t index, uint8_t *input, size_t size)
{
        const uint8_t *end = memchr(input, '\n', size);
        char line[256];
        if (end == NULL)
                return 0;
        size_t line_bytes = (size_t)(end - input) + 1;
        snprintf(line, sizeof line, "%.*s", (int)(line_bytes - 2 < 250 ? line_bytes - 2 : 250), (char *)input);
        if (strcmp(line, "PONG") == 0) {
                hear_pong(world, index);
        } else if (strcmp(line, "+OK") == 0) {
                hear_answer_of(world, index, false);
        } else if (strcmp(line, "PING") == 0) {
                say(&world->clients[index], "PONG\r\n");
        } else if (strncmp(line, "-ERR", 4) == 0) {
                hear_error(world, index, line);
        } else if (strncmp(line, "INFO ", 5) != 0) {
                size_t body = hear_delivery(world, index, line, input + line_bytes, size - line_bytes);
                return body == 0 ? 0 : line_bytes + body;
        }
        return line_bytes;
}

static void hear(struct world *world, size_t index)
{
        struct world_client *client = &world->clients[index];
        size_t got;
        while ((got = sim_peer_read(client->peer, client->input + client->input_bytes,
                                    sizeof client->input - client->input_bytes)) > 0) {
                size_t taken = 0, one;
                client->input_bytes += got;
                while (taken < client->input_bytes &&
                       (one = hear_one(world, index, client->input + taken, client->input_bytes - taken)) > 0)
                        taken += one;
                memmove(client->input, client->input + taken, client->input_bytes - taken);
                client->input_bytes -= taken;
        }
        if (client->is_over || (!sim_peer_is_ended(client->peer) && !sim_peer_is_broken(client->peer)))
                return;
        client->is_over = true;
        if (!client->is_leaving && !sim_peer_is_broken(client->peer))
                sim_peer_shutdown(client->peer); /* so that the engine need not wait for it */
        world_must(client->is_leaving || world->is_draining || world->harm_max >= HARM_CLOSED, "client %zu was closed",
                   index);
}

/* ---- the admin address ---- */

size_t world_connect_asker(struct world *world)
{
        world_must(world->askers_count < WORLD_ASKERS_MAX, "too many askers");
        struct world_asker *asker = &world->askers[world->askers_count++];
        *asker = (struct world_asker){.peer = sim_connect(world->io, 1), .input = malloc(ASKER_INPUT_BYTES)};
        return world->askers_count - 1;
}

static bool asker_is_gone(const struct world_asker *asker)
{
        return sim_peer_is_ended(asker->peer) || sim_peer_is_broken(asker->peer);
}

void world_ask(struct world *world, size_t index, const char *path)
{
        struct world_asker *asker = &world->askers[index];
        char line[200];
        bool is_post = strncmp(path, "POST ", 5) == 0;
        if (asker_is_gone(asker))
                return;
        int size =
                snprintf(line, sizeof line, "%s %s HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\n%s\r\n",
                         is_post ? "POST" : "GET", is_post ? path + 5 : path, is_post ? "Content-Length: 0\r\n" : "");
        asker->asked++;
        sim_peer_write(asker->peer, span_of(line, (size_t)size));
}

static size_t hear_page(struct world *world, struct world_asker *asker)
{
        const char *body = memmem(asker->input, asker->input_bytes, "\r\n\r\n", 4);
        const char *length = memmem(asker->input, asker->input_bytes, "Content-Length: ", 16);
        unsigned status;
        if (body == NULL)
                return 0;
        world_must(length != NULL && length < body && sscanf(asker->input, "HTTP/1.1 %u ", &status) == 1,
                   "an asker got a strange answer");
        size_t whole = (size_t)(body + 4 - asker->input) + strtoul(length + 16, NULL, 10);
        if (asker->input_bytes < whole)
                return 0;
        world_must(asker->answered < asker->asked, "an answer too many");
        world_must(status == 200 || status == 503 || world->harm_max >= HARM_REFUSED, "an asker got a %u", status);
        world_must(status == 200 || status == 503 || status == 500, "an asker got a %u", status);
        const char *text = body + 4, *end = asker->input + whole;
        /* Whole or not at all: half an answer would be a lie. */
        if (status == 200 && text < end && text[0] == '{')
                world_must(end[-1] == '}' || end[-2] == '}', "an asker got half an answer: ...%.*s", 20,
                           end - text > 20 ? end - 20 : text);
        if (status == 200 && memmem(text, (size_t)(end - text), "# HELP", 6) != NULL)
                world_must(memmem(text, (size_t)(end - text), "spate_stream_memory_limit_bytes", 31) != NULL &&
                                   end[-1] == '\n',
                           "an asker got half of the metrics");
        asker->failed += status == 500;
        return whole;
}

static void hear_askers(struct world *world)
{
        for (size_t i = 0; i < world->askers_count; i++) {
                struct world_asker *asker = &world->askers[i];
                size_t got, one;
                while ((got = sim_peer_read(asker->peer, asker->input + asker->input_bytes,
                                            ASKER_INPUT_BYTES - asker->input_bytes)) > 0) {
                        asker->input_bytes += got;
                        while ((one = hear_page(world, asker)) > 0) {
                                asker->answered++;
                                asker->input_bytes -= one;
                                memmove(asker->input, asker->input + one, asker->input_bytes);
                        }
                }
                if (!asker->is_over && asker_is_gone(asker)) {
                        asker->is_over = true;
                        if (!sim_peer_is_broken(asker->peer))
                                sim_peer_shutdown(asker->peer);
                }
        }
}

/* ---- turns ---- */

/* matched = released + dropped + pending, for each connection and for all that ever were. */
static void check_accounts(const struct reactor *reactor)
{
        const struct lanes *lanes = &reactor->lanes;
        struct account sum = lanes->closed, account;
        uint64_t pending, pending_sum = 0;
        for (uint32_t i = 0; i < reactor->by_index_count; i++) {
                if (reactor->by_index[i] == NULL)
                        continue;
                lane_account(&reactor->by_index[i]->lane, &account, &pending);
                world_must(account.matched == account.released + account_dropped(&account) + pending,
                           "connection %u: %llu matched, %llu released, %llu dropped, %llu pending", i,
                           (unsigned long long)account.matched, (unsigned long long)account.released,
                           (unsigned long long)account_dropped(&account), (unsigned long long)pending);
                account_add(&sum, &account);
                pending_sum += pending;
        }
        world_must(sum.matched == lanes->account.matched, "the connections' matched do not add up");
        world_must(memcmp(sum.dropped, lanes->account.dropped, sizeof sum.dropped) == 0, "their dropped do not add up");
        world_must(sum.matched == sum.released + account_dropped(&sum) + pending_sum, "the sums do not add up");
        world_must(lanes->account.matched - reactor->routes.deliveries_count <= lanes->shed_count,
                   "%llu matched, and the routes say %llu", (unsigned long long)lanes->account.matched,
                   (unsigned long long)reactor->routes.deliveries_count);
}

static void turn_reactor(struct world *world, size_t number)
{
        struct epoch_reader *before = epoch_switch(world->readers[number]);
        uint64_t until_ns = io_clock_ns(world->io) + TURN_NS;
        begin_strike(world);
        if (number == 0 && world->auth != NULL)
                auth_work(world->auth);
        reactor_turn(world->reactors[number], until_ns);
        faults_disarm();
        epoch_switch(before);
        check_accounts(world->reactors[number]);
}

void world_turn(struct world *world, unsigned turns)
{
        for (unsigned turn = 0; turn < turns; turn++) {
                for (size_t i = 0; i < WORLD_REACTORS; i++)
                        turn_reactor(world, i);
                world->step++;
                for (size_t i = 0; i < world->clients_count; i++)
                        hear(world, i);
                hear_askers(world);
        }
}

static bool is_settled(const struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct world_client *client = &world->clients[i];
                if (client->is_over)
                        continue;
                if (client->is_leaving || client->pongs < client->pings || client->input_bytes > 0)
                        return false;
        }
        for (size_t i = 0; i < world->askers_count; i++)
                if (!asker_is_gone(&world->askers[i]) && world->askers[i].answered < world->askers[i].asked)
                        return false;
        return true;
}

void world_settle(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                sim_peer_resume(world->clients[i].peer);
                world_ping(world, i);
        }
        for (int turns = 0; !is_settled(world); turns++) {
                if (world->is_striking && world->is_mute && turns == MUTE_TURNS)
                        return;
                if (turns > 20000)
                        for (size_t i = 0; i < world->clients_count; i++) {
                                const struct world_client *client = &world->clients[i];
                                world_must(client->is_over || client->pongs == client->pings,
                                           "client %zu waits for a PONG for ever: %u of %u", i, client->pongs,
                                           client->pings);
                        }
                world_must(turns <= 20000, "not settled: somebody waits for ever");
                world_turn(world, 1);
        }
        world_turn(world, 12); /* sets become quiet and are shared, what was withdrawn goes */
}

void world_reload_users(struct world *world, const char *users)
{
        write_users(users);
        begin_strike(world);
        auth_reload(world->auth);
        faults_disarm();
}

void world_reload_settings(struct world *world)
{
        world->reloaded = world->reactor_settings;
        world->reloaded.edition++;
        world->reloaded.stall_ns_max /= 2;
        begin_strike(world);
        cores_publish_settings(world->cores, &world->reloaded);
        faults_disarm();
}

/* ---- what must hold ---- */

static uint64_t counted(const struct world *world, enum counter_id id)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < WORLD_REACTORS; i++)
                sum += counter_read(&world->reactors[i]->counters, id);
        return sum;
}

static uint64_t dropped_sum(const struct world *world)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < WORLD_REACTORS; i++)
                sum += account_dropped(&world->reactors[i]->lanes.account);
        return sum;
}

/* Each connection that came is here, or is counted with the reason of its end. */
static void judge_connections(const struct world *world)
{
        uint64_t closed = 0, open = 0;
        for (enum counter_id id = COUNT_CLOSED_BY_PEER; id <= COUNT_CLOSED_BANNED; id++)
                closed += counted(world, id);
        for (size_t i = 0; i < WORLD_REACTORS; i++)
                for (uint32_t j = 0; j < world->reactors[i]->by_index_count; j++)
                        open += world->reactors[i]->by_index[j] != NULL &&
                                world->reactors[i]->by_index[j]->state == PEER_OPEN;
        world_must(counted(world, COUNT_CONNECTIONS_ACCEPTED) == closed + open,
                   "%llu connections came, %llu are there and %llu closed",
                   (unsigned long long)counted(world, COUNT_CONNECTIONS_ACCEPTED), (unsigned long long)open,
                   (unsigned long long)closed);
}

/* Whom no loss may meet whose end has to be counted meets none. */
static bool is_due(const struct world *world, const struct world_subscription *subscription,
                   const struct world_event *event)
{
        const struct world_client *client = &world->clients[subscription->client];
        return subscription->state == SUB_STANDS && subscription->max == 0 && event->is_taken &&
               event->written_step > subscription->stands_step && event->taken_step < subscription->end_step &&
               ((client->traits & CLIENT_DEAF) == 0 || event->publisher != subscription->client) &&
               pattern_matches(subscription->pattern, event->subject);
}

static void judge_client(const struct world *world, size_t index)
{
        const struct world_client *client = &world->clients[index];
        struct account account;
        uint64_t pending, missing = 0;
        const struct reactor *reactor = world->reactors[client->reactor];
        const struct peer *peer = reactor->by_index[io_id_index(sim_peer_id(client->peer))];
        world_must(peer != NULL && peer->lane.id == sim_peer_id(client->peer), "client %zu lives, and has no peer",
                   index);
        lane_account(&peer->lane, &account, &pending);
        uint64_t dropped = account_dropped(&account);
        world_must(pending == 0 && account.released == client->events_heard,
                   "client %zu heard %u events: %llu released, %llu pending, %llu dropped", index, client->events_heard,
                   (unsigned long long)account.released, (unsigned long long)pending, (unsigned long long)dropped);
        world_must(dropped == 0 || world->harm_max >= HARM_LOST, "%llu events of client %zu were dropped",
                   (unsigned long long)dropped, index);
        world_must(client->waiting_first == client->waiting_end, "client %zu waits for %u answers", index,
                   client->waiting_end - client->waiting_first);
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                const struct world_subscription *subscription = &world->subscriptions[i];
                if (subscription->client != index || subscription->group[0] != '\0')
                        continue;
                bool hears_lag = subscription->state == SUB_STANDS && world->lag.rules_count > 0 &&
                                 strcmp(subscription->pattern, SESSION_LAG_SUBJECT) == 0;
                for (size_t j = 0; hears_lag && j < WORLD_LAG_REASONS; j++)
                        world_must(client->lag_totals[j] == account.dropped[lag_reasons[j]],
                                   "client %zu was told of %u events that are gone (%s), of %llu", index,
                                   client->lag_totals[j], loss_name(lag_reasons[j]),
                                   (unsigned long long)account.dropped[lag_reasons[j]]);
                for (size_t e = 0; e < world->events_count; e++)
                        missing += is_due(world, subscription, &world->events[e]) && !has_had(subscription, e);
        }
        world_must(missing <= dropped, "client %zu misses %llu events, and %llu were counted as dropped", index,
                   (unsigned long long)missing, (unsigned long long)dropped);
}

/* The groups of one event: no more than one member of each name has it, and one where all that are asked stand. */
static uint64_t judge_groups(const struct world *world, size_t number)
{
        const struct world_event *event = &world->events[number];
        uint64_t missing = 0;
        for (size_t first = 0; first < world->subscriptions_count; first++) {
                const struct world_subscription *one = &world->subscriptions[first];
                bool is_first = one->group[0] != '\0' && pattern_matches(one->pattern, event->subject), is_owed = false,
                     may_be_gone = false;
                for (size_t i = 0; is_first && i < first; i++)
                        is_first = strcmp(world->subscriptions[i].group, one->group) != 0 ||
                                   !pattern_matches(world->subscriptions[i].pattern, event->subject);
                if (!is_first)
                        continue;
                unsigned got = 0;
                for (size_t i = first; i < world->subscriptions_count; i++) {
                        const struct world_subscription *member = &world->subscriptions[i];
                        if (strcmp(member->group, one->group) != 0)
                                continue;
                        got += has_had(member, number);
                        is_owed |= is_due(world, member, event);
                        may_be_gone |= world->clients[member->client].is_over;
                }
                world_must(got <= 1, "%u members of %s have had event %zu", got, one->group, number);
                missing += is_owed && !may_be_gone && got == 0;
        }
        return missing;
}

void world_judge(struct world *world)
{
        uint64_t missing = 0;
        bool has_groups = false;
        judge_connections(world);
        for (size_t i = 0; i < world->clients_count; i++)
                if (!world->clients[i].is_over)
                        judge_client(world, i);
        for (size_t i = 0; i < world->subscriptions_count; i++)
                has_groups |= world->subscriptions[i].group[0] != '\0';
        for (size_t i = 0; i < world->events_count; i++) {
                const struct world_event *event = &world->events[i];
                missing += has_groups ? judge_groups(world, i) : 0;
                if (!event->is_asking)
                        continue;
                world_must(!event->is_unanswered || event->got == 0, "event %zu was heard, and answered with 503", i);
                const struct world_client *asker = &world->clients[event->publisher];
                /* The inbox of whoever asks may have been refused; who is gone may have been sent it. */
                bool has_inbox = false, may_be_gone = asker->is_over;
                for (size_t j = 0; j < world->subscriptions_count; j++) {
                        const struct world_subscription *other = &world->subscriptions[j];
                        has_inbox |= other->client == event->publisher && other->state == SUB_STANDS &&
                                     strncmp(other->pattern, "_INBOX.", 7) == 0;
                        may_be_gone |= world->clients[other->client].is_over &&
                                       pattern_matches(other->pattern, event->subject);
                }
                world_must(!event->is_taken || !has_inbox || may_be_gone || event->is_unanswered || event->got > 0 ||
                                   dropped_sum(world) > 0,
                           "event %zu asked, and nobody was heard of", i);
        }
        world_must(missing <= dropped_sum(world), "%llu events came to no member of a group, and %llu were counted",
                   (unsigned long long)missing, (unsigned long long)dropped_sum(world));
        world_must(world->harm_max >= HARM_LOST || world->has_leavers || dropped_sum(world) == 0,
                   "%llu events were dropped", (unsigned long long)dropped_sum(world));
}

/* A subject that the pattern matches. */
static void subject_of(const char *pattern, char subject[48])
{
        size_t size = 0;
        for (; *pattern != '\0'; pattern++) {
                const char *text = *pattern == '*' ? "s" : *pattern == '>' ? "t.u" : NULL;
                if (text == NULL)
                        subject[size++] = *pattern;
                else
                        size += (size_t)snprintf(subject + size, 48 - size, "%s", text);
        }
        subject[size] = '\0';
}

/* Who is unsure which of his subscriptions were refused knows it now: those that a probe did not come to. */
static void resolve_unsure(struct world *world, size_t probes_begin)
{
        uint32_t silent[WORLD_CLIENTS_MAX] = {0};
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                struct world_subscription *subscription = &world->subscriptions[i];
                if (subscription->state != SUB_UNSURE || world->clients[subscription->client].is_over)
                        continue;
                bool is_probed = false;
                for (size_t e = probes_begin; e < world->events_count && !is_probed; e++)
                        is_probed = has_had(subscription, e);
                /* A member of a group may stand, and another was picked. */
                bool is_silent = !is_probed && subscription->pattern[0] != '$' && subscription->group[0] == '\0' &&
                                 subscription->end_step == NEVER && subscription->max == 0;
                if (is_silent)
                        subscription->state = SUB_REFUSED;
                else if (subscription->group[0] == '\0')
                        subscription->state = SUB_STANDS;
                silent[subscription->client] += is_silent;
        }
        for (size_t i = 0; i < world->clients_count; i++)
                world_must(world->clients[i].is_over || silent[i] <= world->clients[i].refusals,
                           "%u subscriptions of client %zu get nothing, and %u were refused", silent[i], i,
                           world->clients[i].refusals);
}

void world_probe(struct world *world)
{
        size_t probers[WORLD_REACTORS], fresh[WORLD_REACTORS], news[WORLD_REACTORS];
        const char *user = world->settings.users == NULL ? NULL : "alice";
        world_settle(world);
        for (unsigned i = 0; i < WORLD_REACTORS; i++) {
                probers[i] = world_connect(world, i, 0, user);
                fresh[i] = world_subscribe(world, probers[i], "fresh.*", "");
                world_ping(world, probers[i]);
        }
        world_settle(world);
        for (unsigned i = 0; i < WORLD_REACTORS; i++) {
                world_must(!world->clients[probers[i]].is_over && world->clients[probers[i]].refusals == 0,
                           "nobody new is served on reactor %u", i);
                news[i] = world_publish(world, probers[i], "fresh.fruit", 100, false);
        }
        size_t probes_begin = world->events_count;
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                const struct world_subscription *subscription = &world->subscriptions[i];
                char subject[48];
                bool is_asked = subscription->pattern[0] == '$'; /* nobody may publish there */
                subject_of(subscription->pattern, subject);
                for (size_t e = probes_begin; e < world->events_count && !is_asked; e++)
                        is_asked = strcmp(world->events[e].subject, subject) == 0;
                if (!is_asked && !world->clients[subscription->client].is_over)
                        world_publish(world, probers[i % WORLD_REACTORS], subject, 20, false);
        }
        world_settle(world);
        for (unsigned i = 0; i < WORLD_REACTORS; i++)
                for (unsigned j = 0; j < WORLD_REACTORS; j++)
                        world_must(has_had(&world->subscriptions[fresh[i]], news[j]),
                                   "who came last on reactor %u has not had the news of reactor %u", i, j);
        resolve_unsure(world, probes_begin);
        world_judge(world);
}

static uint32_t peers_count(const struct world *world)
{
        uint32_t count = 0;
        for (size_t i = 0; i < WORLD_REACTORS; i++)
                count += world->reactors[i]->peers_count;
        return count;
}

void world_drain(struct world *world)
{
        world->is_draining = true;
        struct epoch_reader *before = epoch_switch(world->readers[0]);
        begin_strike(world);
        reactor_drain(world->reactors[0], 10 * NS_PER_S, 10 * NS_PER_MS);
        faults_disarm();
        epoch_switch(before);
        for (int turns = 0; peers_count(world) > 0 || match_patterns_count(world->cores->table) > 0; turns++) {
                world_must(turns < 100000, "%u connections do not end, %zu patterns are left", peers_count(world),
                           match_patterns_count(world->cores->table));
                for (size_t i = 0; i < world->clients_count; i++)
                        sim_peer_resume(world->clients[i].peer);
                if (world->is_mute && turns == MUTE_TURNS)
                        world->is_striking = false;
                world_turn(world, 1);
        }
        judge_connections(world);
        world_must(sim_lent_bytes(world->io) == 0, "bytes are still lent");
        for (size_t i = 0; i < WORLD_REACTORS; i++) {
                const struct reactor *reactor = world->reactors[i];
                world_must(reactor->lanes.memory.taken_bytes == 0, "%zu bytes of stream memory of reactor %zu are left",
                           reactor->lanes.memory.taken_bytes, i);
                world_must(reactor->kept_bytes == 0, "reactor %zu thinks that it keeps input", i);
                world_must(reactor->lanes.spans.objects_taken == 0, "closed spans of reactor %zu are left", i);
                world_must(memcmp(&reactor->lanes.account, &reactor->lanes.closed, sizeof(struct account)) == 0,
                           "all are gone from reactor %zu, and their accounts are not complete", i);
                world_must(reactor->routes.subscriptions_count == 0, "subscriptions are left on reactor %zu", i);
                world_must(reactor->registry.cohorts_count == 0, "cohorts are left on reactor %zu", i);
                world_must(reactor->questions_count == 0, "questions are left on reactor %zu", i);
        }
}
