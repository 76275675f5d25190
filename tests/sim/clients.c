/* clients: see the header. */
#include "tests/sim/clients.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/host.h"
#include "tests/sim/rights.h"

#define BODY_BYTES_MAX 150000
#define NOISE_BYTES ((size_t)1 << 18)
#define HOARD_EACH 1500 /* subscriptions that one hoarder takes on at once, at most */
#define SUBSCRIPTION_OF_NONE UINT32_MAX

/* Each event's body is a stretch of this, so that to compare it is a memcmp. */
static uint8_t noise[NOISE_BYTES + BODY_BYTES_MAX];

static void make_noise(void)
{
        struct random random;
        random_init(&random, 7);
        for (size_t i = 0; i < sizeof noise; i++)
                noise[i] = (uint8_t)random_next(&random);
}

static const uint8_t *body_of(const struct event_sent *event)
{
        uint64_t mixed = ((uint64_t)event->publisher << 32 | event->number) * UINT64_C(0x9e3779b97f4a7c15);
        return noise + (mixed >> 40) % NOISE_BYTES;
}

/* ---- what clients say ---- */

static void say(const struct client *client, const void *bytes, size_t size)
{
        sim_peer_write(client->peer, span_of(bytes, size));
}

static void say_text(const struct client *client, const char *text)
{
        say(client, text, strlen(text));
}

static void *grown(void *array, uint32_t count, uint32_t *room, size_t size)
{
        if (count < *room)
                return array;
        *room = *room == 0 ? 64 : 2 * *room;
        array = realloc(array, *room * size);
        must(array != NULL, "no memory");
        return array;
}

/* The next PONG that answers a PING behind this brings it about. */
static struct moment promise(const struct world *world, struct client *client, int kind, size_t index)
{
        if (client->promises_first == client->promises_count)
                client->promises_first = client->promises_count = 0;
        uint32_t room = (uint32_t)client->promises_room;
        client->promises = grown(client->promises, (uint32_t)client->promises_count, &room, sizeof *client->promises);
        client->promises_room = room;
        client->promises[client->promises_count++] =
                (struct promise){.ping = client->pings_written, .kind = (unsigned)kind, .index = (uint32_t)index};
        return (struct moment){.written_step = world->step, .acked_step = NEVER};
}

void clients_ping(struct world *world, size_t index)
{
        world->clients[index].pings_written++;
        say_text(&world->clients[index], "PING\r\n");
}

static struct topic draw_subject(struct world *world)
{
        /* Half of all go to three subjects, so that those who read fall behind. */
        bool is_busy = random_chance(&world->random, 1, 2);
        struct topic subject = {.kind = (uint8_t)random_below(&world->random, is_busy ? 3 : SUBJECTS)};
        if (world_has(world, TWIST_HOARD) && random_chance(&world->random, 1, 12))
                subject = (struct topic){.kind = SUBJECT_HOARD,
                                         .hoard = (uint16_t)random_below(&world->random, 2 * HOARD_EACH)};
        return subject;
}

void clients_publish(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        static uint8_t whole[BODY_BYTES_MAX + 512];
        char subject[SUBJECT_TEXT_BYTES], reply[64] = "";
        if (world->events_count == world->events_max)
                return;
        struct event_sent *event = &world->events[world->events_count];
        uint32_t id = (uint32_t)world->events_count++;
        bool is_asking = client->no_responders && random_chance(&world->random, 1, 3);
        bool is_large = random_chance(&world->random, 1, 80) && world_has(world, TWIST_LARGE);
        uint32_t size = 8 + (uint32_t)random_below(&world->random, is_large ? world->body_bytes_max - 8 : 200);
        *event = (struct event_sent){.publisher = (uint16_t)index,
                                     .subject = draw_subject(world),
                                     .is_asking = is_asking,
                                     .number = client->next_number++,
                                     .size = size,
                                     .moment = promise(world, client, PROMISE_EVENT, id)};
        topic_text(event->subject, subject);
        if (event->is_asking)
                snprintf(reply, sizeof reply, "_INBOX.r%zu.%u ", index, id);
        size_t head;
        if (client->headers && random_chance(&world->random, 1, 4)) {
                static const char headers[] = "NATS/1.0\r\nK: v\r\n\r\n";
                head = (size_t)sprintf((char *)whole, "HPUB %s %s%zu %zu\r\n%s", subject, reply, sizeof headers - 1,
                                       sizeof headers - 1 + size, headers);
        } else {
                head = (size_t)sprintf((char *)whole, "PUB %s %s%u\r\n", subject, reply, size);
        }
        memcpy(whole + head, body_of(event), size);
        memcpy(whole + head, &id, 4);
        memcpy(whole + head + 4, &size, 4);
        memcpy(whole + head + size, "\r\n", 2);
        say(client, whole, head + size + 2);
        sim_note(world->io[0], "PUB", (uint32_t)index, id, event->subject.kind);
}

