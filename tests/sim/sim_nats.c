/* sim_nats: the whole engine on a simulated network, spoken to by NATS clients that subscribe, publish, stall, leave
 * and break off.
 *
 * What must hold, whatever the network does: an event that was written after a subscription had been acknowledged (the
 * PONG behind its SUB was heard) and acknowledged before its UNSUB was written is delivered; one that was acknowledged
 * before the SUB was written, or written after the UNSUB was acknowledged, is not; in between it may be. Each at most
 * once for each sid, in the order of its publisher, every byte as it was sent. A connection that ended early has had,
 * of each publisher, all it must have up to the last it had. Of a queue group one member gets an event. What the
 * engine's accounts say was matched, released and dropped adds up at every moment, and is what clients heard. At the
 * end every byte of memory has come back.
 *
 *      sim_nats [--seeds N] [--seed S] [--trace]        a seed that fails names itself */
#include <stdio.h>
#include <stdlib.h>

#include "engine/reactor.h"
#include "io/sim.h"

#define CLIENTS_MAX 24
#define SUBSCRIPTIONS_MAX 4096
#define EVENTS_MAX 4096
#define INPUT_BYTES_MAX (512 << 10)
#define PATTERNS 10
#define SUBJECTS 7
#define NEVER UINT32_MAX

static const char *const subjects[SUBJECTS] = {"a", "b", "a.b", "a.c", "a.b.c", "x.y.z", "_INBOX.one.2"};
static const char *const patterns[PATTERNS] = {"a", "b", "a.*", "a.>", ">", "*.b", "x.y.z", "*", "a.b", "_INBOX.one.*"};

static uint64_t seed_now; /* for the one line that a failure prints */

static void dump_world(void);

