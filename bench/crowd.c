/* crowd: see crowd.h. */
#include "bench/crowd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/clock.h"

#define EVENTS_MAX 512
#define OUTBOX_BYTES (256 * 1024)
#define LINE_ROOM (128 * 1024) /* the longest piece of a line that a read may cut off */
#define OPENING_MAX 64         /* connections that wait for the server's answer at a time */
#define OPENING_SILENCE_NS (10 * NS_PER_S)
#define GREETING_BYTES_MAX (CONNECT_BYTES_MAX + 512)
#define PUBLISH_ROUNDS_MAX 4 /* buffers written before others are served again */

/* What a WebSocket connection has beside the others. */
struct wrapping {
        struct websocket websocket;
        char key[WEBSOCKET_KEY_BYTES];
        bool is_open;   /* the handshake is over */
        bool owes_pong; /* a publisher was in the middle of something: the pong comes when that is written */
        uint8_t pong_bytes;
        uint8_t pong[WEBSOCKET_CONTROL_BYTES_MAX];
        uint8_t *gathered; /* a message that comes in pieces */
        size_t gathered_bytes, gathered_room;
};

void crowd_fail(struct crowd *crowd, int exit_code, const char *format, ...)
{
        if (crowd->failure != 0)
                return;
        crowd->failure = exit_code;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(crowd->error, sizeof(crowd->error), format, arguments);
        va_end(arguments);
}

/* The names have one width, so that all frames of a run have one size. */
void crowd_subject(const struct recipe *recipe, uint64_t index, char to[SUBJECT_BYTES_MAX])
{
        snprintf(to, SUBJECT_BYTES_MAX, recipe->wildcard ? "%s.%04u.x" : "%s.%04u", recipe->prefix,
                 (unsigned)index % 10000);
}

void crowd_pattern(const struct recipe *recipe, uint64_t index, char to[SUBJECT_BYTES_MAX])
{
        if (recipe->wildcard)
                snprintf(to, SUBJECT_BYTES_MAX, "%s.%04u.*", recipe->prefix, (unsigned)index % 10000);
        else
                crowd_subject(recipe, index, to);
}

static void *array_new(size_t count, size_t size)
{
        void *memory = calloc(count == 0 ? 1 : count, size);
        if (memory == NULL)
                abort();
        return memory;
}

static void publish_shape_init(struct shape *shape, const struct target *target, const char *subject,
                               uint32_t payload_bytes)
{
        if (target->protocol == PROTOCOL_HTTP) {
                char path[PATH_OF_SUBJECT_BYTES];
                target_path(target, subject, path);
                shape_post(shape, target->host, path, payload_bytes);
                return;
        }
        shape_publish(shape, target->protocol, subject, payload_bytes);
        if (target_is_websocket(target) && target->protocol != PROTOCOL_MESSAGE)
                shape_wrap(shape);
}

static void shapes_init(struct crowd *crowd)
{
        const struct recipe *recipe = crowd->recipe;
        for (uint64_t i = 0; i < recipe->subjects; i++) {
                char subject[SUBJECT_BYTES_MAX];
                char pattern[SUBJECT_BYTES_MAX];
                crowd_subject(recipe, i, subject);
                crowd_pattern(recipe, i, pattern);
                shape_delivery(&crowd->delivery_shapes[i], recipe->target.protocol, subject, pattern,
                               (uint32_t)recipe->payload_bytes);
                publish_shape_init(&crowd->publish_shapes[i], &recipe->publish_target, subject,
                                   (uint32_t)recipe->payload_bytes);
        }
}

static struct outbox *outbox_new(const struct crowd *crowd)
{
        const struct shape *shape = &crowd->publish_shapes[0];
        struct outbox *outbox = array_new(1, sizeof(*outbox));
        outbox->frames_max = OUTBOX_BYTES / shape->frame_bytes;
        if (outbox->frames_max == 0)
                outbox->frames_max = 1;
        outbox->frames = array_new(outbox->frames_max, shape->frame_bytes);
        outbox->sequences = array_new(crowd->recipe->subjects, sizeof(uint64_t));
        uint8_t *to = outbox->frames;
        for (uint32_t i = 0; i < outbox->frames_max; i++)
                to += shape_render(shape, to, i + 1);
        return outbox;
}

