/* io: one suite for the contract of io.h, run against io_uring and against epoll; and how one is chosen.
 *
 * The peers are plain blocking sockets of this thread. What a backend tells is copied into a log; each test takes from
 * the log what it expects, in the order in which it was told for a kind. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/clock.h"
#include "io/address.h"
#include "io/io.h"

#define EVENTS_MAX 512
#define TOLD_MAX 100000
#define PATIENCE_NS (5 * NS_PER_S)
#define CONNS_MAX 4096

struct told {
        struct io_event event;
        char text[IO_ADDRESS_BYTES_MAX]; /* of IO_ACCEPTED */
        bool taken;
};

struct world {
        struct io *io;
        char address[IO_ADDRESS_BYTES_MAX];
        struct told *told;
        size_t told_count;
        uint8_t *received; /* of all connections, one behind the other as it came */
        size_t received_bytes, received_bytes_max;
        struct io_address from;
        int events_max;
        struct io_event events[EVENTS_MAX];
};

static const enum io_backend uring = IO_BACKEND_URING, epoll = IO_BACKEND_EPOLL;

/* Older kernels do not know every flag. The linker hands io_uring_setup() of the backend to __wrap_io_uring_setup(),
 * which refuses `flags_unknown` as such a kernel would. */
struct io_uring_params;
int __real_io_uring_setup(unsigned entries, struct io_uring_params *params);
int __wrap_io_uring_setup(unsigned entries, struct io_uring_params *params);

static uint32_t flags_unknown;

int __wrap_io_uring_setup(unsigned entries, struct io_uring_params *params)
{
        const uint32_t *words = (const void *)params;
        return (words[2] & flags_unknown) != 0 ? -EINVAL : __real_io_uring_setup(entries, params);
}

/* As many registrations with epoll as this are refused, as where there is no memory for them. */
struct epoll_event;
int __real_epoll_ctl(int set, int operation, int file, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int file, struct epoll_event *event);

static unsigned watches_refused;

int __wrap_epoll_ctl(int set, int operation, int file, struct epoll_event *event)
{
        if (watches_refused == 0 || operation != 1) /* EPOLL_CTL_ADD */
                return __real_epoll_ctl(set, operation, file, event);
        watches_refused--;
        errno = ENOMEM;
        return -1;
}

static struct io_settings settings_of(enum io_backend backend)
{
        return (struct io_settings){.backend = backend,
                                    .conns_max = CONNS_MAX,
                                    .receive_buffer_bytes = 65536,
                                    .receive_buffers_count = 64,
                                    .entries = 256};
}

static struct world *world_new(const struct io_settings *settings, const char *address)
{
        struct io *io;
        int error = io_start(&io, settings);
        if (settings->backend == IO_BACKEND_URING && (error == -EPERM || error == -ENOSYS || error == -ENOMEM)) {
                print_message("skipped: the kernel refuses io_uring: %s\n", strerror(-error));
                skip();
        }
        assert_int_equal(error, 0);
        struct world *world = calloc(1, sizeof(*world));
        assert_non_null(world);
        world->io = io;
        world->events_max = EVENTS_MAX;
        world->told = calloc(TOLD_MAX, sizeof(*world->told));
        assert_non_null(world->told);
        if (address != NULL)
                assert_int_equal(io_listen(world->io, address, 7, world->address), 0);
        return world;
}

static void world_free(struct world *world)
{
        io_stop(world->io);
        free(world->received);
        free(world->told);
        free(world);
}

static struct world *world_of(void **state, const char *address)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        return world_new(&settings, address);
}

static void keep(struct world *world, struct span span)
{
        if (world->received_bytes + span.size > world->received_bytes_max) {
                world->received_bytes_max = 2 * (world->received_bytes + span.size);
                world->received = realloc(world->received, world->received_bytes_max);
                assert_non_null(world->received);
        }
        memcpy(world->received + world->received_bytes, span.bytes, span.size);
        world->received_bytes += span.size;
}

static int turn_until(struct world *world, uint64_t deadline_ns)
{
        int count = io_poll(world->io, world->events, world->events_max, deadline_ns);
        bool any_received = false;
        for (int i = 0; i < count; i++) {
                const struct io_event *event = &world->events[i];
                assert_true(world->told_count < TOLD_MAX);
                struct told *told = &world->told[world->told_count++];
                told->event = *event;
                told->taken = false;
                if (event->kind == IO_ACCEPTED)
                        snprintf(told->text, sizeof(told->text), "%.*s", (int)event->span.size,
                                 (const char *)event->span.bytes);
                if (event->kind == IO_RECEIVED)
                        assert_true(event->span.size > 0);
                if (event->kind == IO_RECEIVED || event->kind == IO_DATAGRAM)
                        keep(world, event->span);
                if (event->kind == IO_DATAGRAM)
                        world->from = *event->from;
                any_received |= event->kind == IO_RECEIVED;
                assert_false(event->kind == IO_RELEASED && any_received);
        }
        return count;
}

/* Everything that is there now. */
static void turns(struct world *world)
{
        uint64_t quiet_ns = 5 * NS_PER_MS;
        while (turn_until(world, clock_monotonic_ns() + quiet_ns) > 0)
                ;
}

/* The first untaken event of this kind (for this id unless 0), or NULL. */
static struct told *find(struct world *world, enum io_event_kind kind, io_id id)
{
        for (size_t i = 0; i < world->told_count; i++) {
                struct told *told = &world->told[i];
                if (!told->taken && told->event.kind == kind && (id == 0 || told->event.id == id))
                        return told;
        }
        return NULL;
}

static struct told *await(struct world *world, enum io_event_kind kind, io_id id)
{
        uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
        struct told *told;
        while ((told = find(world, kind, id)) == NULL) {
                assert_true(clock_monotonic_ns() < end_ns);
                turn_until(world, end_ns);
        }
        told->taken = true;
        return told;
}

static void await_bytes(struct world *world, size_t bytes)
{
        uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (world->received_bytes < bytes) {
                assert_true(clock_monotonic_ns() < end_ns);
                turn_until(world, end_ns);
        }
}

static size_t count_of(const struct world *world, enum io_event_kind kind)
{
        size_t count = 0;
        for (size_t i = 0; i < world->told_count; i++)
                count += world->told[i].event.kind == kind;
        return count;
}

static void forget(struct world *world)
{
        world->told_count = 0;
        world->received_bytes = 0;
}

static void assert_received(const struct world *world, const char *text)
{
        assert_int_equal(world->received_bytes, strlen(text));
        assert_memory_equal(world->received, text, strlen(text));
}

/* ---- peers ---- */

static int peer_of(const char *text)
{
        struct io_address address;
        assert_int_equal(address_parse(text, &address), 0);
        int fd = socket(address_family(&address), SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, address_socket(&address), address.size), 0);
        struct timeval patience = {.tv_sec = 5};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (address_family(&address) != AF_UNIX) {
                int no_delay = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
        }
        return fd;
}

