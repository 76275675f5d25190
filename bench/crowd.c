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
#define PUBLISH_ROUNDS_MAX 4 /* buffers written before others are served again */

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
        snprintf(to, SUBJECT_BYTES_MAX, recipe->wildcard ? "bench.%04u.x" : "bench.%04u", (unsigned)index % 10000);
}

void crowd_pattern(const struct recipe *recipe, uint64_t index, char to[SUBJECT_BYTES_MAX])
{
        if (recipe->wildcard)
                snprintf(to, SUBJECT_BYTES_MAX, "bench.%04u.*", (unsigned)index % 10000);
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
                shape_publish(&crowd->publish_shapes[i], recipe->target.protocol, subject,
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
                crowd->cut++;
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
                                       memcmp(payload + shape->payload_bytes, "\r\n", 2) != 0))
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

static void pong_send(struct crowd *crowd, struct member *member)
{
        if (member->publishes && member->outbox->at != member->outbox->size) {
                member->outbox->owes_pong = true;
                return;
        }
        if (send(member->fd, "PONG\r\n", 6, MSG_NOSIGNAL) != 6)
                member_cut(crowd, member, "it does not take our PONG");
}

static bool is_lame_duck(const struct unit *unit)
{
        static const char said[] = "\"ldm\":true";
        return unit->body.size != 0 && memmem(unit->body.bytes, unit->body.size, said, sizeof(said) - 1) != NULL;
}

static void unit_serve(struct crowd *crowd, struct member *member, const struct unit *unit)
{
        switch (unit->kind) {
        case UNIT_MESSAGE:
                odd_message(crowd, member, unit);
                break;
        case UNIT_PING:
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
                if (likely(!member->publishes))
                        input = span_skip(input, frames_take_any(crowd, member, input));
                struct unit unit;
                ssize_t taken = unit_take(crowd->recipe->target.protocol, input, &unit);
                if (taken == 0)
                        break;
                if (taken < 0) {
                        crowd->corrupted++;
                        crowd_fail(crowd, BENCH_FAILED, "%s %u was sent something that is not the protocol: '%.*s'",
                                   member_kind(member), member->number, (int)(input.size > 40 ? 40 : input.size),
                                   (const char *)input.bytes);
                        return;
                }
                unit_serve(crowd, member, &unit);
                if (member->state == MEMBER_CUT)
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

static void member_read(struct crowd *crowd, struct member *member)
{
        ssize_t got = recv(member->fd, crowd->room_read, crowd->recipe->read_bytes, 0);
        crowd->now_ns = clock_monotonic_ns();
        if (got <= 0) {
                if (got < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                crowd->resets += got < 0 && errno == ECONNRESET;
                member_cut(crowd, member, got == 0 ? "closed by the server" : strerror(errno));
                return;
        }
        struct span input = span_of(crowd->room_read, (size_t)got);
        if (member->rest_bytes != 0) {
                memcpy(crowd->room_read - member->rest_bytes, member->rest, member->rest_bytes);
                input = span_of(crowd->room_read - member->rest_bytes, (size_t)got + member->rest_bytes);
                member->rest_bytes = 0;
        }
        if (!member->publishes && member->state == MEMBER_READY) {
                crowd->reads++;
                crowd->read_bytes += (uint64_t)got;
                if (!member->stalls) {
                        silence_record(crowd, member);
                        if (!crowd->is_timed)
                                age_record(crowd, member, input);
                }
        }
        input_serve(crowd, member, input);
        if (!member->publishes && member->state == MEMBER_READY && crowd->on_progress != NULL)
                crowd->on_progress(crowd->pacer, member);
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
                        if (outbox->owes_pong) {
                                outbox->owes_pong = false;
                                pong_send(crowd, publisher);
                        }
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

static void member_open(struct crowd *crowd, struct member *member)
{
        const struct recipe *recipe = crowd->recipe;
        char text[CONNECT_BYTES_MAX + 256];
        const struct target *target = member->publishes ? &recipe->publish_target : &recipe->target;
        member->fd = target_connect(target, member->stalls ? recipe->stall_room_bytes : 0);
        if (member->fd < 0) {
                crowd_fail(crowd, member->fd == -EMFILE ? BENCH_FAILED : BENCH_UNREACHABLE, "%s: %s%s", target->text,
                           strerror(-member->fd),
                           member->fd == -EMFILE ? " (raise the limit of open files: ulimit -n)" : "");
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
        int size = greeting(crowd, member, text, sizeof(text));
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
                crowd_turn(crowd, 100 * NS_PER_MS);
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