int crowd_init(struct crowd *crowd, const struct recipe *recipe)
{
        *crowd = (struct crowd){.recipe = recipe, .epoll_fd = -1};
        crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (crowd->epoll_fd < 0) {
                crowd_fail(crowd, BENCH_FAILED, "epoll_create1: %s", strerror(errno));
                return crowd->failure;
        }
        crowd->publishers = array_new(recipe->publishers, sizeof(struct member));
        crowd->subscribers = array_new(recipe->subscribers, sizeof(struct member));
        crowd->delivery_shapes = array_new(recipe->subjects, sizeof(struct shape));
        crowd->publish_shapes = array_new(recipe->subjects, sizeof(struct shape));
        crowd->latency = array_new(1, sizeof(struct latency));
        shapes_init(crowd);
        size_t rest_max = (size_t)LINE_ROOM + crowd->delivery_shapes[0].frame_bytes;
        crowd->room = array_new(rest_max + recipe->read_bytes, 1);
        crowd->room_read = crowd->room + rest_max;
        for (uint64_t i = 0; i < recipe->publishers; i++)
                crowd->publishers[i] = (struct member){.fd = -1, .number = (uint32_t)i, .publishes = true};
        for (uint64_t i = 0; i < recipe->subscribers; i++)
                crowd->subscribers[i] = (struct member){.fd = -1,
                                                        .number = (uint32_t)i,
                                                        .stalls = i < recipe->stall_count,
                                                        .is_counted = i % recipe->sample != recipe->sample - 1,
                                                        .shape = &crowd->delivery_shapes[i % recipe->subjects]};
        return 0;
}

static void member_fini(struct crowd *crowd, struct member *member)
{
        if (member->fd >= 0)
                close(member->fd);
        for (uint64_t i = 0; member->tallies != NULL && i < crowd->recipe->publishers; i++)
                tally_fini(&member->tallies[i]);
        free(member->tallies);
        free(member->rest);
        if (member->wrapping != NULL)
                free(member->wrapping->gathered);
        free(member->wrapping);
        if (member->outbox != NULL) {
                free(member->outbox->frames);
                free(member->outbox->sequences);
        }
        free(member->outbox);
}

void crowd_fini(struct crowd *crowd)
{
        for (uint64_t i = 0; crowd->publishers != NULL && i < crowd->recipe->publishers; i++)
                member_fini(crowd, &crowd->publishers[i]);
        for (uint64_t i = 0; crowd->subscribers != NULL && i < crowd->recipe->subscribers; i++)
                member_fini(crowd, &crowd->subscribers[i]);
        free(crowd->publishers);
        free(crowd->subscribers);
        free(crowd->delivery_shapes);
        free(crowd->publish_shapes);
        free(crowd->latency);
        free(crowd->room);
        if (crowd->epoll_fd >= 0)
                close(crowd->epoll_fd);
}

static const struct target *member_target(const struct crowd *crowd, const struct member *member)
{
        return member->publishes ? &crowd->recipe->publish_target : &crowd->recipe->target;
}

static const char *member_kind(const struct member *member)
{
        return member->publishes ? "publisher" : "subscriber";
}

/* The server has closed this connection, or said something that is not its protocol. */
static void member_cut(struct crowd *crowd, struct member *member, const char *why)
{
        bool was_opening = member->state == MEMBER_OPENING;
        member->state = MEMBER_CUT;
        close(member->fd);
        member->fd = -1;
        if (crowd->ends_are_fine && !was_opening && crowd->failure == 0) {
                crowd->cut += !member->publishes;
                if (crowd->on_progress != NULL)
                        crowd->on_progress(crowd->pacer, member);
                return;
        }
        if (member->publishes || was_opening) {
                crowd_fail(crowd, was_opening ? BENCH_UNREACHABLE : BENCH_FAILED, "%s %u: %s", member_kind(member),
                           member->number, why);
                return;
        }
        if (member->stalls) {
                crowd->stalled_cut++;
        } else {
                if (crowd->cut++ == 0)
                        snprintf(crowd->cut_why, sizeof(crowd->cut_why), "subscriber %u: %s", member->number, why);
                crowd->progress -= member->progress;
        }
        if (crowd->on_progress != NULL)
                crowd->on_progress(crowd->pacer, member);
}

static void member_watch(struct crowd *crowd, struct member *member, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = member};
        epoll_ctl(crowd->epoll_fd, EPOLL_CTL_MOD, member->fd, &event);
}

void crowd_stall(struct crowd *crowd, struct member *subscriber, bool stall)
{
        if (subscriber->state == MEMBER_READY)
                member_watch(crowd, subscriber, stall ? 0 : EPOLLIN);
}

/* One frame that did not match, or whose number is not the next. */
static void message_take(struct crowd *crowd, struct member *member, const uint8_t *payload, uint64_t *progress)
{
        struct stamp stamp;
        memcpy(&stamp, payload, sizeof(stamp));
        uint64_t publisher = stamp_publisher(stamp.word);
        if (publisher >= crowd->recipe->publishers) {
                crowd->corrupted++;
                return;
        }
        *progress += tally_take(&member->tallies[publisher], stamp_sequence(stamp.word));
}