static void peer_write(int fd, const void *bytes, size_t size)
{
        assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void peer_say(int fd, const char *text)
{
        peer_write(fd, text, strlen(text));
}

static void assert_peer_hears(int fd, const char *text)
{
        char heard[4096];
        size_t size = strlen(text);
        assert_true(size <= sizeof(heard));
        assert_int_equal(recv(fd, heard, size, MSG_WAITALL), size);
        assert_memory_equal(heard, text, size);
}

static void assert_peer_hears_end(int fd)
{
        char byte;
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Connects a peer and returns the id on our side. */
static io_id join(struct world *world, int *peer)
{
        *peer = peer_of(world->address);
        return await(world, IO_ACCEPTED, 0)->event.id;
}

static void say(struct world *world, io_id id, const char *text)
{
        struct span piece = span_of_text(text);
        io_send(world->io, id, &piece, 1);
}

/* Byte number `position` of the test stream. */
static uint8_t stream_byte(size_t position)
{
        return (uint8_t)(position * 7 + (position >> 8) * 13 + (position >> 16));
}

static uint8_t *stream_new(size_t size)
{
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++)
                bytes[i] = stream_byte(i);
        return bytes;
}

/* ---- streams ---- */

static void greet_over(void **state, const char *address, const char *peer_starts_with)
{
        struct world *world = world_of(state, address);
        int peer = peer_of(world->address);
        const struct told *accepted = await(world, IO_ACCEPTED, 0);
        io_id id = accepted->event.id;
        assert_true(id != 0);
        assert_int_equal(accepted->event.listener, 7);
        assert_memory_equal(accepted->text, peer_starts_with, strlen(peer_starts_with));
        peer_say(peer, "hello");
        await_bytes(world, 5);
        assert_received(world, "hello");
        say(world, id, "welcome");
        const struct told *released = await(world, IO_RELEASED, id);
        assert_int_equal(released->event.bytes, 7);
        assert_int_equal(released->event.sent, 7);
        assert_int_equal(released->event.sends, 1);
        assert_peer_hears(peer, "welcome");
        shutdown(peer, SHUT_WR);
        assert_int_equal(await(world, IO_ENDED, id)->event.error, 0);
        say(world, id, "bye");
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        assert_int_equal(find(world, IO_RELEASED, id)->event.sent, 3);
        assert_peer_hears(peer, "bye");
        assert_peer_hears_end(peer);
        assert_int_equal(io_statistics(world->io)->accepts, 1);
        assert_int_equal(io_statistics(world->io)->bytes_received, 5);
        assert_int_equal(io_statistics(world->io)->bytes_sent, 10);
        close(peer);
        world_free(world);
}

static void a_connection_is_accepted_heard_answered_and_closed(void **state)
{
        greet_over(state, "127.0.0.1:0", "127.0.0.1:");
}

static void ipv6_works_like_ipv4(void **state)
{
        greet_over(state, "[::1]:0", "[::1]:");
}

static void unix_sockets_work_like_tcp(void **state)
{
        char address[64];
        snprintf(address, sizeof(address), "unix:/tmp/spate-test-io-%d", (int)getpid());
        greet_over(state, address, "unix");
        struct stat status;
        assert_int_equal(stat(address + 5, &status), -1); /* the file is gone with the listener */
}

static void a_left_over_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
        char address[64];
        snprintf(address, sizeof(address), "unix:/tmp/spate-test-io-left-%d", (int)getpid());
        struct io_address parsed;
        assert_int_equal(address_parse(address, &parsed), 0);
        int left = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(left, address_socket(&parsed), parsed.size), 0);
        close(left);
        struct world *world = world_of(state, address);
        char bound[IO_ADDRESS_BYTES_MAX];
        assert_int_equal(io_listen(world->io, address, 8, bound), -EADDRINUSE);
        int peer;
        join(world, &peer);
        close(peer);
        world_free(world);
        /* A file that is no socket is not ours to remove. */
        int fd = open(address + 5, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        world = world_of(state, NULL);
        assert_int_equal(io_listen(world->io, address, 8, bound), -EADDRINUSE);
        world_free(world);
        assert_int_equal(unlink(address + 5), 0);
}

static void pieces_go_out_in_their_order(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        struct span pieces[IO_PIECES_MAX];
        char text[IO_PIECES_MAX * 2 + 1] = "";
        for (size_t i = 0; i < IO_PIECES_MAX; i++) {
                text[2 * i] = (char)('a' + i);
                text[2 * i + 1] = '.';
                pieces[i] = span_of(text + 2 * i, 2);
        }
        for (size_t count = 1; count <= IO_PIECES_MAX; count++) {
                io_send(world->io, id, pieces, count);
                const struct told *released = await(world, IO_RELEASED, id);
                assert_int_equal(released->event.bytes, 2 * count);
                assert_int_equal(released->event.sent, 2 * count);
                char heard[sizeof(text)];
                assert_int_equal(recv(peer, heard, 2 * count, MSG_WAITALL), 2 * count);
                assert_memory_equal(heard, text, 2 * count);
        }
        close(peer);
        world_free(world);
}

static void more_sends_than_the_queue_holds_go_out_in_one_turn(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.entries = 8;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        enum { PEERS = 100 };
        int peers[PEERS];
        io_id ids[PEERS];
        for (int i = 0; i < PEERS; i++)
                ids[i] = join(world, &peers[i]);
        struct span pieces[2] = {SPAN("one"), SPAN("two")};
        for (int i = 0; i < PEERS; i++)
                io_send(world->io, ids[i], pieces, 1 + (size_t)i % 2);
        forget(world);
        turn_until(world, 0);
        assert_int_equal(count_of(world, IO_RELEASED), PEERS);
        for (int i = 0; i < PEERS; i++) {
                assert_peer_hears(peers[i], i % 2 == 0 ? "one" : "onetwo");
                close(peers[i]);
        }
        world_free(world);
}

static void a_small_batch_leaves_the_rest_for_the_next_poll(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        enum { PEERS = 300 };
        static int peers[PEERS];
        static io_id ids[PEERS];
        for (int i = 0; i < PEERS; i++)
                ids[i] = join(world, &peers[i]);
        turns(world);
        for (int i = 0; i < PEERS; i++) {
                peer_say(peers[i], "x");
                say(world, ids[i], "yz");
        }
        usleep(10000);
        forget(world);
        world->events_max = 64;
        uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (world->told_count < 2 * PEERS) {
                size_t before = world->told_count;
                turn_until(world, end_ns);
                assert_true(world->told_count > before);
        }
        assert_int_equal(count_of(world, IO_RELEASED), PEERS);
        assert_int_equal(count_of(world, IO_RECEIVED), PEERS);
        for (int i = 0; i < PEERS; i++)
                io_close(world->io, ids[i], false);
        forget(world);
        while (count_of(world, IO_CLOSED) < PEERS)
                turn_until(world, end_ns);
        for (int i = 0; i < PEERS; i++)
                close(peers[i]);
        world_free(world);
}

static void a_reader_that_stalls_gets_every_byte_in_the_end(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        /* Smaller than two segments of the loopback device, and each waits for a delayed acknowledgement. */
        settings.send_buffer_bytes = 262144;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        const size_t size = (size_t)24 << 20;
        uint8_t *stream = stream_new(size);
        size_t sent = 0, read_bytes = 0, stalls = 0;
        static uint8_t heard[65536];
        uint64_t end_ns = clock_monotonic_ns() + 4 * PATIENCE_NS;
        bool sendable = true;
        while (read_bytes < size) {
                assert_true(clock_monotonic_ns() < end_ns);
                if (sendable && sent < size) {
                        size_t rest = size - sent, part = rest > 100000 ? 100000 : rest;
                        struct span pieces[2] = {span_of(stream + sent, part),
                                                 span_of(stream + sent + part, rest - part)};
                        io_send(world->io, id, pieces, rest > part ? 2 : 1);
                        const struct told *released = await(world, IO_RELEASED, id);
                        assert_int_equal(released->event.bytes, rest);
                        sent += released->event.sent;
                        sendable = sent == size;
                        stalls += !sendable;
                }
                if (find(world, IO_WRITABLE, id) != NULL) {
                        await(world, IO_WRITABLE, id);
                        sendable = true;
                }
                ssize_t count = recv(peer, heard, sizeof(heard), MSG_DONTWAIT);
                for (ssize_t i = 0; i < count; i++)
                        if (heard[i] != stream[read_bytes + (size_t)i])
                                fail_msg("byte %zu is wrong", read_bytes + (size_t)i);
                if (count > 0)
                        read_bytes += (size_t)count;
                turn_until(world, 0);
        }
        assert_true(stalls > 1);
        assert_true(io_statistics(world->io)->sends_short >= stalls);
        assert_int_equal(io_statistics(world->io)->bytes_sent, size);
        free(stream);
        close(peer);
        world_free(world);
}

static void one_that_stalls_does_not_hold_up_another(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.send_buffer_bytes = 32768;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        int stalled_peer, peer;
        io_id stalled = join(world, &stalled_peer), id = join(world, &peer);
        uint8_t *stream = stream_new((size_t)16 << 20);
        struct span piece = span_of(stream, (size_t)16 << 20);
        io_send(world->io, stalled, &piece, 1);
        say(world, id, "quick");
        assert_true(await(world, IO_RELEASED, stalled)->event.sent < piece.size);
        assert_int_equal(await(world, IO_RELEASED, id)->event.sent, 5);
        assert_peer_hears(peer, "quick");
        /* Giving up a connection that awaits its IO_WRITABLE. */
        io_close(world->io, stalled, true);
        await(world, IO_CLOSED, stalled);
        free(stream);
        close(peer);
        close(stalled_peer);
        world_free(world);
}