#define must(fact, ...)                                                                                                \
        do {                                                                                                           \
                if (!(fact)) {                                                                                         \
                        fprintf(stderr, "sim_nats --seed %llu: ", (unsigned long long)seed_now);                       \
                        fprintf(stderr, __VA_ARGS__);                                                                  \
                        fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__);                                             \
                        dump_world();                                                                                  \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

/* When something was written and when it was known to be done, in pings of its connection and steps of the world. */
struct moment {
        uint32_t written_step, acked_step, ping;
};

struct event_sent {
        uint16_t publisher;
        uint8_t subject;
        uint32_t number; /* of this publisher */
        uint32_t size;
        struct moment moment;
};

struct subscribed {
        uint16_t client;
        uint8_t pattern;
        bool is_queue;
        uint32_t sid, max, got, got_at_limit;
        struct moment made, ended, limited;
        uint8_t *had;                  /* by event */
        uint32_t last_of[CLIENTS_MAX]; /* number + 1 of the last event of each publisher */
};

struct client {
        struct sim_peer *peer;
        bool echo, headers;
        bool is_over; /* it has ended, or wants to */
        uint32_t next_sid, next_number;
        uint32_t pings_written, pongs_heard;
        uint64_t heard; /* messages */
        uint8_t *input;
        size_t input_bytes;
};

struct world {
        struct random random;
        struct io *io;
        struct reactor *reactor;
        struct client clients[CLIENTS_MAX];
        size_t clients_count;
        struct event_sent events[EVENTS_MAX];
        size_t events_count, events_max;
        struct subscribed subscriptions[SUBSCRIPTIONS_MAX];
        size_t subscriptions_count;
        uint32_t step;
        uint64_t delivered;
};

static struct world simulated;

/* ---- what clients say ---- */

static void say(struct world *world, struct client *client, const void *bytes, size_t size)
{
        (void)world;
        sim_peer_write(client->peer, span_of(bytes, size));
}

static void say_text(struct world *world, struct client *client, const char *text)
{
        say(world, client, text, strlen(text));
}

static struct moment moment_now(const struct world *world, const struct client *client)
{
        return (struct moment){.written_step = world->step, .acked_step = NEVER, .ping = client->pings_written};
}

static void say_ping(struct world *world, struct client *client)
{
        client->pings_written++;
        say_text(world, client, "PING\r\n");
}

static uint8_t body_byte(uint32_t publisher, uint32_t number, uint32_t i)
{
        uint32_t mixed = (publisher * 2654435761u) ^ (number * 40503u) ^ (i * 2246822519u);
        return (uint8_t)(mixed >> 13);
}

static void do_publish(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        static uint8_t body[200000];
        char line[128];
        if (world->events_count == world->events_max)
                return;
        struct event_sent *event = &world->events[world->events_count++];
        uint32_t size = 8 + (uint32_t)random_below(&world->random, random_chance(&world->random, 1, 60) ? 150000 : 200);
        *event = (struct event_sent){.publisher = (uint16_t)index,
                                     .subject = (uint8_t)random_below(&world->random, SUBJECTS),
                                     .number = client->next_number++,
                                     .size = size,
                                     .moment = moment_now(world, client)};
        for (uint32_t i = 0; i < size; i++)
                body[i] = body_byte((uint32_t)index, event->number, i);
        uint32_t id = (uint32_t)(event - world->events);
        memcpy(body, &id, 4);
        memcpy(body + 4, &size, 4);
        if (client->headers && random_chance(&world->random, 1, 4)) {
                static const char headers[] = "NATS/1.0\r\nK: v\r\n\r\n";
                size_t head = sizeof headers - 1;
                snprintf(line, sizeof line, "HPUB %s %zu %zu\r\n%s", subjects[event->subject], head, head + size,
                         headers);
        } else {
                snprintf(line, sizeof line, "PUB %s %u\r\n", subjects[event->subject], size);
        }
        say_text(world, client, line);
        say(world, client, body, size);
        say_text(world, client, "\r\n");
}

static void do_subscribe_to(struct world *world, size_t index, unsigned pattern, bool is_queue)
{
        struct client *client = &world->clients[index];
        char line[128];
        if (world->subscriptions_count == SUBSCRIPTIONS_MAX)
                return;
        struct subscribed *subscription = &world->subscriptions[world->subscriptions_count++];
        *subscription = (struct subscribed){.client = (uint16_t)index,
                                            .pattern = (uint8_t)pattern,
                                            .is_queue = is_queue,
                                            .sid = ++client->next_sid,
                                            .made = moment_now(world, client),
                                            .ended = {.written_step = NEVER, .acked_step = NEVER}};
        subscription->had = calloc(world->events_max, 1);
        snprintf(line, sizeof line, "SUB %s %s%u\r\n", patterns[pattern], is_queue ? "workers " : "",
                 subscription->sid);
        say_text(world, client, line);
}

static void do_unsubscribe(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        char line[64];
        if (world->subscriptions_count == 0)
                return;
        struct subscribed *subscription =
                &world->subscriptions[random_below(&world->random, world->subscriptions_count)];
        if (subscription->client != index || subscription->ended.written_step != NEVER || subscription->max != 0)
                return;
        if (random_chance(&world->random, 1, 4)) {
                subscription->max = 1 + (uint32_t)random_below(&world->random, 30);
                subscription->limited = moment_now(world, client);
                snprintf(line, sizeof line, "UNSUB %u %u\r\n", subscription->sid, subscription->max);
        } else {
                subscription->ended = moment_now(world, client);
                snprintf(line, sizeof line, "UNSUB %u\r\n", subscription->sid);
        }
        say_text(world, client, line);
}

static void do_connect(struct world *world)
{
        if (world->clients_count == CLIENTS_MAX)
                return;
        size_t index = world->clients_count++;
        struct client *client = &world->clients[index];
        char line[200];
        *client = (struct client){.echo = !random_chance(&world->random, 1, 4),
                                  .headers = random_chance(&world->random, 3, 4)};
        client->peer = sim_connect(world->io, 0);
        client->input = malloc(INPUT_BYTES_MAX);
        snprintf(line, sizeof line,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":%s,\"headers\":%s,\"protocol\":1}\r\n",
                 client->echo ? "true" : "false", client->headers ? "true" : "false");
        say_text(world, client, line);
        /* Most clients are alike: they subscribe to the same things in the same order, and become cohorts. */
        unsigned kind = (unsigned)random_below(&world->random, 4);
        for (unsigned i = 0; i < kind; i++)
                do_subscribe_to(world, index, (kind * 3 + i) % PATTERNS, false);
        say_ping(world, client);
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

static void hear_message(struct world *world, size_t index, const char *subject, uint32_t sid, const uint8_t *body,
                         size_t size)
{
        uint32_t id, told;
        must(size >= 8, "client %zu got %zu bytes", index, size);
        memcpy(&id, body, 4);
        memcpy(&told, body + 4, 4);
        must(id < world->events_count, "client %zu got event %u of %zu", index, id, world->events_count);
        const struct event_sent *event = &world->events[id];
        must(told == event->size && size == event->size, "event %u came with %zu bytes instead of %u", id, size,
             event->size);
        for (uint32_t i = 8; i < event->size; i++)
                must(body[i] == body_byte(event->publisher, event->number, i), "event %u has a wrong byte at %u", id,
                     i);
        must(strcmp(subject, subjects[event->subject]) == 0, "event %u came as %s", id, subject);
        struct subscribed *subscription = NULL;
        for (size_t i = 0; i < world->subscriptions_count && subscription == NULL; i++)
                if (world->subscriptions[i].client == index && world->subscriptions[i].sid == sid)
                        subscription = &world->subscriptions[i];
        must(subscription != NULL, "client %zu got sid %u, which it never had", index, sid);
        must(pattern_matches(patterns[subscription->pattern], subject), "%s came for %s", subject,
             patterns[subscription->pattern]);
        must(!subscription->had[id], "event %u came twice to client %zu sid %u", id, index, sid);
        must(world->clients[index].echo || event->publisher != index, "client %zu hears itself", index);
        must(subscription->last_of[event->publisher] <= event->number, "event %u overtook another of its publisher",
             id);
        must(event->moment.acked_step >= subscription->made.written_step, "event %u was over before client %zu asked",
             id, index);
        must(event->moment.written_step <= subscription->ended.acked_step, "event %u came to client %zu after the end",
             id, index);
        subscription->got++;
        world->clients[index].heard++;
        bool is_limited = subscription->max != 0 && subscription->limited.acked_step != NEVER;
        must(!is_limited || subscription->got <= subscription->max || subscription->got <= subscription->got_at_limit,
             "client %zu sid %u got %u of at most %u", index, sid, subscription->got, subscription->max);
        subscription->last_of[event->publisher] = event->number + 1;
        subscription->had[id] = 1;
        world->delivered++;
}

static void hear_pong(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        uint32_t ping = client->pongs_heard++;
        must(client->pongs_heard <= client->pings_written, "client %zu got a PONG too many", index);
        for (size_t i = 0; i < world->events_count; i++) {
                struct event_sent *event = &world->events[i];
                if (event->publisher == index && event->moment.acked_step == NEVER && event->moment.ping <= ping)
                        event->moment.acked_step = world->step;
        }
        for (size_t i = 0; i < world->subscriptions_count; i++) {
                struct subscribed *subscription = &world->subscriptions[i];
                if (subscription->client != index)
                        continue;
                if (subscription->made.acked_step == NEVER && subscription->made.ping <= ping)
                        subscription->made.acked_step = world->step;
                if (subscription->max != 0 && subscription->limited.acked_step == NEVER &&
                    subscription->limited.ping <= ping) {
                        subscription->limited.acked_step = world->step;
                        subscription->got_at_limit = subscription->got;
                }
                if (subscription->ended.written_step != NEVER && subscription->ended.acked_step == NEVER &&
                    subscription->ended.ping <= ping)
                        subscription->ended.acked_step = world->step;
        }
}

/* One operation at the start of the input; returns its size, 0 when it is not whole. */
static size_t hear_one(struct world *world, size_t index, uint8_t *input, size_t size)
{
        uint8_t *end = memchr(input, '\n', size);
        if (end == NULL)
                return 0;
        char line[256], subject[64], reply[64];
        size_t line_bytes = (size_t)(end - input) + 1;
        must(line_bytes < sizeof line || memcmp(input, "INFO", 4) == 0, "client %zu got a line of %zu bytes", index,
             line_bytes);
        snprintf(line, sizeof line, "%.*s", (int)(line_bytes - 2 < 250 ? line_bytes - 2 : 250), (char *)input);
        unsigned sid, head = 0, total;
        if (strcmp(line, "PONG") == 0) {
                hear_pong(world, index);
        } else if (strcmp(line, "PING") == 0) {
                say_text(world, &world->clients[index], "PONG\r\n");
        } else if (strncmp(line, "INFO ", 5) == 0) {
                return line_bytes;
        } else if (strcmp(line, "-ERR 'maximum connections exceeded'") == 0) {
                must(counter_read(&world->reactor->counters, COUNT_CLOSED_REFUSED) > 0,
                     "client %zu was refused for nothing", index);
                world->clients[index].is_over = true;
        } else {
                bool is_message = sscanf(line, "MSG %63s %u %u", subject, &sid, &total) == 3;
                bool is_headed = !is_message && sscanf(line, "HMSG %63s %u %u %u", subject, &sid, &head, &total) == 4;
                (void)reply;
                must(is_message || is_headed, "client %zu got \"%s\"", index, line);
                must(!is_headed || world->clients[index].headers, "client %zu got headers", index);
                if (size < line_bytes + total + 2)
                        return 0;
                must(memcmp(input + line_bytes + total, "\r\n", 2) == 0, "client %zu got a message without an end",
                     index);
                hear_message(world, index, subject, sid, input + line_bytes + head, total - head);
                return line_bytes + total + 2;
        }
        return line_bytes;
}

static void hear(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        size_t got;
        while ((got = sim_peer_read(client->peer, client->input + client->input_bytes,
                                    INPUT_BYTES_MAX - client->input_bytes)) > 0) {
                size_t taken = 0, one;
                client->input_bytes += got;
                while (taken < client->input_bytes &&
                       (one = hear_one(world, index, client->input + taken, client->input_bytes - taken)) > 0)
                        taken += one;
                memmove(client->input, client->input + taken, client->input_bytes - taken);
                client->input_bytes -= taken;
        }
        if (sim_peer_is_ended(client->peer) || sim_peer_is_broken(client->peer))
                client->is_over = true;
}

/* ---- the world ---- */

static void act(struct world *world)
{
        size_t index = random_below(&world->random, world->clients_count);
        struct client *client = &world->clients[index];
        uint64_t choice = random_below(&world->random, 1000);
        if (choice < 10)
                do_connect(world);
        if (client->is_over)
                return;
        if (choice < 600)
                do_publish(world, index);
        else if (choice < 640)
                do_subscribe_to(world, index, (unsigned)random_below(&world->random, PATTERNS),
                                random_chance(&world->random, 1, 4));
        else if (choice < 700)
                do_unsubscribe(world, index);
        else if (choice < 900)
                say_ping(world, client);
        else if (choice < 920)
                sim_peer_stall(client->peer);
        else if (choice < 980)
                sim_peer_resume(client->peer);
        else if (choice < 984 && world->clients_count > 4) {
                client->is_over = true;
                if (random_chance(&world->random, 1, 2))
                        sim_peer_reset(client->peer);
                else
                        sim_peer_shutdown(client->peer);
        }
}

/* matched = released + dropped + pending, for each connection and for all that ever were. */
static void check_accounts(const struct world *world)
{
        const struct reactor *reactor = world->reactor;
        const struct lanes *lanes = &reactor->lanes;
        struct account sum = lanes->closed, account;
        uint64_t pending, pending_sum = 0;
        for (uint32_t i = 0; i < reactor->by_index_count; i++) {
                if (reactor->by_index[i] == NULL)
                        continue;
                lane_account(&reactor->by_index[i]->lane, &account, &pending);
                must(account.matched == account.released + account_dropped(&account) + pending,
                     "connection %u: %llu matched, %llu released, %llu dropped, %llu pending", i,
                     (unsigned long long)account.matched, (unsigned long long)account.released,
                     (unsigned long long)account_dropped(&account), (unsigned long long)pending);
                account_add(&sum, &account);
                pending_sum += pending;
        }
        must(sum.matched == lanes->account.matched, "the connections' matched do not add up");
        must(memcmp(sum.dropped, lanes->account.dropped, sizeof sum.dropped) == 0, "their dropped do not add up");
        must(sum.released >= lanes->account.released, "more was released than the connections say");
        must(sum.matched == sum.released + account_dropped(&sum) + pending_sum, "the sums do not add up");
        /* The routes count on their own; they do not see for whom there was no memory. */
        must(lanes->account.matched - reactor->routes.deliveries_count <= lanes->shed_count,
             "%llu matched, and the routes say %llu", (unsigned long long)lanes->account.matched,
             (unsigned long long)reactor->routes.deliveries_count);
}

/* Whoever is still here has heard exactly what the account of his connection says. */
static void check_heard(const struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct client *client = &world->clients[i];
                if (client->is_over || sim_peer_is_broken(client->peer) || sim_peer_is_ended(client->peer))
                        continue;
                const struct peer *peer = world->reactor->by_index[io_id_index(sim_peer_id(client->peer))];
                struct account account;
                uint64_t pending;
                lane_account(&peer->lane, &account, &pending);
                must(account.released == client->heard && pending == 0 && account_dropped(&account) == 0,
                     "client %zu heard %llu: %llu released, %llu pending", i, (unsigned long long)client->heard,
                     (unsigned long long)account.released, (unsigned long long)pending);
        }
}

static void turn(struct world *world, uint64_t ns)
{
        reactor_turn(world->reactor, io_now_ns(world->io) + ns);
        check_accounts(world);
        world->step++;
        for (size_t i = 0; i < world->clients_count; i++)
                hear(world, i);
}

/* Everything that is still under way arrives, everybody who lives has heard a PONG behind his last word. */
static void settle(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                sim_peer_resume(world->clients[i].peer);
                if (!world->clients[i].is_over)
                        say_ping(world, &world->clients[i]);
        }
        for (int turns = 0; turns < 200000; turns++) {
                bool is_settled = true;
                turn(world, 5 * NS_PER_MS);
                for (size_t i = 0; i < world->clients_count; i++) {
                        struct client *client = &world->clients[i];
                        sim_peer_resume(client->peer);
                        is_settled &= client->is_over ||
                                      (client->pongs_heard == client->pings_written && client->input_bytes == 0);
                }
                if (is_settled && turns > 50)
                        return;
        }
        must(false, "not settled: somebody waits for a PONG for ever");
}