/* Takes expected frames from the start of `input`; stops at the first that is none. This loop runs once a delivery. */
static inline __attribute__((always_inline)) size_t frames_take(struct crowd *crowd, struct member *member,
                                                                struct span input, bool timed, bool verify)
{
        const struct shape *shape = member->shape;
        const size_t stride = shape->frame_bytes;
        const size_t header = shape->header_bytes;
        const uint8_t *at = input.bytes;
        const uint8_t *end = input.bytes + input.size;
        struct tally *first = &member->tallies[0];
        uint64_t frames = 0;
        uint64_t odd_progress = 0;
        uint64_t in_order = 0;
        while ((size_t)(end - at) >= stride && likely(shape_matches(shape, at))) {
                const uint8_t *payload = at + header;
                uint64_t word;
                memcpy(&word, payload, sizeof(word));
                if (likely(word == first->next)) { /* publisher 0 has no bits above the sequence */
                        first->next++;
                        in_order++;
                } else {
                        message_take(crowd, member, payload, &odd_progress);
                }
                if (timed) {
                        uint64_t intended_ns;
                        memcpy(&intended_ns, payload + sizeof(word), sizeof(intended_ns));
                        if (intended_ns >= crowd->from_ns && intended_ns < crowd->until_ns)
                                latency_record(crowd->latency, crowd->now_ns - intended_ns);
                }
                if (verify && unlikely(!check_holds(payload, shape->payload_bytes) ||
                                       memcmp(payload + shape->payload_bytes, "\r\n", shape->trailer_bytes) != 0))
                        crowd->corrupted++;
                at += stride;
                frames++;
        }
        crowd->deliveries += frames;
        member->progress += in_order + odd_progress;
        if (!member->stalls)
                crowd->progress += in_order + odd_progress;
        return (size_t)(at - input.bytes);
}

static size_t frames_take_plain(struct crowd *crowd, struct member *member, struct span input)
{
        return frames_take(crowd, member, input, false, false);
}

static size_t frames_take_timed(struct crowd *crowd, struct member *member, struct span input)
{
        return frames_take(crowd, member, input, true, false);
}

static size_t frames_take_verified(struct crowd *crowd, struct member *member, struct span input)
{
        return frames_take(crowd, member, input, crowd->is_timed && !member->stalls, true);
}

static size_t frames_take_any(struct crowd *crowd, struct member *member, struct span input)
{
        if (crowd->recipe->verify)
                return frames_take_verified(crowd, member, input);
        /* What somebody left unread for seconds says nothing of the server. */
        return crowd->is_timed && !member->stalls ? frames_take_timed(crowd, member, input)
                                                  : frames_take_plain(crowd, member, input);
}

/* A delivery whose header is not the expected one: rare, but counted and checked just the same. */
static void odd_message(struct crowd *crowd, struct member *member, const struct unit *unit)
{
        uint64_t progress = 0;
        crowd->odd++;
        crowd->deliveries++;
        if (member->publishes || unit->body.size != crowd->recipe->payload_bytes) {
                crowd->corrupted++;
                return;
        }
        if (crowd->recipe->verify && !check_holds(unit->body.bytes, (uint32_t)unit->body.size))
                crowd->corrupted++;
        message_take(crowd, member, unit->body.bytes, &progress);
        member->progress += progress;
        if (!member->stalls)
                crowd->progress += progress;
}

static void protocol_fail(struct crowd *crowd, const struct member *member, const char *why)
{
        crowd->corrupted++;
        crowd_fail(crowd, BENCH_FAILED, "%s: %s %u was sent %s", member_target(crowd, member)->text,
                   member_kind(member), member->number, why);
}

/* Nothing half-written stands in the way. */
static bool may_say(const struct member *member)
{
        return !member->publishes || member->outbox->at == member->outbox->size;
}

/* Sends a few bytes at once; a connection that cannot take them is one that nobody reads. */
static void member_say(struct crowd *crowd, struct member *member, enum websocket_opcode opcode, struct span text)
{
        uint8_t frame[WEBSOCKET_HEADER_BYTES_MAX + GREETING_BYTES_MAX];
        assert(text.size <= GREETING_BYTES_MAX);
        if (member->wrapping != NULL)
                text = span_of(frame, websocket_frame_write(frame, opcode, text));
        if (send(member->fd, text.bytes, text.size, MSG_NOSIGNAL) != (ssize_t)text.size)
                member_cut(crowd, member, "it does not take what we say");
}

static void pong_send(struct crowd *crowd, struct member *member)
{
        if (may_say(member))
                member_say(crowd, member, WEBSOCKET_BINARY, SPAN("PONG\r\n"));
        else
                member->outbox->owes_pong = true;
}