/* A socket that is always writable and takes nothing while the other end's buffer is full, as TCP is when it is short
 * of memory: netlink between two of our own. It takes the place of our socket of a connection that is paused, so that
 * no request holds on to the old one. Returns the other end. */
static int make_deceptive(struct world *world, io_id id, int peer)
{
        struct sockaddr_in ours, theirs;
        socklen_t ours_bytes = sizeof(ours), theirs_bytes = sizeof(theirs);
        io_pause(world->io, id);
        turn_until(world, 0);
        turn_until(world, 0);
        assert_int_equal(getpeername(peer, (void *)&ours, &ours_bytes), 0);
        int fd = 0;
        for (;; fd++) {
                assert_true(fd < 1000);
                ours_bytes = sizeof(theirs);
                if (fd != peer && getsockname(fd, (void *)&theirs, &ours_bytes) == 0 && theirs.sin_family == AF_INET &&
                    theirs.sin_port == ours.sin_port && getpeername(fd, (void *)&theirs, &theirs_bytes) == 0)
                        break;
        }
        int end = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK),
            other_end = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
        struct sockaddr_nl address = {.nl_family = AF_NETLINK};
        socklen_t address_bytes = sizeof(address);
        int room_bytes = 4096;
        if (end < 0 || other_end < 0) {
                print_message("skipped: no netlink here: %s\n", strerror(errno));
                skip();
        }
        assert_int_equal(setsockopt(other_end, SOL_SOCKET, SO_RCVBUF, &room_bytes, sizeof(room_bytes)), 0);
        assert_int_equal(bind(other_end, (void *)&address, sizeof(address)), 0);
        assert_int_equal(getsockname(other_end, (void *)&address, &address_bytes), 0);
        assert_int_equal(connect(end, (void *)&address, sizeof(address)), 0);
        assert_int_equal(dup2(end, fd), fd);
        close(end);
        return other_end;
}

static void say_until_full(struct world *world, io_id id)
{
        do
                say(world, id, "more and more");
        while (await(world, IO_RELEASED, id)->event.sent > 0);
}

static void one_that_is_writable_and_takes_nothing_is_asked_less_and_less(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        int other_end = make_deceptive(world, id, peer);
        char heard[64];
        for (int round = 0; round < 2; round++) {
                say_until_full(world, id);
                await(world, IO_WRITABLE, id);
                uint64_t sends = io_statistics(world->io)->sends;
                for (uint64_t pause_ns = NS_PER_MS; pause_ns <= 64 * NS_PER_MS; pause_ns *= 2) {
                        uint64_t before_ns = io_now_ns(world->io);
                        say(world, id, "more");
                        assert_int_equal(await(world, IO_RELEASED, id)->event.sent, 0);
                        await(world, IO_WRITABLE, id);
                        assert_true(io_now_ns(world->io) >= before_ns + pause_ns);
                }
                assert_int_equal(io_statistics(world->io)->sends, sends + 7);
                /* There is room again: it takes what it is given, and the pauses begin anew. */
                while (recv(other_end, heard, sizeof(heard), MSG_DONTWAIT) > 0)
                        continue;
                say(world, id, "more");
                assert_int_equal(await(world, IO_RELEASED, id)->event.sent, 4);
        }
        close(other_end);
        close(peer);
        world_free(world);
}

/* A pause holds up nothing but sends. */
static void one_that_pauses_before_it_is_asked_again_can_be_closed(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer, other_peer;
        io_id id = join(world, &peer);
        int other_end = make_deceptive(world, id, peer);
        say_until_full(world, id);
        for (int i = 0; i < 6; i++) {
                await(world, IO_WRITABLE, id);
                say(world, id, "more");
                assert_int_equal(await(world, IO_RELEASED, id)->event.sent, 0);
        }
        io_id other = join(world, &other_peer);
        say(world, other, "quick");
        assert_int_equal(await(world, IO_RELEASED, other)->event.sent, 5);
        assert_peer_hears(other_peer, "quick");
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        /* Nothing is left of it that could come due. */
        assert_int_equal(turn_until(world, io_clock_ns(world->io) + 100 * NS_PER_MS), 0);
        close(other_end);
        close(other_peer);
        close(peer);
        world_free(world);
}

struct flood {
        int fd;
        const uint8_t *bytes;
        size_t size;
};

static void *write_flood(void *argument)
{
        const struct flood *flood = argument;
        for (size_t at = 0; at < flood->size;) {
                size_t part = flood->size - at < 50000 ? flood->size - at : 50000;
                ssize_t count = send(flood->fd, flood->bytes + at, part, MSG_NOSIGNAL);
                if (count < 0)
                        break;
                at += (size_t)count;
        }
        shutdown(flood->fd, SHUT_WR);
        return NULL;
}

static void flooded(const struct io_settings *settings, size_t size, bool pauses, const char *address)
{
        struct world *world = world_new(settings, address);
        uint8_t *stream = stream_new(size);
        int peer;
        io_id id = join(world, &peer);
        struct flood flood = {peer, stream, size};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_flood, &flood), 0);
        uint64_t end_ns =
                clock_monotonic_ns() + 16 * PATIENCE_NS; /* thousands of turns, each of which may lose its core */
        for (unsigned round = 0; find(world, IO_ENDED, id) == NULL; round++) {
                assert_true(clock_monotonic_ns() < end_ns);
                world->told_count = 0;
                turn_until(world, end_ns);
                if (!pauses || round % 3 != 0)
                        continue;
                /* Sometimes taken back before the backend sees it, sometimes held for a few turns. */
                io_pause(world->io, id);
                if (round % 2 == 0)
                        io_resume(world->io, id);
                size_t before = world->received_bytes, ends = count_of(world, IO_ENDED);
                for (unsigned i = 0; i < round % 7 && round % 2 != 0; i++)
                        turn_until(world, clock_monotonic_ns() + NS_PER_MS / 4);
                if (round % 2 != 0)
                        assert_int_equal(world->received_bytes, before);
                assert_int_equal(count_of(world, IO_ENDED), ends);
                io_resume(world->io, id);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(world->received_bytes, size);
        assert_memory_equal(world->received, stream, size);
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        free(stream);
        close(peer);
        world_free(world);
}

static void a_flood_arrives_whole_and_in_order(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        flooded(&settings, (size_t)24 << 20, false, "127.0.0.1:0");
        char address[64];
        snprintf(address, sizeof(address), "unix:/tmp/spate-test-io-flood-%d", (int)getpid());
        flooded(&settings, (size_t)24 << 20, false, address);
}

static void pausing_and_resuming_loses_nothing(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        flooded(&settings, (size_t)24 << 20, true, "127.0.0.1:0");
}

static void a_full_completion_queue_loses_nothing(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.conns_max = 2;
        settings.entries = 4;
        settings.receive_buffer_bytes = 256;
        settings.receive_buffers_count = 1024;
        flooded(&settings, (size_t)4 << 20, true, "127.0.0.1:0");
}

static void few_small_buffers_slow_a_flood_down_but_lose_nothing(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.receive_buffer_bytes = 1000;
        settings.receive_buffers_count = 2;
        flooded(&settings, (size_t)4 << 20, true, "127.0.0.1:0");
}

static void a_paused_connection_is_silent_until_it_is_resumed(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        peer_say(peer, "one");
        await_bytes(world, 3);
        io_pause(world->io, id);
        peer_say(peer, "two");
        turns(world);
        peer_say(peer, "three");
        shutdown(peer, SHUT_WR);
        turns(world);
        assert_received(world, "one");
        assert_int_equal(count_of(world, IO_ENDED), 0);
        /* It can still send. */
        say(world, id, "heard");
        await(world, IO_RELEASED, id);
        assert_peer_hears(peer, "heard");
        io_resume(world->io, id);
        await(world, IO_ENDED, id);
        assert_received(world, "onetwothree");
        close(peer);
        world_free(world);
}