static bool event_is_due(const struct world *world, const struct subscribed *subscription,
                         const struct event_sent *event)
{
        const struct client *client = &world->clients[subscription->client];
        return pattern_matches(patterns[subscription->pattern], subjects[event->subject]) && !subscription->is_queue &&
               (client->echo || event->publisher != subscription->client) && event->moment.acked_step != NEVER &&
               subscription->made.acked_step != NEVER && event->moment.written_step > subscription->made.acked_step &&
               event->moment.acked_step < subscription->ended.written_step && subscription->max == 0;
}

static void check_dues(const struct world *world)
{
        for (size_t s = 0; s < world->subscriptions_count; s++) {
                const struct subscribed *subscription = &world->subscriptions[s];
                const struct client *client = &world->clients[subscription->client];
                for (size_t e = 0; e < world->events_count; e++) {
                        const struct event_sent *event = &world->events[e];
                        if (subscription->had[e] || !event_is_due(world, subscription, event))
                                continue;
                        /* Who left early may miss the end, but nothing in front of what he had. */
                        must(client->is_over && subscription->last_of[event->publisher] <= event->number,
                             "client %u sid %u (%s) missed event %zu (%s): %s, had %u of publisher %u who sent number "
                             "%u; made %u-%u, sent %u-%u, ended %u",
                             subscription->client, subscription->sid, patterns[subscription->pattern], e,
                             subjects[event->subject], client->is_over ? "it left" : "it stayed",
                             subscription->last_of[event->publisher], event->publisher, event->number,
                             subscription->made.written_step, subscription->made.acked_step, event->moment.written_step,
                             event->moment.acked_step, subscription->ended.written_step);
                }
        }
        for (size_t e = 0; e < world->events_count; e++) {
                unsigned members = 0;
                for (size_t s = 0; s < world->subscriptions_count; s++)
                        members += world->subscriptions[s].is_queue && world->subscriptions[s].had[e];
                must(members <= 1, "event %zu reached %u members of one group", e, members);
        }
}

