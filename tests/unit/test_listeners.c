/* listeners: several io at one address, and how many connections a poll takes. Against io_uring and against epoll. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/clock.h"
#include "io/address.h"
#include "io/io.h"

#define EVENTS_MAX 512
#define PATIENCE_NS (5 * NS_PER_S)
#define SHARERS_COUNT 3
#define PEERS_COUNT 300
#define ACCEPTS_MAX 8

static const enum io_backend uring = IO_BACKEND_URING, epoll = IO_BACKEND_EPOLL;

static struct io_settings settings_of(void **state)
{
        return (struct io_settings){.backend = *(const enum io_backend *)*state,
                                    .conns_max = 1024,
                                    .receive_buffer_bytes = 4096,
                                    .receive_buffers_count = 64,
                                    .entries = 64,
                                    .accepts_max = ACCEPTS_MAX};
}

static struct io *io_with(struct io_settings settings)
{
        struct io *io;
        int error = io_start(&io, &settings);
        if (settings.backend == IO_BACKEND_URING && (error == -EPERM || error == -ENOSYS || error == -ENOMEM)) {
                print_message("skipped: the kernel refuses io_uring: %s\n", strerror(-error));
                skip();
        }
        assert_int_equal(error, 0);
        return io;
}

static struct io *io_of(void **state)
{
        return io_with(settings_of(state));
}

/* A plain socket that is bound to `text` and listens, or -errno. */
static int stranger_of(const char *text, bool shares)
{
        struct io_address address;
        assert_int_equal(address_parse(text, &address), 0);
        int fd = socket(address_family(&address), SOCK_STREAM, 0), one = 1;
        assert_true(fd >= 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (shares)
                setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (bind(fd, address_socket(&address), address.size) == 0 && listen(fd, 16) == 0)
                return fd;
        int error = -errno;
        close(fd);
        return error;
}

static int peer_of(const char *text)
{
        struct io_address address;
        assert_int_equal(address_parse(text, &address), 0);
        int fd = socket(address_family(&address), SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, address_socket(&address), address.size), 0);
        return fd;
}

/* What one poll told. */
struct told {
        int accepts, received;
        int accepts_of[2]; /* by listener */
        io_id id;          /* of the last one accepted */
};

static struct told poll_once(struct io *io, int events_max, uint64_t deadline_ns)
{
        struct io_event events[EVENTS_MAX];
        struct told told = {0};
        int count = io_poll(io, events, events_max, deadline_ns);
        for (int i = 0; i < count; i++) {
                if (events[i].kind == IO_ACCEPTED) {
                        told.accepts++;
                        told.accepts_of[events[i].listener & 1]++;
                        told.id = events[i].id;
                } else if (events[i].kind == IO_RECEIVED) {
                        told.received++;
                }
        }
        return told;
}

static int poll_accepts(struct io *io)
{
        return poll_once(io, EVENTS_MAX, 0).accepts;
}

static void connect_many(const char *text, int *peers, int peers_count)
{
        for (int i = 0; i < peers_count; i++)
                peers[i] = peer_of(text);
}

static void close_many(const int *peers, int peers_count)
{
        for (int i = 0; i < peers_count; i++)
                close(peers[i]);
}

/* ---- one address, many io ---- */

static void connections_are_spread_over_those_who_share(void **state, const char *address)
{
        struct io *ios[SHARERS_COUNT];
        char bound[IO_ADDRESS_BYTES_MAX], again[IO_ADDRESS_BYTES_MAX];
        int peers[PEERS_COUNT], accepts[SHARERS_COUNT] = {0}, sum = 0;
        for (int i = 0; i < SHARERS_COUNT; i++)
                ios[i] = io_of(state);
        assert_int_equal(io_listen_shared(ios[0], address, IO_SHARED_FIRST, 0, bound), 0);
        for (int i = 1; i < SHARERS_COUNT; i++) {
                assert_int_equal(io_listen_shared(ios[i], bound, IO_SHARED_JOINS, 0, again), 0);
                assert_string_equal(again, bound);
        }
        connect_many(bound, peers, PEERS_COUNT);
        uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (sum < PEERS_COUNT && clock_monotonic_ns() < until_ns) {
                for (int i = 0; i < SHARERS_COUNT; i++) {
                        int count = poll_accepts(ios[i]);
                        accepts[i] += count;
                        sum += count;
                }
        }
        assert_int_equal(sum, PEERS_COUNT);
        for (int i = 0; i < SHARERS_COUNT; i++)
                assert_true(accepts[i] > 0); /* that one gets none has a chance of 3 to 2^175 */
        close_many(peers, PEERS_COUNT);
        for (int i = 0; i < SHARERS_COUNT; i++)
                io_stop(ios[i]);
}

static void connections_are_spread_over_those_who_share_over_ipv4(void **state)
{
        connections_are_spread_over_those_who_share(state, "127.0.0.1:0");
}

static void connections_are_spread_over_those_who_share_over_ipv6(void **state)
{
        connections_are_spread_over_those_who_share(state, "[::1]:0");
}