static void what_came_before_the_pause_took_effect_is_kept(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        enum { PEERS = 300 };
        static int peers[PEERS];
        static io_id ids[PEERS];
        for (int i = 0; i < PEERS; i++)
                ids[i] = join(world, &peers[i]);
        turns(world);
        forget(world);
        for (int i = 0; i < PEERS; i++)
                peer_say(peers[i], "0123456789");
        world->events_max = 64;
        while (world->told_count == 0)
                turn_until(world, clock_monotonic_ns() + PATIENCE_NS);
        /* Some end in between, and some have two pieces waiting. */
        for (int i = 0; i < PEERS; i++) {
                peer_say(peers[i], "ABCDEFGHIJ");
                if (i % 7 == 1)
                        shutdown(peers[i], SHUT_WR);
        }
        turn_until(world, clock_monotonic_ns() + PATIENCE_NS);
        size_t before = world->received_bytes, ends = count_of(world, IO_ENDED);
        assert_in_range(before, 10, 20 * 128);
        for (int i = 0; i < PEERS; i++)
                io_pause(world->io, ids[i]);
        turns(world);
        assert_int_equal(world->received_bytes, before);
        assert_int_equal(count_of(world, IO_ENDED), ends);
        for (int i = 0; i < PEERS; i++)
                if (i % 7 != 1)
                        peer_say(peers[i], "abcdefghij");
        turns(world);
        /* One of each five is closed with what is held for it. */
        for (int i = 0; i < PEERS; i++)
                if (find(world, IO_RECEIVED, ids[i]) == NULL && i % 5 == 0)
                        io_close(world->io, ids[i], false);
                else
                        io_resume(world->io, ids[i]);
        turns(world);
        size_t closed = count_of(world, IO_CLOSED), expected = 0;
        assert_in_range(closed, 1, PEERS / 5);
        for (int i = 0; i < PEERS; i++)
                if (find(world, IO_CLOSED, ids[i]) == NULL)
                        expected += i % 7 != 1 ? 30 : 20;
        assert_int_equal(world->received_bytes, expected);
        for (int i = 0; i < PEERS; i++)
                assert_true(find(world, IO_CLOSED, ids[i]) != NULL ||
                            (find(world, IO_ENDED, ids[i]) != NULL) == (i % 7 == 1));
        for (int i = 0; i < PEERS; i++)
                close(peers[i]);
        world_free(world);
}

static void paused_connections_cannot_starve_the_others_for_ever(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.receive_buffers_count = 2;
        settings.receive_buffer_bytes = 256;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        enum { PEERS = 20 };
        int peers[PEERS];
        io_id ids[PEERS];
        for (int i = 0; i < PEERS; i++)
                ids[i] = join(world, &peers[i]);
        for (int i = 0; i < PEERS; i++)
                peer_say(peers[i], "0123456789");
        for (int i = 0; i < PEERS - 1; i++)
                io_pause(world->io, ids[i]);
        await(world, IO_RECEIVED, ids[PEERS - 1]);
        for (int i = 0; i < PEERS - 1; i++)
                io_resume(world->io, ids[i]);
        await_bytes(world, 10 * PEERS);
        for (int i = 0; i < PEERS; i++)
                close(peers[i]);
        world_free(world);
}

static void every_byte_comes_although_buffers_are_short(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.receive_buffers_count = 4;
        settings.receive_buffer_bytes = 4096;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        enum { PEERS = 64 };
        int peers[PEERS];
        static uint8_t bytes[16384];
        for (int i = 0; i < PEERS; i++)
                join(world, &peers[i]);
        turns(world);
        forget(world);
        for (int round = 0; round < 4; round++) {
                for (int i = 0; i < PEERS; i++)
                        peer_write(peers[i], bytes, sizeof(bytes));
                await_bytes(world, sizeof(bytes) * PEERS * (size_t)(round + 1));
        }
        if (strcmp(io_traits(world->io)->name, "io_uring") == 0)
                assert_true(io_statistics(world->io)->buffers_short > 0);
        for (int i = 0; i < PEERS; i++)
                close(peers[i]);
        world_free(world);
}