/* Returns what there is to say, in `line`. */
static int subscription_line(struct world *world, size_t index, struct wish wish, char line[128])
{
        struct client *client = &world->clients[index];
        char pattern[SUBJECT_TEXT_BYTES];
        if (world->subscriptions_count == SUBSCRIPTIONS_MAX)
                return 0;
        uint32_t number = (uint32_t)world->subscriptions_count++, sid = client->sids_count;
        client->subscriptions =
                grown(client->subscriptions, client->sids_count, &client->sids_room, sizeof *client->subscriptions);
        client->subscriptions[client->sids_count++] = number;
        world->subscriptions[number] = (struct subscribed){.client = (uint16_t)index,
                                                           .wish = wish,
                                                           .sid = sid,
                                                           .made = promise(world, client, PROMISE_MADE, number),
                                                           .ended = {.written_step = NEVER, .acked_step = NEVER}};
        wish_text(wish, pattern);
        return snprintf(line, 128, "SUB %s %s%u\r\n", pattern, group_text(wish.group), sid);
}

static void subscribe(struct world *world, size_t index, struct wish wish)
{
        char line[128];
        say(&world->clients[index], line, (size_t)subscription_line(world, index, wish, line));
        sim_note(world->io[0], "SUB", (uint32_t)index, wish.pattern, wish.group);
}

/* Thousands at a time, so that a turn cannot take them all, and its leaving is long. */
static void hoard(struct world *world, size_t index)
{
        static char lines[HOARD_EACH * 64];
        size_t size = 0, count = HOARD_EACH / 10 + random_below(&world->random, HOARD_EACH * 9 / 10);
        uint16_t first = (uint16_t)random_below(&world->random, HOARD_EACH);
        for (size_t i = 0; i < count; i++)
                size += (size_t)subscription_line(
                        world, index, (struct wish){.pattern = PATTERN_HOARD, .hoard = (uint16_t)(first + i)},
                        lines + size);
        say(&world->clients[index], lines, size);
        sim_note(world->io[0], "hoard", (uint32_t)index, first, count);
}

static void unsubscribe(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        char line[64];
        if (client->sids_count <= 1)
                return;
        uint32_t number = client->subscriptions[1 + random_below(&world->random, client->sids_count - 1)];
        struct subscribed *subscription = &world->subscriptions[number];
        if (subscription->ended.written_step != NEVER || subscription->max != 0)
                return;
        if (random_chance(&world->random, 1, 4) && world_has(world, TWIST_LIMITED)) {
                subscription->max = 1 + (uint32_t)random_below(&world->random, 30);
                subscription->limited = promise(world, client, PROMISE_LIMITED, number);
                snprintf(line, sizeof line, "UNSUB %u %u\r\n", subscription->sid, subscription->max);
        } else {
                subscription->ended = promise(world, client, PROMISE_ENDED, number);
                snprintf(line, sizeof line, "UNSUB %u\r\n", subscription->sid);
        }
        say_text(client, line);
        sim_note(world->io[0], "UNSUB", (uint32_t)index, subscription->sid, subscription->max);
}