static void the_first_listens_nowhere_where_another_does_even_if_that_one_shares(void **state)
{
        struct io *io = io_of(state);
        char bound[IO_ADDRESS_BYTES_MAX], text[IO_ADDRESS_BYTES_MAX];
        struct io_address address = {.size = sizeof(address.bytes)};
        for (int shares = 0; shares < 2; shares++) {
                int stranger = stranger_of("127.0.0.1:0", shares != 0);
                assert_true(stranger >= 0);
                assert_int_equal(getsockname(stranger, (struct sockaddr *)(void *)address.bytes, &address.size), 0);
                io_address_text(&address, text);
                assert_int_equal(io_listen_shared(io, text, IO_SHARED_FIRST, 0, bound), -EADDRINUSE);
                assert_int_equal(io_listen(io, text, 0, bound), -EADDRINUSE);
                close(stranger);
                /* Once it has gone the address is free, and nothing of the try is left. */
                assert_int_equal(io_listen_shared(io, text, IO_SHARED_FIRST, 0, bound), 0);
                io_stop_listening(io);
                (void)poll_accepts(io);
        }
        io_stop(io);
}

static void nobody_joins_who_does_not_say_so(void **state)
{
        struct io *ios[2] = {io_of(state), io_of(state)};
        char bound[IO_ADDRESS_BYTES_MAX], again[IO_ADDRESS_BYTES_MAX];
        assert_int_equal(io_listen(ios[0], "127.0.0.1:0", 0, bound), 0);
        assert_int_equal(io_listen_shared(ios[1], bound, IO_SHARED_JOINS, 0, again), -EADDRINUSE);
        assert_int_equal(stranger_of(bound, true), -EADDRINUSE);
        io_stop_listening(ios[0]);
        (void)poll_accepts(ios[0]);
        assert_int_equal(io_listen_shared(ios[0], bound, IO_SHARED_FIRST, 0, bound), 0);
        assert_int_equal(io_listen(ios[1], bound, 0, again), -EADDRINUSE);
        assert_int_equal(stranger_of(bound, false), -EADDRINUSE);
        assert_int_equal(io_listen_shared(ios[1], bound, IO_SHARED_FIRST, 0, again), -EADDRINUSE);
        io_stop(ios[0]);
        io_stop(ios[1]);
}

static void one_that_stops_leaves_the_address_to_the_others(void **state)
{
        struct io *ios[2] = {io_of(state), io_of(state)};
        char bound[IO_ADDRESS_BYTES_MAX], again[IO_ADDRESS_BYTES_MAX];
        assert_int_equal(io_listen_shared(ios[0], "127.0.0.1:0", IO_SHARED_FIRST, 0, bound), 0);
        assert_int_equal(io_listen_shared(ios[1], bound, IO_SHARED_JOINS, 0, again), 0);
        io_stop_listening(ios[0]);
        int accepts = 0;
        uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
        int peers[20];
        connect_many(bound, peers, 20);
        while (accepts < 20 && clock_monotonic_ns() < until_ns) {
                assert_int_equal(poll_accepts(ios[0]), 0);
                accepts += poll_accepts(ios[1]);
        }
        assert_int_equal(accepts, 20);
        close_many(peers, 20);
        io_stop(ios[0]);
        io_stop(ios[1]);
}

static void a_unix_socket_has_one_listener(void **state)
{
        struct io *io = io_of(state);
        char address[64], bound[IO_ADDRESS_BYTES_MAX];
        snprintf(address, sizeof(address), "unix:/tmp/spate-test-listeners-%d", (int)getpid());
        assert_int_equal(io_listen_shared(io, address, IO_SHARED_FIRST, 0, bound), -EOPNOTSUPP);
        assert_int_equal(io_listen_shared(io, address, IO_SHARED_JOINS, 0, bound), -EOPNOTSUPP);
        assert_int_equal(io_listen_shared(io, address, IO_ALONE, 0, bound), 0);
        io_stop(io);
}

/* ---- how many ---- */

static void a_poll_accepts_so_many_and_leaves_the_others_for_the_next(void **state)
{
        struct io *io = io_of(state);
        char bound[IO_ADDRESS_BYTES_MAX];
        int peers[100], sum = 0;
        assert_int_equal(io_listen(io, "127.0.0.1:0", 0, bound), 0);
        connect_many(bound, peers, 100);
        uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (sum < 100 && clock_monotonic_ns() < until_ns) {
                int accepts = poll_once(io, EVENTS_MAX, until_ns).accepts; /* would sleep if it forgot those who wait */
                assert_in_range(accepts, 1, ACCEPTS_MAX);
                sum += accepts;
        }
        assert_int_equal(sum, 100);
        assert_int_equal(io_statistics(io)->accepts, 100);
        close_many(peers, 100);
        io_stop(io);
}