static void *write_for_ever(void *argument)
{
        static const uint8_t bytes[65536];
        const int *fd = argument;
        while (send(*fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
                ;
        return NULL;
}

static void floods_do_not_starve_a_small_voice(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.receive_buffers_count = 4;
        settings.receive_buffer_bytes = 4096;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        enum { FLOODS = 3 };
        int peers[FLOODS], peer;
        pthread_t threads[FLOODS];
        for (int i = 0; i < FLOODS; i++) {
                join(world, &peers[i]);
                assert_int_equal(pthread_create(&threads[i], NULL, write_for_ever, &peers[i]), 0);
        }
        peer = peer_of(world->address);
        io_id id = 0;
        /* Each word gets through within some turns, whatever the floods do. */
        for (int word = 0, polls = 0; word < 50;) {
                assert_true(polls++ < 2000);
                forget(world);
                turn_until(world, clock_monotonic_ns() + PATIENCE_NS);
                const struct told *told = id == 0 ? find(world, IO_ACCEPTED, 0) : find(world, IO_RECEIVED, id);
                if (told == NULL)
                        continue;
                id = told->event.id;
                word++;
                polls = 0;
                peer_say(peer, "word");
        }
        io_stop(world->io);
        for (int i = 0; i < FLOODS; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                close(peers[i]);
        }
        close(peer);
        free(world->received);
        free(world->told);
        free(world);
}

static void more_is_told_while_the_source_has_more(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.receive_buffer_bytes = 1024;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        static uint8_t bytes[1500];
        peer_write(peer, bytes, sizeof(bytes));
        usleep(1000);
        assert_true(await(world, IO_RECEIVED, id)->event.more);
        assert_false(await(world, IO_RECEIVED, id)->event.more);
        close(peer);
        world_free(world);
}

/* ---- all of it at once ---- */

struct life {
        int peer;
        io_id id;
        size_t peer_wrote, heard; /* towards us */
        size_t sent, peer_read;   /* towards the peer */
        struct span lent;
        bool lends, stalled, paused, ended, closing, closed, peer_shut;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
        random_state = random_state * 1664525u + 1013904223u;
        return (uint32_t)((uint64_t)(random_state >> 4) * limit >> 28);
}

enum { LIVES = 100, LIFE_BYTES = 1 << 18 };

static void life_check(struct life *lives, const struct io_event *event, const uint8_t *stream)
{
        struct life *life = &lives[io_id_index(event->id)];
        if (event->kind == IO_ACCEPTED || event->kind == IO_WOKEN)
                return;
        assert_true(life->id == event->id);
        assert_false(life->closed);
        switch (event->kind) {
        case IO_RECEIVED:
                assert_false(life->paused || life->ended || life->closing);
                assert_true(life->heard + event->span.size <= life->peer_wrote);
                assert_memory_equal(event->span.bytes, stream + life->heard, event->span.size);
                life->heard += event->span.size;
                break;
        case IO_RELEASED:
                assert_true(life->lends);
                assert_int_equal(event->bytes, life->lent.size);
                life->lends = false;
                life->sent += event->sent;
                life->stalled = event->sent < event->bytes;
                break;
        case IO_WRITABLE:
                assert_true(life->stalled && !life->closing);
                life->stalled = false;
                break;
        case IO_ENDED:
                assert_false(life->ended || life->closing);
                assert_int_equal(event->error, 0);
                assert_true(life->peer_shut);
                assert_int_equal(life->heard, life->peer_wrote);
                life->ended = true;
                break;
        case IO_CLOSED:
                assert_true(life->closing && !life->lends);
                life->closed = true;
                break;
        default:
                fail_msg("event %d", (int)event->kind);
        }
}

static void life_step_of_peer(struct life *life, const uint8_t *stream)
{
        static uint8_t heard[LIFE_BYTES];
        if (life->closing)
                return;
        if (random_below(2) == 0 && !life->peer_shut) {
                size_t rest = LIFE_BYTES - life->peer_wrote,
                       size = random_below(random_below(4) == 0 ? 20000 : 100) + 1;
                ssize_t wrote = send(life->peer, stream + life->peer_wrote, size < rest ? size : rest,
                                     MSG_DONTWAIT | MSG_NOSIGNAL);
                if (wrote > 0)
                        life->peer_wrote += (size_t)wrote;
                if (random_below(2000) == 0)
                        life->peer_shut = shutdown(life->peer, SHUT_WR) == 0;
        }
        if (random_below(4) == 0) {
                ssize_t count = recv(life->peer, heard, random_below(50000) + 1, MSG_DONTWAIT);
                if (count > 0) {
                        assert_memory_equal(heard, stream + life->peer_read, (size_t)count);
                        life->peer_read += (size_t)count;
                }
        }
}

static void life_step_of_ours(struct world *world, struct life *life, const uint8_t *stream)
{
        if (life->closing)
                return;
        uint32_t chance = random_below(100);
        if (chance < 10) {
                life->paused = !life->paused;
                (life->paused ? io_pause : io_resume)(world->io, life->id);
        } else if (chance < 40 && !life->lends && !life->stalled && life->sent < LIFE_BYTES) {
                size_t rest = LIFE_BYTES - life->sent, size = random_below(LIFE_BYTES) + 1;
                life->lent = span_of(stream + life->sent, size < rest ? size : rest);
                life->lends = true;
                size_t cut = random_below((uint32_t)life->lent.size);
                struct span pieces[2] = {span_of(life->lent.bytes, cut), span_skip(life->lent, cut)};
                io_send(world->io, life->id, cut > 0 ? pieces : pieces + 1, cut > 0 ? 2 : 1);
        } else if (chance == 99 && random_below(50) == 0) {
                life->closing = true;
                io_close(world->io, life->id, random_below(2) == 0);
        }
}

static bool lives_are_through(const struct life *lives)
{
        for (int i = 0; i < LIVES; i++) {
                const struct life *life = &lives[i];
                if (life->lends || life->closed != life->closing)
                        return false;
                if (!life->closing && (life->heard != life->peer_wrote || life->ended != life->peer_shut))
                        return false;
        }
        return true;
}

static void live(const struct io_settings *settings, uint32_t seed)
{
        random_state = seed;
        struct world *world = world_new(settings, "127.0.0.1:0");
        uint8_t *stream = stream_new(LIFE_BYTES);
        static struct life lives[LIVES];
        memset(lives, 0, sizeof(lives));
        for (int i = 0; i < LIVES; i++) {
                int peer;
                io_id id = join(world, &peer);
                assert_in_range(io_id_index(id), 0, LIVES - 1);
                lives[io_id_index(id)] = (struct life){.peer = peer, .id = id};
        }
        world->events_max = 64;
        const unsigned steps = 600;
        uint64_t end_ns = clock_monotonic_ns() + 2 * PATIENCE_NS;
        for (unsigned step = 0;; step++) {
                forget(world);
                int count = turn_until(world, step < steps ? 0 : clock_monotonic_ns() + 20 * NS_PER_MS);
                for (int i = 0; i < count; i++)
                        life_check(lives, &world->events[i], stream);
                /* A segment that found the receive buffer full is sent again after 200 ms at the earliest. */
                if (step >= steps && count == 0 && (lives_are_through(lives) || clock_monotonic_ns() > end_ns))
                        break;
                for (int i = 0; i < LIVES && step < steps; i++) {
                        life_step_of_peer(&lives[i], stream);
                        life_step_of_ours(world, &lives[i], stream);
                }
                for (int i = 0; i < LIVES && step >= steps; i++) {
                        io_resume(world->io, lives[i].id);
                        lives[i].paused = false;
                }
        }
        assert_true(lives_are_through(lives));
        for (int i = 0; i < LIVES; i++)
                close(lives[i].peer);
        free(stream);
        world_free(world);
}

static void many_lives_at_random_keep_the_contract(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.send_buffer_bytes = 65536;
        settings.entries = 32;
        for (uint32_t seed = 1; seed <= 3; seed++)
                live(&settings, seed);
        settings.receive_buffer_bytes = 512;
        settings.receive_buffers_count = 128;
        for (uint32_t seed = 4; seed <= 6; seed++)
                live(&settings, seed);
}

/* ---- ends ---- */

static void a_reset_by_the_peer_ends_the_connection(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        turns(world);
        struct linger linger = {.l_onoff = 1};
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(peer);
        assert_int_equal(await(world, IO_ENDED, id)->event.error, -ECONNRESET);
        say(world, id, "too late");
        assert_int_equal(await(world, IO_RELEASED, id)->event.sent, 0);
        turns(world);
        assert_int_equal(count_of(world, IO_ENDED), 1);
        assert_int_equal(count_of(world, IO_WRITABLE), 0);
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        world_free(world);
}

static void a_send_that_finds_the_peer_gone_is_released_and_the_end_is_told(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        turns(world);
        struct linger linger = {.l_onoff = 1};
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        peer_say(peer, "last words");
        close(peer);
        say(world, id, "anyone?");
        const struct told *released = await(world, IO_RELEASED, id);
        assert_int_equal(released->event.bytes, 7);
        assert_int_equal(released->event.sent, 0);
        assert_true(await(world, IO_ENDED, id)->event.error < 0);
        turns(world);
        assert_int_equal(count_of(world, IO_ENDED), 1);
        io_close(world->io, id, true);
        await(world, IO_CLOSED, id);
        world_free(world);
}

static void a_close_with_reset_is_seen_as_a_reset(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        io_close(world->io, id, true);
        await(world, IO_CLOSED, id);
        char byte;
        assert_int_equal(recv(peer, &byte, 1, 0), -1);
        assert_int_equal(errno, ECONNRESET);
        close(peer);
        world_free(world);
}

/* Our end of a connection that `peer` has. */
static int our_end_of(int peer)
{
        struct sockaddr_in name, other;
        socklen_t bytes = sizeof(name);
        assert_int_equal(getsockname(peer, (struct sockaddr *)&name, &bytes), 0);
        for (int fd = 3; fd < 1024; fd++) {
                bytes = sizeof(other);
                if (fd != peer && getpeername(fd, (struct sockaddr *)&other, &bytes) == 0 && bytes == sizeof(other) &&
                    other.sin_port == name.sin_port)
                        return fd;
        }
        fail_msg("our end is not there");
        return -1;
}

/* As whoever looks at our descriptors in /proc does for a moment. */
static void a_closed_connection_that_somebody_holds_is_heard_no_more(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        turns(world);
        int held = dup(our_end_of(peer));
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        peer_say(peer, "is anybody there?");
        forget(world);
        uint64_t calls = io_statistics(world->io)->system_calls;
        turns(world);
        assert_int_equal(world->told_count, 0);
        assert_true(io_statistics(world->io)->system_calls - calls < 10);
        close(held);
        close(peer);
        world_free(world);
}

static void last_words_reach_a_peer_that_still_talks(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        io_pause(world->io, id);
        turns(world);
        peer_say(peer, "this will never be read by the engine");
        say(world, id, "-ERR 'go away'\r\n");
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        assert_peer_hears(peer, "-ERR 'go away'\r\n");
        assert_peer_hears_end(peer);
        close(peer);
        world_free(world);
}

static void a_shutdown_goes_out_behind_what_was_sent(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer;
        io_id id = join(world, &peer);
        say(world, id, "the end");
        io_shutdown(world->io, id);
        await(world, IO_RELEASED, id);
        assert_peer_hears(peer, "the end");
        assert_peer_hears_end(peer);
        peer_say(peer, "thanks");
        await_bytes(world, 6);
        close(peer);
        await(world, IO_ENDED, id);
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        world_free(world);
}

/* A connection is closed in every state it can be in; lent bytes come back before IO_CLOSED, nothing comes after. */
static void a_close_works_in_every_state(void **state)
{
        enum { FRESH, IDLE, LENT, SHORT, PAUSED, HOLDING, RECEIVED, PEER_ENDED, PEER_RESET, RESUMED, SHUT, STATES };
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.send_buffer_bytes = 16384;
        uint8_t *stream = stream_new((size_t)8 << 20);
        struct span much = span_of(stream, (size_t)8 << 20);
        for (int form = 0; form < 2 * STATES * 2; form++) {
                int stage = form % STATES;
                bool reset = form / STATES % 2 == 1, lends = form / STATES / 2 == 1;
                struct world *world = world_new(&settings, "127.0.0.1:0");
                int peer;
                io_id id = join(world, &peer);
                if (stage != FRESH)
                        turns(world);
                if (stage == LENT || (lends && stage != SHORT && stage != SHUT))
                        io_send(world->io, id, &much, 1);
                if (stage == SHORT) {
                        /* Until nothing goes out any more and its IO_WRITABLE stays away; or just a short send. */
                        do {
                                io_send(world->io, id, &much, 1);
                                assert_true(await(world, IO_RELEASED, id)->event.sent < much.size);
                                if (lends)
                                        turns(world);
                        } while (lends && find(world, IO_WRITABLE, id) != NULL && await(world, IO_WRITABLE, id));
                }
                if (stage == PAUSED || stage == HOLDING || stage == RESUMED)
                        io_pause(world->io, id);
                if (stage == HOLDING || stage == RECEIVED || stage == RESUMED)
                        peer_say(peer, "something");
                if (stage == RESUMED) {
                        turns(world);
                        io_resume(world->io, id);
                }
                if (stage == PEER_ENDED)
                        shutdown(peer, SHUT_WR);
                if (stage == PEER_RESET) {
                        struct linger linger = {.l_onoff = 1};
                        setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
                        close(peer);
                }
                if (stage == SHUT)
                        io_shutdown(world->io, id);
                forget(world);
                size_t lent = stage == LENT || (lends && stage != SHORT && stage != SHUT && stage != RESUMED) ? 1 : 0;
                io_close(world->io, id, reset);
                io_close(world->io, id, !reset);
                await(world, IO_CLOSED, id);
                assert_int_equal(world->told[world->told_count - 1].event.kind, IO_CLOSED);
                assert_int_equal(count_of(world, IO_RELEASED), lent);
                assert_int_equal(count_of(world, IO_RECEIVED), 0);
                forget(world);
                /* The id is dead: nothing happens. */
                io_send(world->io, id, &much, 1);
                io_pause(world->io, id);
                io_resume(world->io, id);
                io_shutdown(world->io, id);
                io_close(world->io, id, false);
                turns(world);
                assert_int_equal(world->told_count, 0);
                /* Its index is used again under another id. */
                int next_peer;
                io_id next = join(world, &next_peer);
                assert_true(next != id);
                assert_int_equal(io_id_index(next), io_id_index(id));
                io_close(world->io, id, true);
                turns(world);
                assert_int_equal(count_of(world, IO_CLOSED), 0);
                say(world, next, "alive");
                await(world, IO_RELEASED, next);
                assert_peer_hears(next_peer, "alive");
                close(next_peer);
                if (stage != PEER_RESET)
                        close(peer);
                world_free(world);
        }
        free(stream);
}

static void a_stop_closes_everything(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int idle, paused, sending;
        join(world, &idle);
        io_pause(world->io, join(world, &paused));
        io_id id = join(world, &sending);
        turns(world);
        say(world, id, "never sent, or sent");
        char address[IO_ADDRESS_BYTES_MAX];
        memcpy(address, world->address, sizeof(address));
        world_free(world);
        assert_peer_hears_end(idle);
        assert_peer_hears_end(paused);
        close(idle);
        close(paused);
        close(sending);
        /* The port is free again at once. */
        world = world_of(state, address);
        world_free(world);
}

/* ---- listening and connecting ---- */

static void a_busy_port_is_told(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        char bound[IO_ADDRESS_BYTES_MAX];
        assert_int_equal(io_listen(world->io, world->address, 1, bound), -EADDRINUSE);
        assert_int_equal(io_listen(world->io, "127.0.0.1", 1, bound), -EINVAL);
        assert_int_equal(io_listen(world->io, "no.such.name:1", 1, bound), -EINVAL);
        assert_int_equal(io_listen(world->io, "unix:/no/such/folder/socket", 1, bound), -ENOENT);
        world_free(world);
}

static void listeners_are_told_apart_and_stop_together(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        char second[IO_ADDRESS_BYTES_MAX];
        turns(world);
        assert_int_equal(io_listen(world->io, "127.0.0.1:0", 9, second), 0);
        int peers[2] = {peer_of(world->address), peer_of(second)};
        uint32_t sum = await(world, IO_ACCEPTED, 0)->event.listener;
        const struct told *last = await(world, IO_ACCEPTED, 0);
        assert_int_equal(sum + last->event.listener, 7 + 9);
        io_stop_listening(world->io);
        turns(world);
        struct io_address address;
        assert_int_equal(address_parse(second, &address), 0);
        int refused = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(refused, address_socket(&address), address.size), -1);
        assert_int_equal(errno, ECONNREFUSED);
        close(refused);
        /* Connections go on, and it can listen again. */
        say(world, last->event.id, "still here");
        await(world, IO_RELEASED, 0);
        assert_int_equal(io_listen(world->io, second, 11, second), 0);
        int again = peer_of(second);
        assert_int_equal(await(world, IO_ACCEPTED, 0)->event.listener, 11);
        close(again);
        close(peers[0]);
        close(peers[1]);
        world_free(world);
}

static void one_too_many_is_closed_and_counted(void **state)
{
        struct io_settings settings = settings_of(*(const enum io_backend *)*state);
        settings.conns_max = 2;
        struct world *world = world_new(&settings, "127.0.0.1:0");
        int peers[2], refused;
        io_id id = join(world, &peers[0]);
        join(world, &peers[1]);
        refused = peer_of(world->address);
        turns(world);
        assert_peer_hears_end(refused);
        assert_int_equal(io_statistics(world->io)->accepts_refused, 1);
        assert_int_equal(count_of(world, IO_ACCEPTED), 2);
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        int third;
        join(world, &third);
        close(third);
        close(refused);
        close(peers[0]);
        close(peers[1]);
        world_free(world);
}

static void out_of_descriptors_it_waits_and_accepts_later(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer = socket(AF_INET, SOCK_STREAM, 0);
        struct io_address address;
        assert_int_equal(address_parse(world->address, &address), 0);
        struct rlimit before, none;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = (rlim_t)peer + 1;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        turns(world);
        int connected = connect(peer, address_socket(&address), address.size);
        uint64_t polls = io_statistics(world->io)->system_calls;
        uint64_t until_ns = clock_monotonic_ns() + 250 * NS_PER_MS;
        while (clock_monotonic_ns() < until_ns)
                turn_until(world, until_ns);
        polls = io_statistics(world->io)->system_calls - polls;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(connected, 0);
        assert_int_equal(count_of(world, IO_ACCEPTED), 0);
        assert_in_range(io_statistics(world->io)->accepts_refused, 1, 4);
        assert_in_range(polls, 1, 40); /* it does not spin */
        await(world, IO_ACCEPTED, 0);
        close(peer);
        world_free(world);
}

static void a_listener_that_cannot_be_watched_accepts_later(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        watches_refused = 1; /* io_uring asks for none */
        turns(world);
        int peer = peer_of(world->address);
        await(world, IO_ACCEPTED, 0);
        watches_refused = 0;
        close(peer);
        world_free(world);
}

static void two_of_us_can_connect(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        io_id client;
        assert_int_equal(io_connect(world->io, world->address, &client), 0);
        assert_int_equal(await(world, IO_CONNECTED, client)->event.error, 0);
        io_id server = await(world, IO_ACCEPTED, 0)->event.id;
        say(world, client, "ping");
        await_bytes(world, 4);
        say(world, server, "pong");
        await_bytes(world, 8);
        assert_received(world, "pingpong");
        io_close(world->io, client, false);
        await(world, IO_CLOSED, client);
        await(world, IO_ENDED, server);
        world_free(world);
}

static void a_refused_connect_is_told(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        io_stop_listening(world->io);
        io_id client;
        assert_int_equal(io_connect(world->io, world->address, &client), 0);
        assert_int_equal(await(world, IO_CONNECTED, client)->event.error, -ECONNREFUSED);
        io_close(world->io, client, false);
        await(world, IO_CLOSED, client);
        assert_int_equal(count_of(world, IO_ENDED), 0);
        assert_int_equal(io_connect(world->io, "nowhere", &client), -EINVAL);
        assert_int_equal(io_connect(world->io, "unix:/no/such/socket", &client), -ENOENT);
        /* Given up before it is decided: 192.0.2.1 never answers. */
        if (io_connect(world->io, "192.0.2.1:9", &client) == 0) {
                turn_until(world, 0);
                io_close(world->io, client, false);
                await(world, IO_CLOSED, client);
        }
        world_free(world);
}

static void two_thousand_connections_are_served(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        enum { PEERS = 2000, ROUNDS = 5 };
        static int peers[PEERS];
        static io_id ids[PEERS];
        for (int i = 0; i < PEERS; i++) {
                peers[i] = peer_of(world->address);
                if (i % 500 == 499)
                        turns(world);
        }
        uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (count_of(world, IO_ACCEPTED) < PEERS && clock_monotonic_ns() < end_ns)
                turn_until(world, end_ns);
        size_t count = 0;
        for (size_t i = 0; i < world->told_count; i++)
                if (world->told[i].event.kind == IO_ACCEPTED)
                        ids[count++] = world->told[i].event.id;
        assert_int_equal(count, PEERS);
        for (int round = 0; round < ROUNDS; round++) {
                forget(world);
                for (int i = 0; i < PEERS; i++)
                        peer_say(peers[i], "ping");
                await_bytes(world, 4 * PEERS);
                forget(world);
                for (int i = 0; i < PEERS; i++)
                        say(world, ids[i], "pong!");
                while (count_of(world, IO_RELEASED) < PEERS)
                        turn_until(world, end_ns);
                for (int i = 0; i < PEERS; i++)
                        assert_peer_hears(peers[i], "pong!");
        }
        forget(world);
        for (int i = 0; i < PEERS; i += 2)
                io_close(world->io, ids[i], i % 4 == 0);
        for (int i = 0; i < PEERS; i++)
                close(peers[i]);
        end_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (count_of(world, IO_ENDED) < PEERS / 2 || count_of(world, IO_CLOSED) < PEERS / 2) {
                assert_true(clock_monotonic_ns() < end_ns);
                turn_until(world, end_ns);
        }
        world_free(world);
}

/* ---- time ---- */

static void a_deadline_is_kept(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        turns(world);
        uint64_t before_ns = clock_monotonic_ns();
        assert_int_equal(turn_until(world, 0), 0);
        assert_int_equal(turn_until(world, before_ns), 0);
        assert_true(clock_monotonic_ns() - before_ns < 20 * NS_PER_MS);
        uint64_t deadline_ns = clock_monotonic_ns() + 30 * NS_PER_MS;
        assert_int_equal(turn_until(world, deadline_ns), 0);
        assert_true(io_now_ns(world->io) >= deadline_ns);
        assert_true(io_now_ns(world->io) < deadline_ns + 500 * NS_PER_MS);
        world_free(world);
}

static void *wake_later(void *argument)
{
        usleep(20000);
        io_wake(argument);
        return NULL;
}

static void another_thread_wakes_a_sleeper(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        for (int i = 0; i < 3; i++) {
                pthread_t thread;
                assert_int_equal(pthread_create(&thread, NULL, wake_later, world->io), 0);
                turn_until(world, UINT64_MAX);
                await(world, IO_WOKEN, 0);
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
        /* A wake before the poll is not lost, and many are one. */
        for (int i = 0; i < 10; i++)
                io_wake(world->io);
        turn_until(world, UINT64_MAX);
        await(world, IO_WOKEN, 0);
        turns(world);
        assert_null(find(world, IO_WOKEN, 0));
        world_free(world);
}

struct runner {
        struct io *io;
        int count;
};

static void *run_elsewhere(void *argument)
{
        struct runner *runner = argument;
        struct io_event events[64];
        runner->count = io_poll(runner->io, events, 64, clock_monotonic_ns() + 5 * NS_PER_S);
        return NULL;
}

static void one_thread_may_start_and_stop_what_another_runs(void **state)
{
        struct world *world = world_of(state, "127.0.0.1:0");
        int peer = peer_of(world->address);
        struct runner runner = {.io = world->io};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, &runner), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(runner.count, 1);
        world_free(world);
        assert_peer_hears_end(peer);
        close(peer);
}

/* ---- datagrams ---- */

static void datagrams_over(void **state, const char *address)
{
        struct world *world = world_of(state, NULL);
        char bound[IO_ADDRESS_BYTES_MAX], text[IO_ADDRESS_BYTES_MAX], own[IO_ADDRESS_BYTES_MAX];
        io_id id;
        assert_int_equal(io_datagram_open(world->io, address, &id, bound), 0);
        struct io_address to, self = {.size = sizeof(self.bytes)};
        assert_int_equal(address_parse(bound, &to), 0);
        int peer = socket(address_family(&to), SOCK_DGRAM, 0);
        assert_int_equal(connect(peer, address_socket(&to), to.size), 0);
        getsockname(peer, (struct sockaddr *)(void *)self.bytes, &self.size);
        struct timeval patience = {.tv_sec = 5};
        setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        peer_say(peer, "measure");
        const struct told *told = await(world, IO_DATAGRAM, id);
        assert_int_equal(told->event.span.size, 7);
        assert_received(world, "measure");
        assert_string_equal(io_address_text(&world->from, text), io_address_text(&self, own));
        assert_true(io_datagram_send(world->io, id, &world->from, SPAN("noted")));
        assert_peer_hears(peer, "noted");
        /* The largest there is, an empty one, and many. */
        uint8_t *stream = stream_new(65507);
        forget(world);
        peer_write(peer, stream, 65507);
        assert_int_equal(await(world, IO_DATAGRAM, id)->event.span.size, 65507);
        assert_memory_equal(world->received, stream, 65507);
        peer_write(peer, stream, 0);
        assert_int_equal(await(world, IO_DATAGRAM, id)->event.span.size, 0);
        forget(world);
        for (int round = 0; round < 40; round++) {
                for (int i = 0; i < 50; i++)
                        peer_write(peer, stream, 100);
                while (count_of(world, IO_DATAGRAM) < (size_t)(round + 1) * 50)
                        turn_until(world, clock_monotonic_ns() + PATIENCE_NS);
        }
        io_close(world->io, id, false);
        await(world, IO_CLOSED, id);
        assert_false(io_datagram_send(world->io, id, &world->from, SPAN("late")));
        free(stream);
        close(peer);
        world_free(world);
}

static void datagrams_come_and_go_over_ipv4(void **state)
{
        datagrams_over(state, "127.0.0.1:0");
}

static void datagrams_come_and_go_over_ipv6(void **state)
{
        datagrams_over(state, "[::1]:0");
}

/* ---- which backend ---- */

static void features_are_told(void **state)
{
        struct world *world = world_of(state, NULL);
        size_t count;
        const struct io_feature *features = io_features(world->io, &count);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
                assert_non_null(features[i].name);
                assert_non_null(features[i].kernel);
                assert_non_null(features[i].fallback);
                if (strstr(features[i].name, "deferred") != NULL && (flags_unknown & 1u << 13) != 0)
                        assert_false(features[i].present);
        }
        assert_int_equal(io_traits(world->io)->sends_max, 1);
        assert_string_equal(io_traits(world->io)->reason, "");
        world_free(world);
}