void clients_join(struct world *world)
{
        if (world->clients_count == CLIENTS_MAX)
                return;
        size_t index = world->clients_count++;
        struct client *client = &world->clients[index];
        char line[400];
        if (noise[0] == noise[1])
                make_noise();
        *client = (struct client){.echo = !random_chance(&world->random, 1, 4), .sids_count = 1};
        client->headers = random_chance(&world->random, 3, 4);
        client->no_responders = client->headers && random_chance(&world->random, 1, 2);
        client->hears_lag = random_chance(&world->random, 1, 2);
        client->hoards = random_chance(&world->random, 1, 20) && world_has(world, TWIST_HOARD);
        client->user = (uint8_t)random_below(&world->random, USERS);
        client->joined_step = world->step;
        client->peer = sim_connect(world->io[0], 0);
        client->subscriptions = grown(NULL, 0, &client->sids_room, sizeof *client->subscriptions);
        client->subscriptions[0] = SUBSCRIPTION_OF_NONE; /* sids begin with 1 */
        snprintf(line, sizeof line,
                 "CONNECT {\"verbose\":%s,\"pedantic\":false,\"echo\":%s,\"headers\":%s,\"no_responders\":%s,"
                 "\"protocol\":1%s}\r\n",
                 random_chance(&world->random, 1, 8) ? "true" : "false", client->echo ? "true" : "false",
                 client->headers ? "true" : "false", client->no_responders ? "true" : "false",
                 rights_login(world, client->user));
        say_text(client, line);
        if (client->no_responders) {
                snprintf(line, sizeof line, "SUB _INBOX.r%zu.* %u\r\n", index, INBOX_SID);
                say_text(client, line);
        }
        if (client->hears_lag) {
                snprintf(line, sizeof line, "SUB $SPATE.LAG %u\r\n", LAG_SID);
                say_text(client, line);
        }
        /* Most clients are alike: they subscribe to the same things in the same order, and become cohorts. */
        unsigned kind = (unsigned)random_below(&world->random, 5);
        for (unsigned i = 0; i < kind + 1; i++)
                subscribe(world, index, (struct wish){.pattern = (uint8_t)((kind * 3 + i) % PATTERNS)});
        if (random_chance(&world->random, 1, 3))
                subscribe(world, index, (struct wish){.pattern = PATTERN_ALL});
        if (client->hoards)
                hoard(world, index);
        clients_ping(world, index);
}

static void leave(struct world *world, struct client *client)
{
        client->is_over = true;
        switch (random_below(&world->random, 4)) {
        case 0:
        case 1:
                sim_peer_reset(client->peer);
                break;
        case 2:
                client->is_shut = true;
                sim_peer_close(client->peer);
                break;
        default:
                client->is_shut = true;
                sim_peer_shutdown(client->peer);
        }
}

/* Of a thousand: */
void clients_act(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        uint64_t choice = random_below(&world->random, 1000);
        if (client->is_over)
                return;
        if (choice < 700) {
                for (uint64_t i = random_below(&world->random, 4) == 0 ? random_below(&world->random, 12) : 1; i > 0;
                     i--)
                        clients_publish(world, index);
        } else if (choice < 740) {
                struct wish wish = {.pattern = (uint8_t)random_below(&world->random, PATTERNS)};
                if (random_chance(&world->random, 1, 4) && world_has(world, TWIST_GROUPS))
                        wish = (struct wish){.pattern = wish.pattern % 5, /* few, so that groups have members */
                                             .group = (uint8_t)(1 + random_below(&world->random, SUBJECT_GROUPS - 1))};
                subscribe(world, index, wish);
        } else if (choice < 800) {
                unsubscribe(world, index);
        } else if (choice < 900) {
                clients_ping(world, index);
        } else if (choice < 930) {
                if (world_has(world, TWIST_STALL))
                        sim_peer_stall(client->peer);
        } else if (choice < 990) {
                sim_peer_resume(client->peer);
        } else if (choice < 994) {
                if (!world_has(world, TWIST_LEAVE))
                        return;
                /* Its last words are answered when it is gone, and another has its place. */
                for (uint64_t i = random_below(&world->random, 5); i > 0; i--)
                        clients_publish(world, index);
                leave(world, client);
                if (random_chance(&world->random, 1, 2) && world_has(world, TWIST_JOIN))
                        clients_join(world);
        } else if (choice < 995) {
                if (client->hoards)
                        hoard(world, index);
        }
}

/* ---- what clients hear ---- */