static uint64_t run_seed(uint64_t seed, bool is_traced, uint64_t *delivered)
{
        struct cores *cores = NULL;
        struct cores_settings cores_settings = {.count = 1, .patterns_max = 10000, .secret = "a secret of 16b"};
        char bound[IO_ADDRESS_BYTES_MAX];
        seed_now = seed;
        simulated = (struct world){0};
        random_init(&simulated.random, seed);
        struct sim_settings sim = sim_settings_rough(seed, seed % 2 == 0 ? SIM_KERNEL : SIM_TCP);
        /* Tiny segments and windows are sim_stream's; here they would only make a megabyte take an hour. */
        if (sim.segment_bytes_max < 512)
                sim.segment_bytes_max = 512;
        if (sim.window_bytes < 4096)
                sim.window_bytes = 4096;
        sim.trace = is_traced ? stderr : NULL;
        struct reactor_settings settings = {
                .memory_bytes = (size_t)4 << (20 + random_below(&simulated.random, 5)),
                .lag_bytes_max = (size_t)1 << (17 + random_below(&simulated.random, 6)),
                .stall_ns_max = (5 * NS_PER_MS) << random_below(&simulated.random, 12),
                .handshake_ns = 100 * NS_PER_S,
                .quiet_ns = random_below(&simulated.random, 10 * NS_PER_MS),
                .ping_interval_ns = random_chance(&simulated.random, 1, 2) ? 2 * NS_PER_S : 120 * NS_PER_S,
                .pings_out_max = 20,
                .conns_max = CLIENTS_MAX,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
                .seed = seed + 1,
        };
        struct io_settings io = {.backend = IO_BACKEND_SIM, .conns_max = CLIENTS_MAX + 64};
        must(sim_start(&simulated.io, &io, &sim) == 0, "no memory");
        must(cores_new(&cores, &cores_settings) == 0, "no memory");
        must(reactor_new(&simulated.reactor, &settings, cores, simulated.io) == 0, "no memory");
        must(reactor_listen(simulated.reactor, "10.0.0.1:4222", &session_protocol, bound) == 0, "cannot listen");

        simulated.events_max = 300 + random_below(&simulated.random, 900);
        size_t clients = 3 + random_below(&simulated.random, 12);
        for (size_t i = 0; i < clients; i++)
                do_connect(&simulated);
        uint64_t pace_ns = (uint64_t)1000 << random_below(&simulated.random, 12);
        for (size_t i = 0; i < 2 * simulated.events_max && simulated.events_count < simulated.events_max; i++) {
                uint64_t acts = random_below(&simulated.random, 4);
                for (uint64_t a = 0; a < acts; a++)
                        act(&simulated);
                turn(&simulated, random_below(&simulated.random, pace_ns));
        }
        settle(&simulated); /* every event has been published … */
        settle(&simulated); /* … and whoever got some of them has heard a PONG behind the last */
        check_dues(&simulated);
        check_heard(&simulated);

        reactor_drain(simulated.reactor, 0, 0);
        for (int turns = 0; turns < 100000 && simulated.reactor->peers_count > 0; turns++)
                turn(&simulated, 5 * NS_PER_MS);
        must(simulated.reactor->peers_count == 0, "%u connections do not end", simulated.reactor->peers_count);
        must(sim_lent_bytes(simulated.io) == 0, "bytes are still lent");
        must(simulated.reactor->lanes.memory.taken_bytes == 0, "%zu bytes of stream memory did not come back",
             simulated.reactor->lanes.memory.taken_bytes);
        must(simulated.reactor->lanes.spans.objects_taken == 0, "closed spans did not come back");
        must(memcmp(&simulated.reactor->lanes.account, &simulated.reactor->lanes.closed, sizeof(struct account)) == 0,
             "all are gone, and their accounts are not complete");
        must(simulated.reactor->routes.subscriptions_count == 0, "subscriptions are left");
        must(match_patterns_count(cores->table) == 0, "patterns are left");
        uint64_t hash = sim_trace_hash(simulated.io);
        *delivered += simulated.delivered;
        for (size_t i = 0; i < simulated.clients_count; i++)
                free(simulated.clients[i].input);
        for (size_t i = 0; i < simulated.subscriptions_count; i++)
                free(simulated.subscriptions[i].had);
        reactor_free(simulated.reactor);
        cores_free(cores);
        return hash;
}

