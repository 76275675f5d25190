/* The event path never asks the heap: with everything warm, ten thousand events to shared, private and queue
 * subscribers, headers and replies included, leave jemalloc's counter where it was. Real sockets, on whichever backend
 * the kernel allows. */
#include <fcntl.h>
#include <jemalloc/jemalloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/reactor.h"

#define SUBSCRIBERS 20
#define EVENTS 10000

static uint64_t allocated_bytes(void)
{
        uint64_t *pointer = NULL;
        size_t size = sizeof pointer;
        assert_int_equal(mallctl("thread.allocatedp", &pointer, &size, NULL, 0), 0);
        return *pointer;
}

static int client_open(unsigned port, const char *hello)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(write(fd, hello, strlen(hello)), strlen(hello));
        return fd;
}

/* Takes what is there, so that nobody falls behind. Returns how many bytes. */
static size_t client_read(int fd)
{
        static char bytes[1 << 16];
        size_t sum = 0;
        for (ssize_t size; (size = read(fd, bytes, sizeof bytes)) > 0;)
                sum += (size_t)size;
        return sum;
}

static void an_event_costs_no_allocation(void **state)
{
        (void)state;
        struct reactor_settings settings = {
                .io = {.backend = IO_BACKEND_AUTO,
                       .receive_buffer_bytes = 65536,
                       .receive_buffers_count = 16,
                       .entries = 256},
                .memory_bytes = (size_t)64 << 20,
                .lag_bytes_max = (size_t)16 << 20,
                .stall_ns_max = 10 * NS_PER_S,
                .handshake_ns = 5 * NS_PER_S,
                .ping_interval_ns = 120 * NS_PER_S,
                .pings_out_max = 2,
                .conns_max = 64,
                .cache_lines = 1024,
                .quiet_ns = 1000000,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
        };
        struct cores_settings cores_settings = {.count = 1, .patterns_max = 1000, .secret = "sixteen bytes o"};
        struct cores *cores;
        struct reactor *reactor;
        char bound[IO_ADDRESS_BYTES_MAX];
        int clients[SUBSCRIBERS + 1];
        epoch_register();
        assert_int_equal(cores_new(&cores, &cores_settings), 0);
        assert_int_equal(reactor_new(&reactor, &settings, cores, NULL), 0);
        assert_int_equal(reactor_listen(reactor, "127.0.0.1:0", &session_protocol, bound), 0);
        unsigned port = (unsigned)strtoul(strrchr(bound, ':') + 1, NULL, 10);
        static const char *const hellos[] = {
                /* a cohort */
                "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB ev.> 1\r\nPING\r\n",
                /* and something private */
                ("CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB ev.> 1\r\nSUB _INBOX.x.* "
                 "2\r\nPING\r\n"),
                /* a queue group */
                "CONNECT {\"verbose\":false}\r\nSUB ev.a workers 1\r\nPING\r\n",
                /* private, without headers */
                "CONNECT {\"verbose\":false}\r\nSUB *.a 1\r\nUNSUB 1 1000000\r\nPING\r\n",
        };
        for (int i = 0; i < SUBSCRIBERS; i++)
                clients[i] = client_open(port, hellos[i % 4]);
        int publisher = clients[SUBSCRIBERS] = client_open(
                port,
                "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB _INBOX.me 1\r\nPING\r\n");
        for (int i = 0; i < 300; i++)
                reactor_turn(reactor, clock_monotonic_ns() + NS_PER_MS);
        assert_int_equal(reactor->peers_count, SUBSCRIBERS + 1);
        assert_true(reactor->registry.members_count >= SUBSCRIBERS / 2);

        static const char events[] = "PUB ev.a 5\r\nhello\r\n"
                                     "HPUB ev.b _INBOX.x.1 12 17\r\nNATS/1.0\r\n\r\nhello\r\n"
                                     "PUB _INBOX.x.7 5\r\nhello\r\n"
                                     "PUB nobody.there _INBOX.me 2\r\nhi\r\n";
        uint64_t before = 0;
        size_t received_bytes = 0;
        for (int i = 0; i < EVENTS / 4; i++) {
                if (i == EVENTS / 16)
                        before = allocated_bytes(); /* warm from here on */
                assert_int_equal(write(publisher, events, sizeof events - 1), sizeof events - 1);
                reactor_turn(reactor, clock_monotonic_ns() + NS_PER_MS);
                for (int c = 0; c <= SUBSCRIBERS; c++)
                        received_bytes += client_read(clients[c]);
        }
        for (int i = 0; i < 50; i++) {
                reactor_turn(reactor, clock_monotonic_ns() + NS_PER_MS);
                for (int c = 0; c <= SUBSCRIBERS; c++)
                        received_bytes += client_read(clients[c]);
        }
        assert_int_equal(allocated_bytes() - before, 0);
        assert_int_equal(counter_read(&reactor->counters, COUNT_EVENTS_RECEIVED), EVENTS);
        assert_int_equal(counter_read(&reactor->counters, COUNT_NO_RESPONDERS), EVENTS / 4);
        assert_true(received_bytes > EVENTS * 20);
        for (int c = 0; c <= SUBSCRIBERS; c++)
                close(clients[c]);
        for (int i = 0; i < 1000 && reactor->peers_count > 0; i++)
                reactor_turn(reactor, clock_monotonic_ns() + NS_PER_MS);
        assert_int_equal(reactor->peers_count, 0);
        reactor_free(reactor);
        cores_free(cores);
        epoch_unregister();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(an_event_costs_no_allocation)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
