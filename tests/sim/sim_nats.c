/* sim_nats: the whole engine on a simulated network, spoken to by NATS clients that subscribe, publish, ask, stall,
 * leave and break off. One to four reactors on one thread: they turn in any order, sleep while others wake them, lose
 * their core for a while, and tell each other in mailboxes that are full every now and then.
 *
 * What must hold, whatever the network does: an event that was written after a subscription had been acknowledged (the
 * PONG behind its SUB was heard) and acknowledged before its UNSUB was written is delivered; one that was acknowledged
 * before the SUB was written, or written after the UNSUB was acknowledged, is not; in between it may be. Each at most
 * once for each sid, in the order of its publisher, every byte as it was sent. A connection that ended early has had,
 * of each publisher, all it must have up to the last it had. Of a queue group one member gets an event. Who asks
 * where nobody is hears so, and nobody else does. What the
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
#define DRAIN_EVENTS_MAX 100 /* in the orderly end */
#define REACTORS_MAX 4
#define ASKERS 3
#define INPUT_BYTES_MAX (512 << 10)
#define PATTERNS 10
#define SUBJECTS 7
#define INBOX_SID 900000u /* of what is asked with; no event comes there, but 503 */
#define NEVER UINT32_MAX

static const char *const subjects[SUBJECTS] = {"a", "b", "a.b", "a.c", "a.b.c", "x.y.z", "_INBOX.one.2"};
/* Two names: an event may find members of one and none of the other. */
static const char *const groups[] = {"", "workers ", "idlers "};
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
        bool is_asking;     /* with a reply subject of the publisher's own */
        bool is_unanswered; /* 503 came */
        uint32_t number;    /* of this publisher */
        uint32_t size;
        struct moment moment;
};

struct subscribed {
        uint16_t client;
        uint8_t pattern;
        uint8_t group; /* 0: none */
        uint32_t sid, max, got, got_at_limit;
        struct moment made, ended, limited;
        uint8_t *had;                  /* by event */
        uint32_t last_of[CLIENTS_MAX]; /* number + 1 of the last event of each publisher */
};

struct client {
        struct sim_peer *peer;
        bool echo, headers, no_responders;
        bool is_over; /* it has ended, or wants to */
        bool is_shut; /* it has said its last */
        size_t reactor;
        /* When the orderly end began. */
        bool was_over;
        uint64_t dropped_before; /* by its reactor */
        uint32_t next_sid, next_number;
        uint32_t pings_written, pongs_heard;
        uint64_t heard; /* messages */
        uint8_t *input;
        size_t input_bytes;
};

/* Asks the admin address; heads and bodies as they come. */
struct asker {
        struct sim_peer *peer;
        uint32_t asked, answered;
        uint8_t input[INPUT_BYTES_MAX];
        size_t input_bytes;
};

struct world {
        struct random random;
        struct cores *cores;
        struct lag_rules lag;
        struct io *io[REACTORS_MAX];
        struct reactor *reactors[REACTORS_MAX];
        struct epoch_reader *readers[REACTORS_MAX];
        uint64_t away_until_ns[REACTORS_MAX];
        size_t reactors_count;
        size_t asleep;    /* whose turn it is, while others turn inside */
        uint64_t turn_ns; /* how long those may take */
        bool is_settling, is_draining;
        size_t body_bytes_max;
        struct asker askers[ASKERS];
        struct client clients[CLIENTS_MAX];
        size_t clients_count;
        struct event_sent events[EVENTS_MAX];
        size_t events_count, events_max;
        struct subscribed subscriptions[SUBSCRIPTIONS_MAX];
        size_t subscriptions_count;
        uint32_t step;
        uint64_t delivered;
        uint64_t heard_hash; /* who heard what when: the network's own hash has the time of day in it, from /losses */
};

static struct world simulated;

static struct {
        uint64_t crossings, held, unanswered;
} totals;

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
        char line[160], reply[64] = "";
        if (world->events_count == world->events_max)
                return;
        struct event_sent *event = &world->events[world->events_count++];
        unsigned subject = (unsigned)random_below(&world->random, SUBJECTS);
        bool is_asking = client->no_responders && random_chance(&world->random, 1, 3);
        bool is_large = random_chance(&world->random, 1, 60);
        uint32_t size = 8 + (uint32_t)random_below(&world->random, is_large ? world->body_bytes_max : 200);
        *event = (struct event_sent){.publisher = (uint16_t)index,
                                     .subject = (uint8_t)subject,
                                     .is_asking = is_asking,
                                     .number = client->next_number++,
                                     .size = size,
                                     .moment = moment_now(world, client)};
        for (uint32_t i = 0; i < size; i++)
                body[i] = body_byte((uint32_t)index, event->number, i);
        uint32_t id = (uint32_t)(event - world->events);
        memcpy(body, &id, 4);
        memcpy(body + 4, &size, 4);
        if (event->is_asking)
                snprintf(reply, sizeof reply, "_INBOX.r%zu.%u ", index, id);
        if (client->headers && random_chance(&world->random, 1, 4)) {
                static const char headers[] = "NATS/1.0\r\nK: v\r\n\r\n";
                size_t head = sizeof headers - 1;
                snprintf(line, sizeof line, "HPUB %s %s%zu %zu\r\n%s", subjects[event->subject], reply, head,
                         head + size, headers);
        } else {
                snprintf(line, sizeof line, "PUB %s %s%u\r\n", subjects[event->subject], reply, size);
        }
        say_text(world, client, line);
        say(world, client, body, size);
        say_text(world, client, "\r\n");
}