/* 5.5.3: of several pings the last one may be answered alone. */
static void websocket_pong_send(struct crowd *crowd, struct member *member, struct span payload)
{
        struct wrapping *wrapping = member->wrapping;
        if (may_say(member)) {
                wrapping->owes_pong = false;
                member_say(crowd, member, WEBSOCKET_PONG, payload);
                return;
        }
        wrapping->owes_pong = true;
        wrapping->pong_bytes = (uint8_t)payload.size;
        span_copy(wrapping->pong, payload);
}

static void owed_send(struct crowd *crowd, struct member *publisher)
{
        struct outbox *outbox = publisher->outbox;
        if (outbox->owes_pong) {
                outbox->owes_pong = false;
                pong_send(crowd, publisher);
        }
        if (publisher->state != MEMBER_CUT && publisher->wrapping != NULL && publisher->wrapping->owes_pong)
                websocket_pong_send(crowd, publisher,
                                    span_of(publisher->wrapping->pong, publisher->wrapping->pong_bytes));
}

/* 5.5.1: the code and the reason go back, and what they were is told. */
static void close_serve(struct crowd *crowd, struct member *member, struct span body)
{
        char why[128] = "closed by the server, without a code";
        if (body.size >= 2) {
                struct span reason = span_skip(body, 2);
                snprintf(why, sizeof(why), "closed by the server: code %u%s%.*s", body.bytes[0] << 8 | body.bytes[1],
                         reason.size == 0 ? "" : ", ", (int)(reason.size > 60 ? 60 : reason.size),
                         (const char *)reason.bytes);
        }
        if (may_say(member))
                member_say(crowd, member, WEBSOCKET_CLOSE, body);
        if (member->state != MEMBER_CUT)
                member_cut(crowd, member, why);
}

static bool is_lame_duck(const struct unit *unit)
{
        static const char said[] = "\"ldm\":true";
        return unit->body.size != 0 && memmem(unit->body.bytes, unit->body.size, said, sizeof(said) - 1) != NULL;
}

/* A server may send events as text as well as binary: the first one says which. */
static void shapes_learn(struct crowd *crowd, const struct unit *unit)
{
        if (crowd->deliveries != 0 || unit->body.size != crowd->recipe->payload_bytes)
                return;
        for (uint64_t i = 0; i < crowd->recipe->subjects; i++)
                crowd->delivery_shapes[i].header[0] = (uint8_t)(0x80 | unit->frame.opcode);
}

/* A piece of a message; with the last one it is a message. */
static void part_serve(struct crowd *crowd, struct member *member, const struct unit *unit)
{
        struct wrapping *wrapping = member->wrapping;
        size_t bytes = wrapping->gathered_bytes + unit->body.size;
        if (bytes > WEBSOCKET_FRAME_BYTES_MAX) {
                crowd_fail(crowd, BENCH_FAILED, "%s %u was sent a message of more than 64 MiB", member_kind(member),
                           member->number);
                return;
        }
        if (bytes > wrapping->gathered_room) {
                wrapping->gathered_room = 2 * bytes;
                wrapping->gathered = realloc(wrapping->gathered, wrapping->gathered_room);
                if (wrapping->gathered == NULL)
                        abort();
        }
        span_copy(wrapping->gathered + wrapping->gathered_bytes, unit->body);
        wrapping->gathered_bytes = bytes;
        if (!unit->frame.is_last)
                return;
        struct unit whole = {.kind = UNIT_MESSAGE, .body = span_of(wrapping->gathered, bytes)};
        wrapping->gathered_bytes = 0;
        if (!member->publishes)
                odd_message(crowd, member, &whole);
}

/* What a server that speaks in messages sends a publisher are others' events, or its own. */
static bool is_echo(const struct crowd *crowd, const struct member *member)
{
        return member->publishes && crowd->recipe->publish_target.protocol == PROTOCOL_MESSAGE;
}

static void unit_serve(struct crowd *crowd, struct member *member, const struct unit *unit)
{
        const char *broken = member->wrapping != NULL && member_target(crowd, member)->protocol == PROTOCOL_MESSAGE
                                     ? websocket_follow(&member->wrapping->websocket, &unit->frame)
                                     : NULL;
        if (broken != NULL) {
                protocol_fail(crowd, member, broken);
                return;
        }
        switch (unit->kind) {
        case UNIT_MESSAGE:
                if (is_echo(crowd, member))
                        break;
                if (member_target(crowd, member)->protocol == PROTOCOL_MESSAGE)
                        shapes_learn(crowd, unit);
                odd_message(crowd, member, unit);
                break;
        case UNIT_PART:
                part_serve(crowd, member, unit);
                break;
        case UNIT_CLOSE:
                close_serve(crowd, member, unit->body);
                break;
        case UNIT_PING:
                if (member_target(crowd, member)->protocol == PROTOCOL_MESSAGE)
                        websocket_pong_send(crowd, member, unit->body);
                else
                        pong_send(crowd, member);
                break;
        case UNIT_PONG:
        case UNIT_SUBSCRIBED:
                member->pongs++;
                member->state = MEMBER_READY;
                break;
        case UNIT_ERROR:
                if (member->stalls)
                        break; /* told why it will be cut */
                crowd_fail(crowd, BENCH_FAILED, "the server says: %.*s", (int)unit->body.size,
                           (const char *)unit->body.bytes);
                break;
        case UNIT_OTHER:
                if (!member->publishes && is_lame_duck(unit))
                        crowd->lame_ducks++;
                break;
        }
}