/* From here on the calling process gets `error` for this system call. */
static void refuse_system_call(unsigned number, int error)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = array_count(filter), .filter = filter};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
                _exit(99);
}

/* In a child, since a filter cannot be taken back. 0: all is well. */
static int run_refused(unsigned number, int error)
{
        refuse_system_call(number, error);
        struct io_settings settings = settings_of(IO_BACKEND_URING);
        struct io *io;
        if (io_start(&io, &settings) != -error || io != NULL)
                return 1;
        settings.backend = IO_BACKEND_AUTO;
        if (io_start(&io, &settings) != 0)
                return 2;
        if (strcmp(io_traits(io)->name, "epoll") != 0 || io_traits(io)->reason_errno != error)
                return 3;
        if (io_traits(io)->reason[0] == '\0')
                return 4;
        struct io_event events[64];
        if (io_poll(io, events, 64, 0) != 0)
                return 5;
        io_stop(io);
        return 0;
}

static void a_refused_io_uring_becomes_epoll(void **state)
{
        (void)state;
        const struct {
                unsigned number;
                int error;
        } refusals[] = {{SYS_io_uring_setup, EPERM},  {SYS_io_uring_setup, ENOSYS},   {SYS_io_uring_setup, ENOMEM},
                        {SYS_io_uring_setup, EINVAL}, {SYS_io_uring_register, EPERM}, {SYS_io_uring_register, EINVAL}};
        for (size_t i = 0; i < array_count(refusals); i++) {
                pid_t child = fork();
                assert_true(child >= 0);
                int error = refusals[i].number == SYS_io_uring_register ? ENOSYS : refusals[i].error;
                if (child == 0)
                        _exit(run_refused(refusals[i].number, error));
                int status;
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_true(WIFEXITED(status));
                if (WEXITSTATUS(status) == 99) {
                        print_message("skipped: this process may not install a seccomp filter\n");
                        skip();
                }
                assert_int_equal(WEXITSTATUS(status), 0);
        }
}