static void do_subscribe_to(struct world *world, size_t index, unsigned pattern, unsigned group)
{
        struct client *client = &world->clients[index];
        char line[128];
        if (world->subscriptions_count == SUBSCRIPTIONS_MAX)
                return;
        struct subscribed *subscription = &world->subscriptions[world->subscriptions_count++];
        *subscription = (struct subscribed){.client = (uint16_t)index,
                                            .pattern = (uint8_t)pattern,
                                            .group = (uint8_t)group,
                                            .sid = ++client->next_sid,
                                            .made = moment_now(world, client),
                                            .ended = {.written_step = NEVER, .acked_step = NEVER}};
        subscription->had = calloc(world->events_max, 1);
        snprintf(line, sizeof line, "SUB %s %s%u\r\n", patterns[pattern], groups[group], subscription->sid);
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
        char line[300];
        *client = (struct client){.echo = !random_chance(&world->random, 1, 4)};
        client->headers = random_chance(&world->random, 3, 4);
        client->no_responders = client->headers && random_chance(&world->random, 1, 2);
        client->peer = sim_connect(world->io[0], 0);
        client->input = malloc(INPUT_BYTES_MAX);
        snprintf(line, sizeof line,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":%s,\"headers\":%s,\"no_responders\":%s,"
                 "\"protocol\":1}\r\n",
                 client->echo ? "true" : "false", client->headers ? "true" : "false",
                 client->no_responders ? "true" : "false");
        say_text(world, client, line);
        if (client->no_responders) {
                snprintf(line, sizeof line, "SUB _INBOX.r%zu.* %u\r\n", index, INBOX_SID);
                say_text(world, client, line);
        }
        /* Most clients are alike: they subscribe to the same things in the same order, and become cohorts. */
        unsigned kind = (unsigned)random_below(&world->random, 4);
        for (unsigned i = 0; i < kind; i++)
                do_subscribe_to(world, index, (kind * 3 + i) % PATTERNS, 0);
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

static void hear_message(struct world *world, size_t index, const char *subject, const char *reply, uint32_t sid,
                         const uint8_t *body, size_t size)
{
        uint32_t id, told;
        char asked[64] = "";
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
        if (event->is_asking)
                snprintf(asked, sizeof asked, "_INBOX.r%u.%u", event->publisher, id);
        must(strcmp(reply, asked) == 0, "event %u came with reply \"%s\"", id, reply);
        struct subscribed *subscription = NULL;
        for (size_t i = 0; i < world->subscriptions_count && subscription == NULL; i++)
                if (world->subscriptions[i].client == index && world->subscriptions[i].sid == sid)
                        subscription = &world->subscriptions[i];
        must(subscription != NULL, "client %zu got sid %u, which it never had", index, sid);
        must(pattern_matches(patterns[subscription->pattern], subject), "%s came for %s", subject,
             patterns[subscription->pattern]);
        must(!subscription->had[id], "event %u came twice to client %zu sid %u", id, index, sid);
        must(world->clients[index].echo || event->publisher != index, "client %zu hears itself", index);
        /* What a member of a group on another reactor could not take comes back, and goes to another later. */
        bool may_be_late = subscription->group != 0 && world->reactors_count > 1;
        must(subscription->last_of[event->publisher] <= event->number || may_be_late,
             "event %u of client %u came to client %zu sid %u behind number %u", id, event->publisher, index, sid,
             subscription->last_of[event->publisher] - 1);
        must(event->moment.acked_step >= subscription->made.written_step || may_be_late,
             "event %u was over before client %zu asked", id, index);
        must(event->moment.written_step <= subscription->ended.acked_step, "event %u came to client %zu after the end",
             id, index);
        subscription->got++;
        world->clients[index].heard++;
        bool is_limited = subscription->max != 0 && subscription->limited.acked_step != NEVER;
        must(!is_limited || subscription->got <= subscription->max || subscription->got <= subscription->got_at_limit,
             "client %zu sid %u got %u of at most %u", index, sid, subscription->got, subscription->max);
        if (subscription->last_of[event->publisher] < event->number + 1)
                subscription->last_of[event->publisher] = event->number + 1;
        subscription->had[id] = 1;
        world->delivered++;
        world->heard_hash = (world->heard_hash ^ id ^ (uint64_t)index << 32 ^ (uint64_t)world->step << 40) *
                            UINT64_C(0x9e3779b97f4a7c15);
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

static uint64_t counter_sum(const struct world *world, enum counter_id id)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < world->reactors_count; i++)
                sum += counter_read(&world->reactors[i]->counters, id);
        return sum;
}

/* Nobody was there for an event that asked. */
static void hear_unanswered(struct world *world, size_t index, const char *subject, const uint8_t *head, size_t size)
{
        unsigned asker, id;
        must(sscanf(subject, "_INBOX.r%u.%u", &asker, &id) == 2 && id < world->events_count, "503 came as %s", subject);
        must(size == 16 && memcmp(head, "NATS/1.0 503\r\n\r\n", 16) == 0, "%s got a head of %zu bytes", subject, size);
        struct event_sent *event = &world->events[id];
        must(asker == index && event->publisher == index, "client %zu heard what client %u asked", index, asker);
        must(event->is_asking && !event->is_unanswered, "event %u has its 503 already, or did not ask", id);
        event->is_unanswered = true;
}