/* What the engine says of itself, beside a failure. */
static void dump_world(void)
{
        const struct reactor *reactor = simulated.reactor;
        if (reactor == NULL)
                return;
        for (size_t i = 0; i < COUNTERS_COUNT; i++)
                if (counter_read(&reactor->counters, i) != 0)
                        fprintf(stderr, "  %s{%s} %llu\n", counter_rows[i].name, counter_rows[i].labels,
                                (unsigned long long)counter_read(&reactor->counters, i));
        for (size_t i = 0; i < simulated.clients_count; i++) {
                const struct client *client = &simulated.clients[i];
                fprintf(stderr, "  client %zu: %u of %u pongs, %zu bytes half heard, %zu unsent%s%s%s%s\n", i,
                        client->pongs_heard, client->pings_written, client->input_bytes,
                        sim_peer_unsent_bytes(client->peer), client->is_over ? ", over" : "",
                        client->echo ? "" : ", no echo", client->headers ? ", headers" : "",
                        sim_peer_is_broken(client->peer) ? ", broken" : "");
        }
        fprintf(stderr, "  %llu ms, mode %s\n", (unsigned long long)(io_now_ns(simulated.io) / NS_PER_MS),
                seed_now % 2 == 0 ? "kernel" : "tcp");
        fprintf(stderr, "  dropped %llu shed %llu\n", (unsigned long long)account_dropped(&reactor->lanes.account),
                (unsigned long long)reactor->lanes.shed_count);
}

int main(int argc, char **argv)
{
        uint64_t first = 1, count = 200, delivered = 0;
        bool is_traced = false;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--trace") == 0)
                        is_traced = true;
                else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
                        count = strtoull(argv[++i], NULL, 10);
                else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
                        first = strtoull(argv[++i], NULL, 10), count = 1;
                else
                        return fprintf(stderr, "usage: sim_nats [--seeds N] [--seed S] [--trace]\n"), 2;
        }
        log_set_level(LOG_LEVEL_ERROR);
        epoch_register();
        for (uint64_t seed = first; seed < first + count; seed++)
                run_seed(seed, is_traced, &delivered);
        if (count > 1)
                must(run_seed(first, false, &delivered) == run_seed(first, false, &delivered),
                     "the same seed went another way");
        epoch_unregister();
        printf("%llu seeds, %llu deliveries checked\n", (unsigned long long)count, (unsigned long long)delivered);
        return 0;
}