/* A word of a line, up to the blank behind it. */
static struct span word_take(struct span *line)
{
        size_t size = 0;
        while (size < line->size && line->bytes[size] != ' ')
                size++;
        struct span word = span_of(line->bytes, size);
        size_t taken = size < line->size ? size + 1 : size;
        *line = span_of(line->bytes + taken, line->size - taken);
        return word;
}

static uint32_t number_of(const struct world *world, struct span word)
{
        uint64_t number = 0;
        (void)world;
        must(word.size > 0 && word.size < 10, "\"%.*s\" for a number", (int)word.size, (const char *)word.bytes);
        for (size_t i = 0; i < word.size; i++) {
                must(word.bytes[i] >= '0' && word.bytes[i] <= '9', "\"%.*s\" for a number", (int)word.size,
                     (const char *)word.bytes);
                number = number * 10 + (uint64_t)(word.bytes[i] - '0');
        }
        return (uint32_t)number;
}

static struct subscribed *subscription_of(struct world *world, size_t index, uint32_t sid)
{
        const struct client *client = &world->clients[index];
        must(sid > 0 && sid < client->sids_count, "client %zu got sid %u, which it never had", index, sid);
        return &world->subscriptions[client->subscriptions[sid]];
}

static void hear_message(struct world *world, size_t index, struct span subject, struct span reply, uint32_t sid,
                         struct span body)
{
        struct client *client = &world->clients[index];
        char text[SUBJECT_TEXT_BYTES];
        uint32_t id, told;
        must(body.size >= 8, "client %zu got %zu bytes", index, body.size);
        memcpy(&id, body.bytes, 4);
        memcpy(&told, body.bytes + 4, 4);
        must(id < world->events_count, "client %zu got event %u of %zu", index, id, world->events_count);
        const struct event_sent *event = &world->events[id];
        must(told == event->size && body.size == event->size, "event %u came with %zu bytes instead of %u", id,
             body.size, event->size);
        must(memcmp(body.bytes + 8, body_of(event) + 8, event->size - 8) == 0, "event %u has a wrong byte", id);
        topic_text(event->subject, text);
        must(span_equal(subject, span_of_text(text)), "event %u came as %.*s", id, (int)subject.size,
             (const char *)subject.bytes);
        text[0] = '\0';
        if (event->is_asking)
                snprintf(text, sizeof text, "_INBOX.r%u.%u", event->publisher, id);
        must(span_equal(reply, span_of_text(text)), "event %u came with reply \"%.*s\"", id, (int)reply.size,
             (const char *)reply.bytes);
        struct subscribed *subscription = subscription_of(world, index, sid);
        must(wish_is_for(subscription->wish, event->subject), "event %u (%.*s) came to client %zu sid %u", id,
             (int)subject.size, (const char *)subject.bytes, index, sid);
        must(!subscribed_had(subscription, id), "event %u came twice to client %zu sid %u", id, index, sid);
        must(client->echo || event->publisher != index, "client %zu hears itself", index);
        /* What a member of a group on another reactor could not take comes back, and goes to another later. */
        bool may_be_late = subscription->wish.group != 0 && world->reactors_count > 1;
        must(subscribed_last_of(subscription, event->publisher) <= event->number || may_be_late,
             "event %u of client %u came to client %zu sid %u behind number %u", id, event->publisher, index, sid,
             subscribed_last_of(subscription, event->publisher) - 1);
        must(event->moment.acked_step >= subscription->made.written_step || may_be_late,
             "event %u was over before client %zu asked", id, index);
        must(event->moment.written_step <= subscription->ended.acked_step, "event %u came to client %zu after the end",
             id, index);
        uint32_t from = event->moment.written_step, to = world->step;
        must(rights_publish(world, world->clients[event->publisher].user, event->subject, PERHAPS, from, to),
             "event %u of client %u came, who may not publish it", id, event->publisher);
        must(rights_deliver(world, client->user, event->subject, subscription->wish.group, PERHAPS, from, to),
             "client %zu got event %u, which it may not see", index, id);
        must(rights_subscribe(world, client->user, subscription->wish, PERHAPS, subscription->made.written_step, to),
             "client %zu got event %u by a subscription that it may not have", index, id);
        subscription->got++;
        client->heard++;
        bool is_limited = subscription->max != 0 && subscription->limited.acked_step != NEVER;
        must(!is_limited || subscription->got <= subscription->max || subscription->got <= subscription->got_at_limit,
             "client %zu sid %u got %u of at most %u", index, sid, subscription->got, subscription->max);
        if (subscription->heard == NULL)
                subscription->heard = calloc(1, sizeof *subscription->heard);
        must(subscription->heard != NULL, "no memory");
        if (subscription->heard->last_of[event->publisher] < event->number + 1)
                subscription->heard->last_of[event->publisher] = event->number + 1;
        subscription->heard->had[id / 64] |= (uint64_t)1 << id % 64;
        world->delivered++;
}