/* "MSG subject sid [reply] bytes" or "HMSG subject sid [reply] head bytes"; returns the size of the whole, 0 when it is
 * not there yet. */
static size_t hear_delivery(struct world *world, size_t index, char *line, uint8_t *body, size_t size)
{
        char *words[7], *rest = line, *word;
        size_t count = 0;
        while (count < array_count(words) && (word = strsep(&rest, " ")) != NULL)
                words[count++] = word;
        bool is_headed = strcmp(words[0], "HMSG") == 0, is_message = strcmp(words[0], "MSG") == 0;
        size_t plain = is_headed ? 5 : 4; /* words without a reply subject */
        must((is_headed || is_message) && rest == NULL && (count == plain || count == plain + 1),
             "client %zu got %s %s %s", index, words[0], count > 1 ? words[1] : "", count > 2 ? words[2] : "");
        must(!is_headed || world->clients[index].headers, "client %zu got headers", index);
        size_t total = strtoul(words[count - 1], NULL, 10);
        size_t head = is_headed ? strtoul(words[count - 2], NULL, 10) : 0;
        unsigned sid = (unsigned)strtoul(words[2], NULL, 10);
        if (size < total + 2)
                return 0;
        must(head <= total && memcmp(body + total, "\r\n", 2) == 0, "client %zu got a message without an end", index);
        if (is_headed && head == total)
                hear_unanswered(world, index, words[1], body, head);
        else
                hear_message(world, index, words[1], count > plain ? words[3] : "", sid, body + head, total - head);
        return total + 2;
}

/* One operation at the start of the input; returns its size, 0 when it is not whole. */
static size_t hear_one(struct world *world, size_t index, uint8_t *input, size_t size)
{
        uint8_t *end = memchr(input, '\n', size);
        if (end == NULL)
                return 0;
        char line[256];
        size_t line_bytes = (size_t)(end - input) + 1;
        must(line_bytes < sizeof line || memcmp(input, "INFO", 4) == 0, "client %zu got a line of %zu bytes", index,
             line_bytes);
        snprintf(line, sizeof line, "%.*s", (int)(line_bytes - 2 < 250 ? line_bytes - 2 : 250), (char *)input);
        if (strcmp(line, "PONG") == 0) {
                hear_pong(world, index);
        } else if (strcmp(line, "PING") == 0) {
                if (!world->clients[index].is_shut)
                        say_text(world, &world->clients[index], "PONG\r\n");
        } else if (strcmp(line, "-ERR 'maximum connections exceeded'") == 0) {
                must(counter_sum(world, COUNT_CLOSED_REFUSED) > 0, "client %zu was refused for nothing", index);
                world->clients[index].is_over = true;
        } else if (strncmp(line, "INFO ", 5) != 0) {
                size_t body = hear_delivery(world, index, line, input + line_bytes, size - line_bytes);
                return body == 0 ? 0 : line_bytes + body;
        }
        return line_bytes;
}

static size_t reactor_of(const struct world *world, const struct sim_peer *peer)
{
        for (size_t i = 0; i < world->reactors_count; i++)
                if (world->io[i] == sim_peer_io(peer))
                        return i;
        return 0; /* nobody's */
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
        if (sim_peer_io(client->peer) != NULL)
                client->reactor = reactor_of(world, client->peer);
        if (sim_peer_is_ended(client->peer) || sim_peer_is_broken(client->peer))
                client->is_over = true;
}

/* ---- who asks the admin address ---- */

static const char *const questions[] = {"/losses",
                                        "/connections?limit=7",
                                        "/connections?sort=pending&limit=7",
                                        "/cohorts?limit=3",
                                        "/varz",
                                        "/connz?sort=pending&subs=detail&limit=9",
                                        "/connz?subs=1",
                                        "/losses?reactor=0&limit=3",
                                        "/explain?subject=a.b&limit=3",
                                        "/explain?subject=_INBOX.one.2",
                                        "/explain?subject=x.y",
                                        "/status",
                                        "/metrics"};

static bool is_gone(const struct asker *asker)
{
        return sim_peer_is_ended(asker->peer) || sim_peer_is_broken(asker->peer);
}

static void do_ask(struct world *world)
{
        struct asker *asker = &world->askers[random_below(&world->random, ASKERS)];
        char line[100];
        if (is_gone(asker))
                return;
        int size = snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                            questions[random_below(&world->random, array_count(questions))]);
        asker->asked++;
        sim_peer_write(asker->peer, span_of(line, (size_t)size));
}