static void auto_takes_io_uring_where_it_works(void **state)
{
        (void)state;
        struct io_settings settings = settings_of(IO_BACKEND_URING);
        struct io *io;
        bool works = io_start(&io, &settings) == 0;
        io_stop(io);
        settings.backend = IO_BACKEND_AUTO;
        assert_int_equal(io_start(&io, &settings), 0);
        assert_string_equal(io_traits(io)->name, works ? "io_uring" : "epoll");
        assert_int_equal(io_traits(io)->reason_errno == 0, works);
        io_stop(io);
        io_stop(NULL);
}

/* ---- addresses ---- */

static void addresses_are_read_and_written(void **state)
{
        (void)state;
        static const char *const good[][2] = {
                {"127.0.0.1:4222", "127.0.0.1:4222"},
                {"0.0.0.0:0", "0.0.0.0:0"},
                {"localhost:65535", "127.0.0.1:65535"},
                {"[::1]:4222", "[::1]:4222"},
                {"[::]:1", "[::]:1"},
                {"[2001:DB8::0:1]:80", "[2001:db8::1]:80"},
                {"[fe80::1%lo]:4222", "[fe80::1%lo]:4222"},
                {"unix:/run/spate.sock", "unix:/run/spate.sock"},
                {"unix:relative", "unix:relative"},
        };
        static const char *const bad[] = {
                "",
                ":",
                "127.0.0.1",
                "127.0.0.1:",
                "127.0.0.1:65536",
                "127.0.0.1:-1",
                "127.0.0.1:+1",
                "127.0.0.1: 1",
                "127.0.0.1:1x",
                "127.0.0.1:000001",
                "1.2.3:1",
                "1.2.3.4.5:1",
                "[::1]",
                "[::1:1",
                "::1:1",
                "[]:1",
                "[1.2.3.4]:1",
                "[fe80::1%nosuchif]:1",
                "unix:",
                "example:1",
                ":4222",
                "*:4222",
        };
        struct io_address address;
        char text[IO_ADDRESS_BYTES_MAX];
        for (size_t i = 0; i < array_count(good); i++) {
                assert_int_equal(address_parse(good[i][0], &address), 0);
                assert_string_equal(io_address_text(&address, text), good[i][1]);
        }
        for (size_t i = 0; i < array_count(bad); i++)
                if (address_parse(bad[i], &address) != -EINVAL)
                        fail_msg("\"%s\" is taken for an address", bad[i]);
        /* The longest UNIX path, and one byte more. */
        char path[5 + 108 + 1] = "unix:";
        memset(path + 5, 'x', 107);
        assert_int_equal(address_parse(path, &address), 0);
        assert_string_equal(io_address_text(&address, text), path);
        path[5 + 107] = 'x';
        assert_int_equal(address_parse(path, &address), -EINVAL);
        char long_host[300];
        memset(long_host, '1', sizeof(long_host));
        memcpy(long_host + sizeof(long_host) - 3, ":1", 3);
        assert_int_equal(address_parse(long_host, &address), -EINVAL);
        address.size = 0;
        assert_string_equal(io_address_text(&address, text), "unknown");
}