static void keep_promise(struct world *world, const struct promise *promise)
{
        struct subscribed *subscription = &world->subscriptions[promise->index];
        switch (promise->kind) {
        case PROMISE_EVENT:
                world->events[promise->index].moment.acked_step = world->step;
                break;
        case PROMISE_MADE:
                subscription->made.acked_step = world->step;
                break;
        case PROMISE_ENDED:
                subscription->ended.acked_step = world->step;
                break;
        case PROMISE_LIMITED:
                subscription->limited.acked_step = world->step;
                subscription->got_at_limit = subscription->got;
                break;
        }
}

static void hear_pong(struct world *world, size_t index)
{
        struct client *client = &world->clients[index];
        uint32_t ping = client->pongs_heard++;
        must(client->pongs_heard <= client->pings_written, "client %zu got a PONG too many", index);
        while (client->promises_first < client->promises_count && client->promises[client->promises_first].ping <= ping)
                keep_promise(world, &client->promises[client->promises_first++]);
}

/* Nobody was there for an event that asked. */
static void hear_unanswered(struct world *world, size_t index, struct span subject, struct span head)
{
        char text[SUBJECT_TEXT_BYTES];
        unsigned asker, id;
        snprintf(text, sizeof text, "%.*s", (int)subject.size, (const char *)subject.bytes);
        must(sscanf(text, "_INBOX.r%u.%u", &asker, &id) == 2 && id < world->events_count, "503 came as %s", text);
        must(span_equal(head, SPAN("NATS/1.0 503\r\n\r\n")), "%s got a head of %zu bytes", text, head.size);
        struct event_sent *event = &world->events[id];
        must(asker == index && event->publisher == index, "client %zu heard what client %u asked", index, asker);
        must(event->is_asking && !event->is_unanswered, "event %u has its 503 already, or did not ask", id);
        event->is_unanswered = true;
}

/* {"type":"lagged","skipped":3,"reason":"conflated","total":17} */
static void hear_lag(struct client *client, size_t index, struct span body)
{
        char text[200], reason[32];
        unsigned long long skipped, total;
        snprintf(text, sizeof text, "%.*s", (int)body.size, (const char *)body.bytes);
        must(sscanf(text, "{\"type\":\"lagged\",\"skipped\":%llu,\"reason\":\"%31[a-z_]\",\"total\":%llu}", &skipped,
                    reason, &total) == 3,
             "client %zu was told %s", index, text);
        size_t loss = 0;
        while (loss < LOSSES && strcmp(loss_name(loss), reason) != 0)
                loss++;
        must(loss < LOSSES, "client %zu was told of a loss by %s", index, reason);
        /* What tells it may be skipped as well; the sum goes on. */
        must(client->told_skipped[loss] + skipped <= total,
             "client %zu was told of %llu events skipped (%s), %llu in all", index,
             (unsigned long long)client->told_skipped[loss], reason, total);
        client->told_skipped[loss] = total;
}

/* "MSG subject sid [reply] bytes" or "HMSG subject sid [reply] head bytes"; returns the size of the whole behind the
 * line, 0 when it is not there yet. */