/* One answer at the start of the input; returns its size, 0 when it is not whole. */
static size_t hear_answer(const struct world *world, const struct asker *asker, const char *input, size_t size)
{
        const char *body = memmem(input, size, "\r\n\r\n", 4);
        const char *length = memmem(input, size, "Content-Length: ", 16);
        if (body == NULL)
                return 0;
        must(length != NULL && length < body, "an answer without a length");
        must(strncmp(input, "HTTP/1.1 200 ", 13) == 0 || strncmp(input, "HTTP/1.1 503 ", 13) == 0, "an asker got %.20s",
             input);
        size_t whole = (size_t)(body + 4 - input) + strtoul(length + 16, NULL, 10);
        if (size < whole)
                return 0;
        must(asker->answered < asker->asked, "an answer too many");
        /* Each reactor that was asked has its part, once. */
        static const char head[] = "{\"reactors\":[", each[] = "{\"reactor\":";
        if (strncmp(body + 4, head, sizeof head - 1) == 0) {
                size_t parts = 0;
                for (const char *at = body;
                     (at = memmem(at, (size_t)(input + whole - at), each, sizeof each - 1)) != NULL; at++)
                        parts++;
                must(parts == world->reactors_count || parts == 1, "%zu of %zu reactors have answered", parts,
                     world->reactors_count);
        }
        return whole;
}

static void hear_askers(struct world *world)
{
        for (size_t i = 0; i < ASKERS; i++) {
                struct asker *asker = &world->askers[i];
                size_t got, one;
                while ((got = sim_peer_read(asker->peer, asker->input + asker->input_bytes,
                                            INPUT_BYTES_MAX - asker->input_bytes)) > 0) {
                        asker->input_bytes += got;
                        while ((one = hear_answer(world, asker, (char *)asker->input, asker->input_bytes)) > 0) {
                                asker->answered++;
                                asker->input_bytes -= one;
                                memmove(asker->input, asker->input + one, asker->input_bytes);
                        }
                }
        }
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
                do_subscribe_to(world, index, choice % PATTERNS,
                                random_chance(&world->random, 1, 4) ? 1 + (unsigned)random_below(&world->random, 2)
                                                                    : 0);
        else if (choice < 700)
                do_unsubscribe(world, index);
        else if (choice < 900)
                say_ping(world, client);
        else if (choice < 920)
                sim_peer_stall(client->peer);
        else if (choice < 980)
                sim_peer_resume(client->peer);
        else if (choice >= 990)
                do_ask(world);
        else if (choice < 984 && world->clients_count > 4) {
                client->is_over = true;
                if (random_chance(&world->random, 1, 2))
                        sim_peer_reset(client->peer);
                else {
                        client->is_shut = true;
                        sim_peer_shutdown(client->peer);
                }
        }
}

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

/* What somebody may have missed and stayed: by the policy of his subscriptions, also when memory runs short. */
static uint64_t skipped_count(const struct world *world, const struct account *account)
{
        bool may_skip = (lag_policies_in_use(&world->lag) & (1u << LAG_DROP_OLDEST | 1u << LAG_CONFLATE)) != 0;
        return account->dropped[LOSS_LAG_SKIP] + account->dropped[LOSS_CONFLATED] +
               (may_skip ? account->dropped[LOSS_MEMORY_SHED] : 0);
}

/* Whoever is still here has heard exactly what the account of his connection says. */
static void check_heard(const struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct client *client = &world->clients[i];
                if (client->is_over || sim_peer_is_broken(client->peer) || sim_peer_is_ended(client->peer))
                        continue;
                const struct reactor *reactor = world->reactors[client->reactor];
                const struct peer *peer = reactor->by_index[io_id_index(sim_peer_id(client->peer))];
                struct account account;
                uint64_t pending;
                lane_account(&peer->lane, &account, &pending);
                uint64_t skipped = skipped_count(world, &account);
                must(account.released == client->heard && pending == 0 && account_dropped(&account) == skipped,
                     "client %zu heard %llu: %llu released, %llu pending, %llu dropped, %llu of them skipped", i,
                     (unsigned long long)client->heard, (unsigned long long)account.released,
                     (unsigned long long)pending, (unsigned long long)account_dropped(&account),
                     (unsigned long long)skipped);
        }
}

/* One turn of one reactor, as the reader of published data that it is. */
static void turn_reactor(struct world *world, size_t number, uint64_t ns)
{
        struct epoch_reader *before = epoch_switch(world->readers[number]);
        reactor_turn(world->reactors[number], io_clock_ns(world->io[number]) + ns);
        epoch_switch(before);
        check_accounts(world->reactors[number]);
}

/* One that has its core and is not `asleep`; REACTORS_MAX: none. */
static size_t draw_reactor(struct world *world, size_t asleep)
{
        size_t first = random_below(&world->random, world->reactors_count);
        for (size_t i = 0; i < world->reactors_count; i++) {
                size_t number = (first + i) % world->reactors_count;
                if (number != asleep && world->away_until_ns[number] <= io_clock_ns(world->io[0]))
                        return number;
        }
        return REACTORS_MAX;
}

/* Whose turn it is sleeps: the others go on, and may wake it. */
static bool let_others(void *context)
{
        struct world *world = context;
        size_t number = draw_reactor(world, world->asleep);
        const struct bell *bell = &world->cores->core[world->asleep].bell;
        must(world->reactors_count == 1 || atomic_load(&bell->is_asleep), "reactor %zu sleeps where no bell wakes it",
             world->asleep);
        if (number == REACTORS_MAX)
                return false;
        turn_reactor(world, number, random_below(&world->random, world->turn_ns + 1));
        return true;
}