static int run_contract(const char *name, const enum io_backend *backend)
{
#define CONTRACT(test)                                                                                                 \
        {                                                                                                              \
#test, test, NULL, NULL, (void *)(uintptr_t)backend                                                    \
        }
        const struct CMUnitTest tests[] = {
                CONTRACT(a_connection_is_accepted_heard_answered_and_closed),
                CONTRACT(ipv6_works_like_ipv4),
                CONTRACT(unix_sockets_work_like_tcp),
                CONTRACT(a_left_over_unix_socket_is_replaced_and_a_live_one_is_not),
                CONTRACT(pieces_go_out_in_their_order),
                CONTRACT(more_sends_than_the_queue_holds_go_out_in_one_turn),
                CONTRACT(a_small_batch_leaves_the_rest_for_the_next_poll),
                CONTRACT(a_reader_that_stalls_gets_every_byte_in_the_end),
                CONTRACT(one_that_stalls_does_not_hold_up_another),
                CONTRACT(one_that_is_writable_and_takes_nothing_is_asked_less_and_less),
                CONTRACT(one_that_pauses_before_it_is_asked_again_can_be_closed),
                CONTRACT(a_flood_arrives_whole_and_in_order),
                CONTRACT(pausing_and_resuming_loses_nothing),
                CONTRACT(a_full_completion_queue_loses_nothing),
                CONTRACT(what_came_before_the_pause_took_effect_is_kept),
                CONTRACT(few_small_buffers_slow_a_flood_down_but_lose_nothing),
                CONTRACT(a_paused_connection_is_silent_until_it_is_resumed),
                CONTRACT(paused_connections_cannot_starve_the_others_for_ever),
                CONTRACT(every_byte_comes_although_buffers_are_short),
                CONTRACT(floods_do_not_starve_a_small_voice),
                CONTRACT(more_is_told_while_the_source_has_more),
                CONTRACT(many_lives_at_random_keep_the_contract),
                CONTRACT(a_reset_by_the_peer_ends_the_connection),
                CONTRACT(a_send_that_finds_the_peer_gone_is_released_and_the_end_is_told),
                CONTRACT(a_close_with_reset_is_seen_as_a_reset),
                CONTRACT(a_closed_connection_that_somebody_holds_is_heard_no_more),
                CONTRACT(last_words_reach_a_peer_that_still_talks),
                CONTRACT(a_shutdown_goes_out_behind_what_was_sent),
                CONTRACT(a_close_works_in_every_state),
                CONTRACT(a_stop_closes_everything),
                CONTRACT(a_busy_port_is_told),
                CONTRACT(listeners_are_told_apart_and_stop_together),
                CONTRACT(one_too_many_is_closed_and_counted),
                CONTRACT(out_of_descriptors_it_waits_and_accepts_later),
                CONTRACT(a_listener_that_cannot_be_watched_accepts_later),
                CONTRACT(two_of_us_can_connect),
                CONTRACT(a_refused_connect_is_told),
                CONTRACT(two_thousand_connections_are_served),
                CONTRACT(a_deadline_is_kept),
                CONTRACT(another_thread_wakes_a_sleeper),
                CONTRACT(one_thread_may_start_and_stop_what_another_runs),
                CONTRACT(datagrams_come_and_go_over_ipv4),
                CONTRACT(datagrams_come_and_go_over_ipv6),
                CONTRACT(features_are_told),
        };
        return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(addresses_are_read_and_written),
                cmocka_unit_test(auto_takes_io_uring_where_it_works),
                cmocka_unit_test(a_refused_io_uring_becomes_epoll),
        };
        int failures = cmocka_run_group_tests_name("io", tests, NULL, NULL);
        failures += run_contract("io over io_uring", &uring);
        flags_unknown = 1u << 16; /* IORING_SETUP_NO_SQARRAY */
        failures += run_contract("io over io_uring of Linux 6.1", &uring);
        flags_unknown |= 1u << 13; /* IORING_SETUP_DEFER_TASKRUN */
        failures += run_contract("io over io_uring of Linux 6.0", &uring);
        failures += run_contract("io over epoll", &epoll);
        return failures;
}