static void rest_keep(struct member *member, struct span rest)
{
        if (rest.size > member->rest_room) {
                member->rest_room = (uint32_t)bits_align_up(rest.size, 64);
                free(member->rest);
                member->rest = array_new(member->rest_room, 1);
        }
        if (rest.size != 0)
                memcpy(member->rest, rest.bytes, rest.size);
        member->rest_bytes = (uint32_t)rest.size;
}

static void input_serve(struct crowd *crowd, struct member *member, struct span input)
{
        while (input.size != 0) {
                if (likely(!member->publishes && (member->wrapping == NULL || !member->wrapping->websocket.is_inside ||
                                                  crowd->recipe->target.protocol == PROTOCOL_NATS)))
                        input = span_skip(input, frames_take_any(crowd, member, input));
                struct unit unit;
                ssize_t taken = unit_take(member_target(crowd, member)->protocol, input, &unit);
                if (taken == 0)
                        break;
                if (taken < 0 && unit.why != NULL) {
                        protocol_fail(crowd, member, unit.why);
                        return;
                }
                if (taken < 0) {
                        crowd->corrupted++;
                        crowd_fail(crowd, BENCH_FAILED, "%s %u was sent something that is not the protocol: '%.*s'",
                                   member_kind(member), member->number, (int)(input.size > 40 ? 40 : input.size),
                                   (const char *)input.bytes);
                        return;
                }
                unit_serve(crowd, member, &unit);
                if (member->state == MEMBER_CUT || crowd->failure != 0)
                        return;
                input = span_skip(input, (size_t)taken);
        }
        if (input.size > (size_t)LINE_ROOM + crowd->delivery_shapes[0].frame_bytes) {
                crowd_fail(crowd, BENCH_FAILED, "%s %u was sent a frame without an end", member_kind(member),
                           member->number);
                return;
        }
        rest_keep(member, input);
}

/* The first stamp of a read tells how old what we read is; one clock and one record a read. */
static void age_record(struct crowd *crowd, const struct member *member, struct span input)
{
        const struct shape *shape = member->shape;
        uint64_t intended_ns;
        if (input.size < shape->frame_bytes || !shape_matches(shape, input.bytes))
                return;
        memcpy(&intended_ns, input.bytes + shape->header_bytes + sizeof(uint64_t), sizeof(intended_ns));
        if (intended_ns >= crowd->from_ns && intended_ns < crowd->until_ns)
                latency_record(crowd->latency, crowd->now_ns - intended_ns);
}

static void silence_record(struct crowd *crowd, struct member *member)
{
        if (crowd->now_ns >= crowd->from_ns && crowd->now_ns < crowd->until_ns) {
                uint64_t silence_ns = crowd->now_ns - crowd->last_read_ns;
                uint64_t gap_ns = member->read_ns < crowd->from_ns ? 0 : crowd->now_ns - member->read_ns;
                crowd->silence_ns_max = silence_ns > crowd->silence_ns_max ? silence_ns : crowd->silence_ns_max;
                crowd->gap_ns_max = gap_ns > crowd->gap_ns_max ? gap_ns : crowd->gap_ns_max;
        }
        crowd->last_read_ns = member->read_ns = crowd->now_ns;
}

/* What a connection says first. All at once: the answer to the last line proves that the rest was understood. */
static int greeting(const struct crowd *crowd, const struct member *member, char *to, size_t room)
{
        char connect[CONNECT_BYTES_MAX];
        char pattern[SUBJECT_BYTES_MAX];
        recipe_write_connect(crowd->recipe, connect);
        crowd_pattern(crowd->recipe, member->number % crowd->recipe->subjects, pattern);
        if (crowd->recipe->target.protocol == PROTOCOL_NATS) {
                if (member->publishes)
                        return snprintf(to, room, "%sPING\r\n", connect);
                return snprintf(to, room, "%sSUB %s 1\r\nPING\r\n", connect, pattern);
        }
        if (member->publishes)
                return snprintf(to, room, "*1\r\n$4\r\nPING\r\n");
        const char *verb = crowd->recipe->wildcard ? "PSUBSCRIBE" : "SUBSCRIBE";
        return snprintf(to, room, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(verb), verb, strlen(pattern), pattern);
}