static void turn(struct world *world, uint64_t ns)
{
        if (world->reactors_count > 1 && !world->is_settling && random_chance(&world->random, 1, 50)) {
                size_t away = random_below(&world->random, world->reactors_count);
                world->away_until_ns[away] = io_clock_ns(world->io[0]) + random_below(&world->random, 5 * NS_PER_MS);
                sim_keep_away(world->io[away], world->away_until_ns[away]);
        }
        size_t number = draw_reactor(world, REACTORS_MAX);
        if (number == REACTORS_MAX)
                number = 0; /* all are away, but somebody must move the clock */
        world->asleep = number;
        world->turn_ns = ns;
        turn_reactor(world, number, ns);
        world->step++;
        for (size_t i = 0; i < world->clients_count; i++)
                hear(world, i);
        hear_askers(world);
}

/* Everything that is still under way arrives, everybody who lives has heard a PONG behind his last word. */
static void settle(struct world *world)
{
        world->is_settling = true;
        for (size_t i = 0; i < world->clients_count; i++) {
                sim_peer_resume(world->clients[i].peer);
                if (!world->clients[i].is_over)
                        say_ping(world, &world->clients[i]);
        }
        uint64_t settled_ns = 0; /* late acknowledgements take their time, too */
        for (int turns = 0; turns < 200000; turns++) {
                bool is_settled = true;
                turn(world, 5 * NS_PER_MS);
                for (size_t i = 0; i < world->clients_count; i++) {
                        struct client *client = &world->clients[i];
                        sim_peer_resume(client->peer);
                        is_settled &= client->is_over ||
                                      (client->pongs_heard == client->pings_written && client->input_bytes == 0);
                }
                for (size_t i = 0; i < ASKERS; i++) {
                        sim_peer_resume(world->askers[i].peer);
                        is_settled &= is_gone(&world->askers[i]) || world->askers[i].answered == world->askers[i].asked;
                }
                if (!is_settled || settled_ns == 0)
                        settled_ns = io_clock_ns(world->io[0]);
                if (is_settled && io_clock_ns(world->io[0]) >= settled_ns + 250 * NS_PER_MS) {
                        world->is_settling = false;
                        return;
                }
        }
        must(false, "not settled: somebody waits for a PONG for ever");
}

/* ---- what must have come, and what cannot ---- */

static bool is_for(const struct world *world, const struct subscribed *subscription, const struct event_sent *event)
{
        return pattern_matches(patterns[subscription->pattern], subjects[event->subject]) &&
               (world->clients[subscription->client].echo || event->publisher != subscription->client);
}

/* Known to have been published: acknowledged, or somebody has had it, or one behind it of the same publisher. */
static bool is_taken(const struct event_sent *event, const uint32_t heard_of[CLIENTS_MAX])
{
        return event->moment.acked_step != NEVER || event->number < heard_of[event->publisher];
}

/* This subscription was there all the while that the event was on its way; of a group, one such has to have it. */
static bool is_due(const struct world *world, const struct subscribed *subscription, const struct event_sent *event)
{
        return is_for(world, subscription, event) && subscription->made.acked_step != NEVER &&
               event->moment.written_step > subscription->made.acked_step && subscription->max == 0 &&
               (event->moment.acked_step < subscription->ended.written_step ||
                subscription->ended.written_step == NEVER);
}

/* It may have been there for a part of that. */
static bool is_possible(const struct world *world, const struct subscribed *subscription,
                        const struct event_sent *event)
{
        return is_for(world, subscription, event) && event->moment.acked_step >= subscription->made.written_step &&
               event->moment.written_step <= subscription->ended.acked_step;
}

/* What its reactor has dropped, and whom it has cut: they are owed nothing more, so nothing may have been dropped. */
static uint64_t dropped_beside(const struct world *world, const struct client *client)
{
        const struct reactor *reactor = world->reactors[client->reactor];
        return account_dropped(&reactor->lanes.account) + counter_read(&reactor->counters, COUNT_CLOSED_SLOW) +
               counter_read(&reactor->counters, COUNT_CLOSED_MEMORY);
}

/* A reactor that has let somebody pass over events may have done so to anybody. */
static bool has_skipped(const struct world *world, const struct client *client)
{
        return skipped_count(world, &world->reactors[client->reactor]->lanes.account) > 0;
}

/* It has not stayed until the end, or was slow and has been cut, or shares its reactor with one who was. */
static bool may_miss_the_end(const struct world *world, const struct client *client)
{
        if (!world->is_draining)
                return client->is_over;
        return client->was_over || sim_peer_is_broken(client->peer) ||
               dropped_beside(world, client) != client->dropped_before;
}

/* Exactly one member of a group, unless the one that was picked may have gone. */
static void check_group(const struct world *world, size_t e, unsigned group, bool is_sure)
{
        unsigned members = 0;
        bool is_wanted = false;
        for (size_t s = 0; s < world->subscriptions_count; s++) {
                const struct subscribed *subscription = &world->subscriptions[s];
                const struct client *client = &world->clients[subscription->client];
                if (subscription->group != group)
                        continue;
                members += subscription->had[e];
                is_wanted |= is_due(world, subscription, &world->events[e]);
                if (is_possible(world, subscription, &world->events[e]))
                        is_sure &= !may_miss_the_end(world, client) && !has_skipped(world, client);
        }
        must(members <= 1, "event %zu reached %u members of one group", e, members);
        must(members == 1 || !is_wanted || !is_sure, "event %zu reached no member of the group", e);
}