static size_t hear_delivery(struct world *world, size_t index, struct span line, struct span rest)
{
        struct span words[7], left = line;
        size_t count = 0;
        while (count < array_count(words) && left.size > 0)
                words[count++] = word_take(&left);
        must(count > 0, "client %zu got an empty line", index);
        bool is_headed = span_equal(words[0], SPAN("HMSG")), is_message = span_equal(words[0], SPAN("MSG"));
        size_t plain = is_headed ? 5 : 4; /* words without a reply subject */
        must((is_headed || is_message) && left.size == 0 && (count == plain || count == plain + 1),
             "client %zu got \"%.*s\"", index, (int)line.size, (const char *)line.bytes);
        must(!is_headed || world->clients[index].headers, "client %zu got headers", index);
        size_t total = number_of(world, words[count - 1]);
        size_t head = is_headed ? number_of(world, words[count - 2]) : 0;
        uint32_t sid = number_of(world, words[2]);
        if (rest.size < total + 2)
                return 0;
        must(head <= total && memcmp(rest.bytes + total, "\r\n", 2) == 0, "client %zu got a message without an end",
             index);
        struct span body = span_of(rest.bytes + head, total - head);
        if (is_headed && head == total)
                hear_unanswered(world, index, words[1], span_of(rest.bytes, head));
        else if (sid == LAG_SID && world->clients[index].hears_lag)
                hear_lag(&world->clients[index], index, body);
        else
                hear_message(world, index, words[1], count > plain ? words[3] : SPAN_NONE, sid, body);
        return total + 2;
}

/* The text between the first two quotation marks. */
static struct span quoted(struct span line)
{
        const uint8_t *first = memchr(line.bytes, '"', line.size);
        if (first == NULL)
                return SPAN_NONE;
        const uint8_t *last = memchr(first + 1, '"', (size_t)(line.bytes + line.size - first - 1));
        return last == NULL ? SPAN_NONE : span_of(first + 1, (size_t)(last - first - 1));
}

/* Whichever subscription of that text it was: none of them is owed anything any more. */
static void hear_subscription_refused(struct world *world, size_t index, struct span line)
{
        const struct client *client = &world->clients[index];
        struct span pattern = quoted(line);
        char text[SUBJECT_TEXT_BYTES];
        bool is_just = false;
        for (uint32_t sid = 1; sid < client->sids_count; sid++) {
                struct subscribed *subscription = &world->subscriptions[client->subscriptions[sid]];
                wish_text(subscription->wish, text);
                if (!span_equal(pattern, span_of_text(text)) ||
                    (host_failures() == 0 && rights_subscribe(world, client->user, subscription->wish, SURELY,
                                                              subscription->made.written_step, world->step)))
                        continue;
                subscription->is_refused = is_just = true;
        }
        is_just |= host_failures() > 0;
        must(is_just, "client %zu may subscribe to %.*s, and was refused", index, (int)pattern.size,
             (const char *)pattern.bytes);
}

static void hear_publish_refused(const struct world *world, size_t index, struct span line)
{
        const struct client *client = &world->clients[index];
        struct span subject = quoted(line);
        char text[SUBJECT_TEXT_BYTES];
        for (unsigned kind = 0; kind <= SUBJECTS; kind++) {
                topic_text((struct topic){.kind = (uint8_t)kind}, text);
                if ((kind == SUBJECT_HOARD ? subject.size > 2 && memcmp(subject.bytes, "h.", 2) == 0
                                           : span_equal(subject, span_of_text(text))) &&
                    !rights_publish(world, client->user, (struct topic){.kind = (uint8_t)kind}, SURELY,
                                    client->joined_step, world->step))
                        return;
        }
        must(false, "client %zu may publish to %.*s, and was refused", index, (int)subject.size,
             (const char *)subject.bytes);
}

/* The heap had nothing for a SUB: one of those that were not answered yet. */
static void hear_no_memory(struct world *world, size_t index)
{
        const struct client *client = &world->clients[index];
        must(host_failures() > 0, "client %zu was refused a subscription, and there is memory", index);
        for (size_t i = client->promises_first; i < client->promises_count; i++)
                if (client->promises[i].kind == PROMISE_MADE)
                        world->subscriptions[client->promises[i].index].is_refused = true;
}