/* Bytes of the stream itself, which lie in `room`, with what the last read cut off in front of them. */
static void stream_serve(struct crowd *crowd, struct member *member, uint8_t *bytes, size_t size)
{
        struct span input = span_of(bytes, size);
        if (member->rest_bytes != 0) {
                memcpy(bytes - member->rest_bytes, member->rest, member->rest_bytes);
                input = span_of(bytes - member->rest_bytes, size + member->rest_bytes);
                member->rest_bytes = 0;
        }
        if (!member->publishes && member->state == MEMBER_READY && !member->stalls && !crowd->is_timed)
                age_record(crowd, member, input);
        input_serve(crowd, member, input);
}

/* The server has said yes: who speaks a protocol over it begins to, who only listens is ready. */
static void handshake_done(struct crowd *crowd, struct member *member)
{
        char text[GREETING_BYTES_MAX];
        member->wrapping->is_open = true;
        if (member_target(crowd, member)->protocol == PROTOCOL_MESSAGE) {
                member->state = MEMBER_READY;
                return;
        }
        int size = greeting(crowd, member, text, sizeof(text));
        member_say(crowd, member, WEBSOCKET_BINARY, span_of(text, (size_t)size));
}

/* How many of the bytes belong to the handshake, all of them while it is not over. */
static size_t handshake_serve(struct crowd *crowd, struct member *member, uint8_t *bytes, size_t size)
{
        char why[WEBSOCKET_WHY_BYTES];
        size_t rest_bytes = member->rest_bytes;
        struct span input = span_of(bytes - rest_bytes, size + rest_bytes);
        if (rest_bytes != 0)
                memcpy(bytes - rest_bytes, member->rest, rest_bytes);
        member->rest_bytes = 0;
        ssize_t taken = websocket_answer_take(input, member->wrapping->key, why);
        if (taken < 0)
                crowd_fail(crowd, BENCH_UNREACHABLE, "%s: %s", member_target(crowd, member)->text, why);
        if (taken == 0)
                rest_keep(member, input);
        if (taken <= 0)
                return size;
        handshake_done(crowd, member);
        return (size_t)taken - rest_bytes;
}

/* A stream that comes in WebSocket messages. */
static void wrapped_serve(struct crowd *crowd, struct member *member, uint8_t *bytes, size_t size)
{
        while (size != 0 && member->state != MEMBER_CUT && crowd->failure == 0) {
                struct websocket_frame control;
                struct span body;
                const char *why;
                size_t taken = 0;
                ssize_t kept =
                        websocket_unframe(&member->wrapping->websocket, bytes, size, &taken, &control, &body, &why);
                if (kept < 0) {
                        protocol_fail(crowd, member, why);
                        return;
                }
                if (kept > 0)
                        stream_serve(crowd, member, bytes, (size_t)kept);
                if (member->state == MEMBER_CUT)
                        return;
                if (control.opcode == WEBSOCKET_PING)
                        websocket_pong_send(crowd, member, body);
                else if (control.opcode == WEBSOCKET_CLOSE)
                        close_serve(crowd, member, body);
                bytes += taken;
                size -= taken;
        }
}

/* Has a read ended within something that should have gone on? */
static bool is_cut_short(const struct crowd *crowd, const struct member *member)
{
        const struct wrapping *wrapping = member->wrapping;
        if (wrapping == NULL || member->state != MEMBER_READY)
                return false;
        return wrapping->websocket.left_bytes != 0 || wrapping->websocket.held_bytes != 0 ||
               wrapping->websocket.is_inside ||
               (member->rest_bytes != 0 && member_target(crowd, member)->protocol == PROTOCOL_MESSAGE);
}

/* Counts frames by their size; a piece of one is kept as its size alone. */
static void bytes_count(struct crowd *crowd, struct member *member, size_t bytes)
{
        uint64_t frame_bytes = member->shape->frame_bytes;
        uint64_t frames = (member->rest_bytes + bytes) / frame_bytes;
        member->rest_bytes = (uint32_t)((member->rest_bytes + bytes) % frame_bytes);
        member->tallies[0].next += frames;
        member->progress += frames;
        crowd->progress += frames;
        crowd->deliveries += frames;
        crowd->reads++;
        crowd->read_bytes += bytes;
        silence_record(crowd, member);
}