/* Who asked where nobody was knows it, and nobody else thinks so. */
static void check_asked(const struct world *world, size_t e)
{
        const struct event_sent *event = &world->events[e];
        bool is_nobody = true;
        for (size_t s = 0; s < world->subscriptions_count; s++) {
                const struct subscribed *subscription = &world->subscriptions[s];
                bool is_sure = is_due(world, subscription, event) &&
                               !may_miss_the_end(world, &world->clients[subscription->client]);
                is_nobody &= !is_possible(world, subscription, event);
                must(!event->is_unanswered || !(subscription->had[e] || is_sure),
                     "event %zu got a 503 while client %u was there", e, subscription->client);
        }
        must(!is_nobody || event->is_unanswered || event->moment.acked_step == NEVER ||
                     may_miss_the_end(world, &world->clients[event->publisher]),
             "event %zu asked where nobody was, and its publisher has heard no 503", e);
}

static void check_dues(const struct world *world)
{
        uint32_t heard_of[CLIENTS_MAX] = {0}; /* number + 1 of the last event of each that anybody has had */
        for (size_t s = 0; s < world->subscriptions_count; s++)
                for (size_t c = 0; c < world->clients_count; c++)
                        if (world->subscriptions[s].last_of[c] > heard_of[c])
                                heard_of[c] = world->subscriptions[s].last_of[c];
        for (size_t s = 0; s < world->subscriptions_count; s++) {
                const struct subscribed *subscription = &world->subscriptions[s];
                const struct client *client = &world->clients[subscription->client];
                for (size_t e = 0; e < world->events_count; e++) {
                        const struct event_sent *event = &world->events[e];
                        if (subscription->had[e] || subscription->group != 0 || !is_taken(event, heard_of) ||
                            !is_due(world, subscription, event))
                                continue;
                        /* Who left early may miss the end, but nothing in front of what he had. */
                        must((may_miss_the_end(world, client) &&
                              subscription->last_of[event->publisher] <= event->number) ||
                                     has_skipped(world, client),
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
                for (unsigned group = 1; group < array_count(groups); group++)
                        check_group(world, e, group, is_taken(&world->events[e], heard_of));
                if (world->events[e].is_asking)
                        check_asked(world, e);
        }
}

/* What becomes of those who lag; NULL: they are cut. */
static const struct lag_rules *draw_lag(struct world *world, uint64_t lag_bytes_max)
{
        static const char *const rules[] = {"", "a.>=conflate", "b=drop-oldest,x.>=block", "a.b=block,>=conflate"};
        struct lag lag = {.policy = (enum lag_policy)random_below(&world->random, LAG_POLICIES),
                          .limit_bytes = lag_bytes_max};
        const char *text = rules[random_below(&world->random, array_count(rules))];
        char error[OPTIONS_ERROR_BYTES] = "";
        if (random_chance(&world->random, 1, 2))
                return NULL;
        must(lag_rules_init(&world->lag, lag, lag_bytes_max, text, "", error) == 0, "%s", error);
        return &world->lag;
}

/* All reactors listen on one address; none turns before all are made. */
static void start_reactors(struct world *world, const struct sim_settings *sim)
{
        /* Small mailboxes are full often; what a client may publish has to fit twice. */
        size_t mailbox_bytes = (size_t)8192 << random_below(&world->random, 7);
        bool is_alone = random_chance(&world->random, 1, 4);
        world->reactors_count = is_alone ? 1 : 2 + random_below(&world->random, REACTORS_MAX - 1);
        world->body_bytes_max = is_alone || mailbox_bytes / 4 > 150000 ? 150000 : mailbox_bytes / 4;
        struct cores_settings cores = {.count = (unsigned)world->reactors_count,
                                       .mailbox_bytes = mailbox_bytes,
                                       .patterns_max = 10000,
                                       .record_ids_max = random_below(&world->random, 4),
                                       .secret = "a secret of 16b"};
        uint64_t lag_bytes_max = (uint64_t)1 << (17 + random_below(&world->random, 6));
        uint64_t stall_ns_max = (5 * NS_PER_MS) << random_below(&world->random, 12);
        uint64_t quiet_ns = random_below(&world->random, 10 * NS_PER_MS);
        const struct lag_rules *lag = draw_lag(world, lag_bytes_max);
        /* None, so few that they push each other out, or enough for all subjects. */
        static const uint32_t cache_lines[] = {0, 1, 2, 1024};
        bool is_paced = random_chance(&world->random, 1, 2), is_rated = random_chance(&world->random, 1, 4);
        uint32_t turn_changes = is_paced ? 1 + (uint32_t)random_below(&world->random, 4) : 0;
        uint32_t subscribe_rate = is_rated ? 10u << random_below(&world->random, 12) : 0;
        struct reactor_settings settings = {
                .memory_bytes = (size_t)4 << (20 + random_below(&world->random, 5)),
                .lag_bytes_max = lag_bytes_max,
                .stall_ns_max = stall_ns_max,
                .handshake_ns = 100 * NS_PER_S,
                .quiet_ns = quiet_ns,
                .ping_interval_ns = seed_now % 3 == 0 ? 2 * NS_PER_S : 120 * NS_PER_S,
                .pings_out_max = 20,
                .conns_max = CLIENTS_MAX,
                .cache_lines = cache_lines[seed_now % array_count(cache_lines)],
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
                .lag = lag,
                .lag_policies = {lag == NULL ? LAG_DISCONNECT : lag->lag.policy},
                .block_ns = stall_ns_max / 2,
                .turn_changes = turn_changes,
                .subscribe_rate = subscribe_rate,
                .subscribe_burst = 1 + (uint32_t)random_below(&world->random, 5),
        };
        struct io_settings io = {.backend = IO_BACKEND_SIM, .conns_max = CLIENTS_MAX + 64};
        char bound[IO_ADDRESS_BYTES_MAX];
        must(cores_new(&world->cores, &cores) == 0, "no memory");
        for (size_t i = 0; i < world->reactors_count; i++) {
                int error = i == 0 ? sim_start(&world->io[i], &io, sim) : sim_join(&world->io[i], world->io[0], &io);
                must(error == 0, "no memory");
                epoch_register();
                settings.number = (unsigned)i;
                settings.seed = seed_now + 1 + i * 1000003;
                must(reactor_new(&world->reactors[i], &settings, world->cores, world->io[i]) == 0, "no memory");
                enum io_sharing sharing = i == 0 ? IO_SHARED_FIRST : IO_SHARED_JOINS;
                must(reactor_listen_shared(world->reactors[i], "10.0.0.1:4222", sharing, &session_protocol, bound) == 0,
                     "cannot listen");
                world->readers[i] = epoch_switch(NULL);
                if (i > 0 && random_chance(&world->random, 1, 4)) /* starts late */
                        world->away_until_ns[i] =
                                io_now_ns(world->io[0]) + random_below(&world->random, 20 * NS_PER_MS);
        }
        must(reactor_listen(world->reactors[0], "10.0.0.1:8222", &admin_protocol, bound) == 0, "cannot listen");
        for (size_t i = 0; i < ASKERS; i++)
                world->askers[i].peer = sim_connect(world->io[0], 1);
        if (random_chance(&world->random, 3, 4))
                sim_on_sleep(world->io[0], let_others, world);
}

static void stop_reactors(struct world *world, bool is_drained)
{
        for (size_t i = 0; is_drained && i < world->reactors_count; i++) {
                const struct reactor *reactor = world->reactors[i];
                must(reactor->lanes.memory.taken_bytes == 0,
                     "%zu bytes of stream memory of reactor %zu did not come back", reactor->lanes.memory.taken_bytes,
                     i);
                must(reactor->lanes.spans.objects_taken == 0, "closed spans of reactor %zu did not come back", i);
                must(memcmp(&reactor->lanes.account, &reactor->lanes.closed, sizeof(struct account)) == 0,
                     "all are gone, and their accounts are not complete");
                must(reactor->routes.subscriptions_count == 0, "subscriptions are left on reactor %zu", i);
        }
        totals.crossings += counter_sum(world, COUNT_CROSSINGS);
        totals.held += counter_sum(world, COUNT_PUBLISHERS_HELD);
        totals.unanswered += counter_sum(world, COUNT_NO_RESPONDERS);
        for (size_t i = world->reactors_count; i-- > 0;) {
                epoch_switch(world->readers[i]);
                reactor_free(world->reactors[i]);
                world->reactors[i] = NULL;
                epoch_unregister();
        }
        cores_free(world->cores);
        for (size_t i = 0; i < world->clients_count; i++)
                free(world->clients[i].input);
        for (size_t i = 0; i < world->subscriptions_count; i++)
                free(world->subscriptions[i].had);
}

static uint64_t patterns_count(const struct world *world)
{
        return match_patterns_count(world->cores->table);
}

static uint32_t peers_count(const struct world *world)
{
        uint32_t count = 0;
        for (size_t i = 0; i < world->reactors_count; i++)
                count += world->reactors[i]->peers_count;
        return count;
}

/* The orderly end, as reactor 0 is told to bring it about, in the middle of a burst. */
static void drain(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                struct client *client = &world->clients[i];
                client->was_over = client->is_over;
                client->dropped_before = dropped_beside(world, client);
        }
        world->is_draining = true;
        size_t publishes = random_below(&world->random, DRAIN_EVENTS_MAX);
        size_t turns = 0, drain_at = random_below(&world->random, 200);
        uint64_t drain_ns = random_below(&world->random, NS_PER_S);
        for (; turns < 400000 && (turns <= drain_at || peers_count(world) > 0 || patterns_count(world) > 0); turns++) {
                for (size_t i = 0; i < world->clients_count; i++)
                        sim_peer_resume(world->clients[i].peer);
                for (size_t i = 0; i < ASKERS; i++)
                        sim_peer_resume(world->askers[i].peer);
                size_t index = random_below(&world->random, world->clients_count);
                if (turns >= drain_at / 2 && publishes > 0 && !world->clients[index].is_over) {
                        do_publish(world, index);
                        publishes--;
                }
                if (random_chance(&world->random, 1, 10))
                        do_ask(world);
                if (turns == drain_at) {
                        epoch_switch(world->readers[0]);
                        reactor_drain(world->reactors[0], 10 * NS_PER_S, drain_ns);
                        epoch_switch(NULL);
                }
                turn(world, turns < drain_at ? random_below(&world->random, NS_PER_MS) : 5 * NS_PER_MS);
        }
        must(peers_count(world) == 0, "%u connections do not end", peers_count(world));
        must(patterns_count(world) == 0, "patterns are left");
        must(sim_lent_bytes(world->io[0]) == 0, "bytes are still lent");
        check_dues(world);
}

/* The other end: in the middle of things all reactors turn no more, and are freed with all that they hold. */
static void halt(struct world *world)
{
        for (unsigned i = random_below(&world->random, 50) != 0 ? DRAIN_EVENTS_MAX : 0; i > 0; i--) {
                act(world);
                turn(world, random_below(&world->random, NS_PER_MS));
        }
        epoch_switch(world->readers[0]);
        reactor_halt_others(world->reactors[0]);
        epoch_switch(NULL);
        for (size_t i = 1; i < world->reactors_count; i++)
                for (int turns = 0; !world->reactors[i]->is_halted; turns++) {
                        must(turns < 1000, "reactor %zu does not halt", i);
                        turn_reactor(world, i, 0);
                }
}

static uint64_t run_seed(uint64_t seed, bool is_traced, uint64_t *delivered)
{
        struct world *world = &simulated;
        seed_now = seed;
        *world = (struct world){0};
        random_init(&world->random, seed);
        struct sim_settings sim = sim_settings_rough(seed, seed % 2 == 0 ? SIM_KERNEL : SIM_TCP);
        /* Tiny segments and windows are sim_stream's; here they would only make a megabyte take an hour. */
        if (sim.segment_bytes_max < 512)
                sim.segment_bytes_max = 512;
        if (sim.window_bytes < 4096)
                sim.window_bytes = 4096;
        sim.trace = is_traced ? stderr : NULL;
        start_reactors(world, &sim);

        world->events_max = 300 + random_below(&world->random, 900) + DRAIN_EVENTS_MAX;
        size_t clients = 3 + random_below(&world->random, 12);
        for (size_t i = 0; i < clients; i++)
                do_connect(world);
        uint64_t pace_ns = (uint64_t)1000 << random_below(&world->random, 12);
        for (size_t i = 0; i < 2 * world->events_max && world->events_count < world->events_max - DRAIN_EVENTS_MAX;
             i++) {
                uint64_t acts = random_below(&world->random, 4);
                for (uint64_t a = 0; a < acts; a++)
                        act(world);
                turn(world, random_below(&world->random, pace_ns));
        }
        settle(world); /* every event has been published … */
        settle(world); /* … and whoever got some of them has heard a PONG behind the last */
        check_dues(world);
        check_heard(world);
        bool is_drained = !random_chance(&world->random, 1, 8);
        if (is_drained)
                drain(world);
        else
                halt(world);
        uint64_t hash = world->heard_hash ^ sim_steps(world->io[0]);
        *delivered += world->delivered;
        stop_reactors(world, is_drained);
        return hash;
}

/* What the engine says of itself, beside a failure. */
static void dump_world(void)
{
        for (size_t r = 0; r < simulated.reactors_count && simulated.reactors[r] != NULL; r++) {
                const struct reactor *reactor = simulated.reactors[r];
                for (size_t i = 0; i < COUNTERS_COUNT; i++)
                        if (counter_read(&reactor->counters, i) != 0)
                                fprintf(stderr, "  reactor %zu: %s{%s} %llu\n", r, counter_rows[i].name,
                                        counter_rows[i].labels,
                                        (unsigned long long)counter_read(&reactor->counters, i));
                fprintf(stderr, "  reactor %zu: dropped %llu shed %llu\n", r,
                        (unsigned long long)account_dropped(&reactor->lanes.account),
                        (unsigned long long)reactor->lanes.shed_count);
        }
        for (size_t i = 0; i < simulated.clients_count; i++) {
                const struct client *client = &simulated.clients[i];
                fprintf(stderr, "  client %zu: %u of %u pongs, %zu bytes half heard, %zu unsent%s%s%s%s\n", i,
                        client->pongs_heard, client->pings_written, client->input_bytes,
                        sim_peer_unsent_bytes(client->peer), client->is_over ? ", over" : "",
                        client->echo ? "" : ", no echo", client->headers ? ", headers" : "",
                        sim_peer_is_broken(client->peer) ? ", broken" : "");
        }
        fprintf(stderr, "  %zu rules, otherwise %s\n", simulated.lag.rules_count,
                lag_policy_name(simulated.lag.lag.policy));
        fprintf(stderr, "  %llu ms, mode %s\n", (unsigned long long)(io_now_ns(simulated.io[0]) / NS_PER_MS),
                seed_now % 2 == 0 ? "kernel" : "tcp");
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
        for (uint64_t seed = first; seed < first + count; seed++)
                run_seed(seed, is_traced, &delivered);
        if (count > 1)
                must(run_seed(first, false, &delivered) == run_seed(first, false, &delivered),
                     "the same seed went another way");
        printf("%llu seeds, %llu deliveries checked, %llu events from reactor to reactor, %llu times a publisher held, "
               "%llu 503\n",
               (unsigned long long)count, (unsigned long long)delivered, (unsigned long long)totals.crossings,
               (unsigned long long)totals.held, (unsigned long long)totals.unanswered);
        return 0;
}