static void who_is_in_is_heard_before_a_crowd_of_newcomers(void **state)
{
        struct io *io = io_of(state);
        char bound[IO_ADDRESS_BYTES_MAX];
        int peers[100], in;
        assert_int_equal(io_listen(io, "127.0.0.1:0", 0, bound), 0);
        in = peer_of(bound);
        assert_int_equal(poll_once(io, EVENTS_MAX, clock_monotonic_ns() + PATIENCE_NS).accepts, 1);
        (void)poll_once(io, EVENTS_MAX, 0); /* now it is listened to */
        connect_many(bound, peers, 100);
        assert_int_equal(send(in, "x", 1, MSG_NOSIGNAL), 1);
        struct told told = poll_once(io, EVENTS_MAX, clock_monotonic_ns() + PATIENCE_NS);
        assert_int_equal(told.received, 1);
        assert_in_range(told.accepts, 0, ACCEPTS_MAX);
        close_many(peers, 100);
        close(in);
        io_stop(io);
}

static void a_crowd_at_one_listener_leaves_the_other_its_share(void **state)
{
        struct io *io = io_of(state);
        char crowded[IO_ADDRESS_BYTES_MAX], quiet[IO_ADDRESS_BYTES_MAX];
        int peers[100];
        assert_int_equal(io_listen(io, "127.0.0.1:0", 0, crowded), 0);
        assert_int_equal(io_listen(io, "127.0.0.1:0", 1, quiet), 0);
        (void)poll_accepts(io);
        connect_many(crowded, peers, 99);
        peers[99] = peer_of(quiet);
        int quiet_accepts = 0;
        for (int polls = 0; polls < 2; polls++) /* the second one knows of both at the latest */
                quiet_accepts += poll_once(io, EVENTS_MAX, clock_monotonic_ns() + PATIENCE_NS).accepts_of[1];
        assert_int_equal(quiet_accepts, 1);
        close_many(peers, 100);
        io_stop(io);
}

static void newcomers_find_room_beside_many_who_talk_on(void **state)
{
        enum { TALKERS_COUNT = 200, BYTES = 128 * 1024 };
        static const char flood[BYTES];
        struct io *io = io_of(state);
        char bound[IO_ADDRESS_BYTES_MAX];
        int peers[TALKERS_COUNT], accepts = 0;
        assert_int_equal(io_listen(io, "127.0.0.1:0", 0, bound), 0);
        connect_many(bound, peers, TALKERS_COUNT);
        while (accepts < TALKERS_COUNT)
                accepts += poll_once(io, EVENTS_MAX, clock_monotonic_ns() + PATIENCE_NS).accepts;
        for (int i = 0; i < TALKERS_COUNT; i++)
                assert_true(send(peers[i], flood, BYTES, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
        int newcomer = peer_of(bound);
        accepts = 0;
        for (int polls = 0; polls < 8 && accepts == 0; polls++)
                accepts = poll_once(io, 64, clock_monotonic_ns() + PATIENCE_NS).accepts;
        assert_int_equal(accepts, 1);
        close(newcomer);
        close_many(peers, TALKERS_COUNT);
        io_stop(io);
}

static void a_crowd_that_finds_no_room_is_turned_away_and_does_not_hold_a_poll(void **state)
{
        struct io_settings settings = settings_of(state);
        settings.conns_max = 1;
        struct io *io = io_with(settings);
        char bound[IO_ADDRESS_BYTES_MAX], byte;
        int peers[100];
        assert_int_equal(io_listen(io, "127.0.0.1:0", 0, bound), 0);
        connect_many(bound, peers, 100);
        uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
        assert_int_equal(poll_once(io, EVENTS_MAX, until_ns).accepts, 1);
        while (io_statistics(io)->accepts_refused < 99 && clock_monotonic_ns() < until_ns)
                (void)poll_once(io, EVENTS_MAX, clock_monotonic_ns() + NS_PER_MS);
        assert_int_equal(io_statistics(io)->accepts_refused, 99);
        for (int i = 1; i < 100; i++)
                assert_int_equal(recv(peers[i], &byte, 1, 0), 0);
        close_many(peers, 100);
        io_stop(io);
}

static int run_contract(const char *name, const enum io_backend *backend)
{
#define CONTRACT(test)                                                                                                 \
        {                                                                                                              \
#test, test, NULL, NULL, (void *)(uintptr_t)backend                                                    \
        }
        const struct CMUnitTest tests[] = {
                CONTRACT(connections_are_spread_over_those_who_share_over_ipv4),
                CONTRACT(connections_are_spread_over_those_who_share_over_ipv6),
                CONTRACT(the_first_listens_nowhere_where_another_does_even_if_that_one_shares),
                CONTRACT(nobody_joins_who_does_not_say_so),
                CONTRACT(one_that_stops_leaves_the_address_to_the_others),
                CONTRACT(a_unix_socket_has_one_listener),
                CONTRACT(a_poll_accepts_so_many_and_leaves_the_others_for_the_next),
                CONTRACT(who_is_in_is_heard_before_a_crowd_of_newcomers),
                CONTRACT(a_crowd_at_one_listener_leaves_the_other_its_share),
                CONTRACT(newcomers_find_room_beside_many_who_talk_on),
                CONTRACT(a_crowd_that_finds_no_room_is_turned_away_and_does_not_hold_a_poll),
        };
        return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
        return run_contract("listeners over io_uring", &uring) + run_contract("listeners over epoll", &epoll);
}