static void member_read(struct crowd *crowd, struct member *member)
{
        bool counts = member->is_counted && member->state == MEMBER_READY;
        ssize_t got = recv(member->fd, crowd->room_read, crowd->recipe->read_bytes, counts ? MSG_TRUNC : 0);
        crowd->now_ns = clock_monotonic_ns();
        if (got <= 0) {
                if (got < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                crowd->resets += got < 0 && errno == ECONNRESET;
                member_cut(crowd, member,
                           is_cut_short(crowd, member) ? "closed by the server in the middle of a frame"
                           : got == 0                  ? "closed by the server"
                                                       : strerror(errno));
                return;
        }
        if (counts) {
                bytes_count(crowd, member, (size_t)got);
                if (crowd->on_progress != NULL)
                        crowd->on_progress(crowd->pacer, member);
                return;
        }
        if (!member->publishes && member->state == MEMBER_READY) {
                crowd->reads++;
                crowd->read_bytes += (uint64_t)got;
                if (!member->stalls)
                        silence_record(crowd, member);
        }
        uint8_t *bytes = crowd->room_read;
        size_t size = (size_t)got;
        if (unlikely(member->wrapping != NULL && !member->wrapping->is_open)) {
                size_t taken = handshake_serve(crowd, member, bytes, size);
                bytes += taken;
                size -= taken;
                if (crowd->failure != 0 || member->state == MEMBER_CUT)
                        return;
        }
        if (member->wrapping != NULL && member_target(crowd, member)->protocol == PROTOCOL_NATS)
                wrapped_serve(crowd, member, bytes, size);
        else if (size != 0)
                stream_serve(crowd, member, bytes, size);
        if (!member->publishes && member->state == MEMBER_READY && crowd->on_progress != NULL)
                crowd->on_progress(crowd->pacer, member);
}

static void frame_mask(const struct shape *shape, uint8_t *frame)
{
        uint32_t from = shape->mask_at + WEBSOCKET_MASK_BYTES;
        websocket_mask(frame + from, shape->frame_bytes - from, frame + shape->mask_at);
}

/* Stamps up to `credit` events into the outbox. */
static void outbox_fill(struct crowd *crowd, struct member *publisher)
{
        struct outbox *outbox = publisher->outbox;
        const struct recipe *recipe = crowd->recipe;
        const struct shape *shape = &crowd->publish_shapes[0];
        uint64_t events = outbox->credit < outbox->frames_max ? outbox->credit : outbox->frames_max;
        uint8_t *frame = outbox->frames;
        uint64_t now_ns = clock_monotonic_ns();
        for (uint64_t i = 0; i < events; i++) {
                uint64_t subject = crowd->subject_next;
                if (shape->mask_at != 0)
                        frame_mask(shape, frame); /* off */
                if (recipe->subjects > 1) {
                        memcpy(frame, crowd->publish_shapes[subject].header, shape->header_bytes);
                        crowd->subject_next = subject + 1 == recipe->subjects ? 0 : subject + 1;
                }
                struct stamp stamp = {.word = stamp_word(publisher->number, outbox->sequences[subject]++),
                                      .intended_ns = now_ns};
                if (crowd->intended_ns != NULL)
                        stamp.intended_ns = crowd->intended_ns(crowd->pacer, publisher, outbox->events);
                uint8_t *payload = frame + shape->header_bytes;
                memcpy(payload, &stamp, sizeof(stamp));
                if (recipe->verify)
                        check_write(payload, shape->payload_bytes);
                if (shape->mask_at != 0) {
                        uint32_t key = websocket_random();
                        memcpy(frame + shape->mask_at, &key, sizeof(key));
                        frame_mask(shape, frame);
                }
                outbox->events++;
                frame += shape->frame_bytes;
        }
        outbox->credit -= events;
        outbox->at = 0;
        outbox->size = events * shape->frame_bytes;
        crowd->published += events;
}

static void output_watch(struct crowd *crowd, struct member *publisher, bool wanted)
{
        if (publisher->wants_output == wanted)
                return;
        publisher->wants_output = wanted;
        member_watch(crowd, publisher, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void crowd_publish(struct crowd *crowd, struct member *publisher)
{
        struct outbox *outbox = publisher->outbox;
        if (publisher->state != MEMBER_READY)
                return;
        for (int round = 0; round < PUBLISH_ROUNDS_MAX; round++) {
                if (outbox->at == outbox->size) {
                        owed_send(crowd, publisher);
                        if (outbox->credit == 0 || publisher->state != MEMBER_READY) {
                                if (publisher->state == MEMBER_READY)
                                        output_watch(crowd, publisher, false);
                                return;
                        }
                        outbox_fill(crowd, publisher);
                }
                ssize_t sent =
                        send(publisher->fd, outbox->frames + outbox->at, outbox->size - outbox->at, MSG_NOSIGNAL);
                if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                        member_cut(crowd, publisher, strerror(errno));
                        return;
                }
                if (sent > 0)
                        outbox->at += (size_t)sent;
                if (outbox->at != outbox->size)
                        break;
        }
        output_watch(crowd, publisher, outbox->at != outbox->size || outbox->credit != 0);
}

void crowd_turn(struct crowd *crowd, uint64_t wait_ns)
{
        struct epoll_event events[EVENTS_MAX];
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
        int count = epoll_pwait2(crowd->epoll_fd, events, EVENTS_MAX, &wait, NULL);
        crowd->now_ns = clock_monotonic_ns();
        for (int i = 0; i < count && crowd->failure == 0; i++) {
                struct member *member = events[i].data.ptr;
                if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && member->state != MEMBER_CUT)
                        member_read(crowd, member);
                if ((events[i].events & EPOLLOUT) != 0 && member->state == MEMBER_READY)
                        crowd_publish(crowd, member);
        }
}

static int handshake_begin(const struct crowd *crowd, struct member *member, char *to, size_t room)
{
        const struct target *target = member_target(crowd, member);
        char subject[SUBJECT_BYTES_MAX], path[PATH_OF_SUBJECT_BYTES];
        member->wrapping = array_new(1, sizeof(*member->wrapping));
        websocket_key_draw(member->wrapping->key);
        crowd_subject(crowd->recipe, member->number % crowd->recipe->subjects, subject);
        target_path(target, subject, path);
        return websocket_request_write(to, room, target->host, path, member->wrapping->key);
}

static void member_open(struct crowd *crowd, struct member *member)
{
        const struct recipe *recipe = crowd->recipe;
        char text[GREETING_BYTES_MAX];
        const struct target *target = member_target(crowd, member);
        member->fd = target_connect(target, member->stalls ? recipe->stall_room_bytes : 0);
        if (member->fd < 0) {
                crowd_fail(crowd, member->fd == -EMFILE ? BENCH_FAILED : BENCH_UNREACHABLE, "%s: %s%s", target->text,
                           strerror(-member->fd), target_hint(-member->fd));
                return;
        }
        if (member->publishes) {
                member->outbox = outbox_new(crowd);
        } else {
                member->tallies = array_new(recipe->publishers, sizeof(struct tally));
                for (uint64_t i = 0; recipe->mode == MODE_SUB && i < recipe->publishers; i++)
                        member->tallies[i].next = TALLY_ANY;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
        if (epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, member->fd, &event) != 0) {
                crowd_fail(crowd, BENCH_FAILED, "epoll_ctl: %s", strerror(errno));
                return;
        }
        if (target->protocol == PROTOCOL_HTTP) {
                member->state = MEMBER_READY; /* it is asked nothing before the first event */
                return;
        }
        int size = target_is_websocket(target) ? handshake_begin(crowd, member, text, sizeof(text))
                                               : greeting(crowd, member, text, sizeof(text));
        if (send(member->fd, text, (size_t)size, MSG_NOSIGNAL) != size)
                crowd_fail(crowd, BENCH_UNREACHABLE, "%s: %s", target->text, strerror(errno));
}

/* Opens members[0 .. count), a few at a time. */
static int members_open(struct crowd *crowd, struct member *members, uint64_t count)
{
        uint64_t opened = 0;
        uint64_t ready = 0;
        uint64_t heard_ns = clock_monotonic_ns();
        while (ready < count && crowd->failure == 0) {
                while (opened < count && opened - ready < OPENING_MAX && crowd->failure == 0)
                        member_open(crowd, &members[opened++]);
                if (crowd->failure != 0)
                        break;
                uint64_t ready_before = ready;
                crowd_turn(crowd, members[opened - 1].state == MEMBER_READY ? 0 : 100 * NS_PER_MS);
                while (ready < opened && members[ready].state == MEMBER_READY)
                        ready++;
                if (ready != ready_before)
                        heard_ns = crowd->now_ns;
                else if (crowd->now_ns - heard_ns > OPENING_SILENCE_NS)
                        crowd_fail(crowd, BENCH_UNREACHABLE, "%s: %s %llu has waited 10 s for an answer",
                                   crowd->recipe->target.text, member_kind(members), (unsigned long long)ready);
        }
        return crowd->failure;
}

int crowd_open(struct crowd *crowd, uint64_t publishers_count, uint64_t subscribers_count)
{
        assert(publishers_count <= crowd->recipe->publishers);
        assert(subscribers_count <= crowd->recipe->subscribers);
        int failure = members_open(crowd, crowd->subscribers, subscribers_count);
        if (failure != 0)
                return failure;
        return members_open(crowd, crowd->publishers, publishers_count);
}