/* What the engine may say against a client, and when. */
static void hear_error(struct world *world, size_t index, struct span line)
{
        struct client *client = &world->clients[index];
        static const struct {
                const char *text;
                enum counter_id counter;
        } ends[] = {
                {"-ERR 'maximum connections exceeded'", COUNT_CLOSED_REFUSED},
                {"-ERR 'Stale Connection'", COUNT_CLOSED_STALE},
                {"-ERR 'maximum bytes before login exceeded'", COUNT_CLOSED_REFUSED},
                {"-ERR 'Authentication Timeout'", COUNT_CLOSED_HANDSHAKE},
                {"-ERR 'Authorization Violation'", COUNT_CLOSED_UNAUTHORIZED},
                {"-ERR 'User Authentication Revoked'", COUNT_CLOSED_UNAUTHORIZED},
        };
        for (size_t i = 0; i < array_count(ends); i++)
                if (span_equal(line, span_of_text(ends[i].text))) {
                        must(world_counter(world, ends[i].counter) > 0, "client %zu got %s for nothing", index,
                             ends[i].text);
                        must(i < 4 || !rights_exist(world, client->user, SURELY, client->joined_step, world->step),
                             "client %zu may be here, and got %s", index, ends[i].text);
                        client->is_over = true;
                        return;
                }
        if (span_equal(line, SPAN("-ERR 'maximum subscriptions exceeded'")))
                hear_no_memory(world, index);
        else if (span_starts_with(line, SPAN("-ERR 'Permissions Violation for Subscription to ")))
                hear_subscription_refused(world, index, line);
        else if (span_starts_with(line, SPAN("-ERR 'Permissions Violation for Publish to ")))
                hear_publish_refused(world, index, line);
        else
                must(false, "client %zu got %.*s", index, (int)line.size, (const char *)line.bytes);
}

/* One operation at the start of the input; returns its size, 0 when it is not whole. */
static size_t hear_one(struct world *world, size_t index, struct span input)
{
        struct client *client = &world->clients[index];
        const uint8_t *end = memchr(input.bytes, '\n', input.size);
        if (end == NULL)
                return 0;
        size_t line_bytes = (size_t)(end - input.bytes) + 1;
        must(line_bytes >= 2 && end[-1] == '\r', "client %zu got a line without an end", index);
        struct span line = span_of(input.bytes, line_bytes - 2);
        must(line_bytes < 256 || span_starts_with(line, SPAN("INFO ")), "client %zu got a line of %zu bytes", index,
             line_bytes);
        if (span_equal(line, SPAN("PONG"))) {
                hear_pong(world, index);
        } else if (span_equal(line, SPAN("PING"))) {
                if (!client->is_shut)
                        say_text(client, "PONG\r\n");
        } else if (span_starts_with(line, SPAN("-ERR "))) {
                hear_error(world, index, line);
        } else if (!span_starts_with(line, SPAN("INFO ")) && !span_equal(line, SPAN("+OK"))) {
                size_t body =
                        hear_delivery(world, index, line, span_of(input.bytes + line_bytes, input.size - line_bytes));
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
        size_t size = sim_peer_readable_bytes(client->peer), taken = 0, one;
        if (size != client->waiting_bytes) {
                struct span input = sim_peer_peek(client->peer);
                /* Whatever it answers goes the other way: the input stays where it is. */
                while (taken < size && (one = hear_one(world, index, span_of(input.bytes + taken, size - taken))) > 0)
                        taken += one;
                sim_peer_drop(client->peer, taken);
                client->waiting_bytes = size - taken;
        }
        if (!client->has_reactor && sim_peer_io(client->peer) != NULL) {
                client->reactor = reactor_of(world, client->peer);
                client->has_reactor = true;
        }
        if (!client->is_over && (sim_peer_is_ended(client->peer) || sim_peer_is_broken(client->peer)))
                client->is_over = true;
}

void clients_hear(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++)
                hear(world, i);
}

bool clients_have_heard(const struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct client *client = &world->clients[i];
                if (!client->is_over && (client->pongs_heard != client->pings_written || client->waiting_bytes != 0))
                        return false;
        }
        return true;
}

void clients_free(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                free(world->clients[i].subscriptions);
                free(world->clients[i].promises);
        }
        for (size_t i = 0; i < world->subscriptions_count; i++)
                free(world->subscriptions[i].heard);
}
