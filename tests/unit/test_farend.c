/* farend: what the kernel tells of a connection's other end is what was written there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/farend.h"

struct pair {
        int farend_fd;
        int near_fd, far_fd; /* we connected the one, a server accepted the other */
};

static void pair_open(struct pair *pair)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof in;
        int small = 4096;
        pair->farend_fd = farend_open();
        if (pair->farend_fd < 0) {
                printf("skipped: the kernel has no sock_diag: %s\n", strerror(-pair->farend_fd));
                skip();
        }
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        pair->near_fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(setsockopt(pair->near_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &size), 0);
        assert_int_equal(connect(pair->near_fd, (struct sockaddr *)&in, sizeof in), 0);
        pair->far_fd = accept(listener, NULL, NULL);
        assert_true(pair->far_fd >= 0);
        close(listener);
}

static void pair_close(struct pair *pair)
{
        close(pair->farend_fd);
        close(pair->near_fd);
        if (pair->far_fd >= 0)
                close(pair->far_fd);
}

/* A kernel may have the address family and not the module behind it. */
static void look(const struct pair *pair, struct farend *farend)
{
        int failure = farend_read(pair->farend_fd, pair->near_fd, farend);
        if (failure == -ENOENT || failure == -EOPNOTSUPP || failure == -EPERM) {
                printf("skipped: sock_diag does not tell of TCP: %s\n", strerror(-failure));
                skip();
        }
        assert_int_equal(failure, 0);
}

static void what_the_other_end_wrote_is_told_to_the_byte(void **state)
{
        struct pair pair;
        struct farend farend;
        char bytes[1000] = {0};
        uint64_t written = 0;
        (void)state;
        pair_open(&pair);
        look(&pair, &farend);
        assert_true(farend.is_open);
        assert_int_equal(farend.taken_bytes, 0);
        for (;;) {
                ssize_t sent = send(pair.far_fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent < 0)
                        break;
                written += (uint64_t)sent;
        }
        assert_int_equal(errno, EAGAIN);
        look(&pair, &farend);
        assert_true(farend.is_open);
        assert_int_equal(farend.taken_bytes, written);
        assert_true(farend.memory_bytes > 0);
        pair_close(&pair);
}

static void an_end_that_was_closed_is_not_open(void **state)
{
        struct pair pair;
        struct farend farend;
        (void)state;
        pair_open(&pair);
        look(&pair, &farend);
        close(pair.far_fd);
        pair.far_fd = -1;
        int failure = farend_read(pair.farend_fd, pair.near_fd, &farend);
        assert_true(failure == -ENOENT || (failure == 0 && !farend.is_open));
        pair_close(&pair);
}

static void a_socket_of_another_kind_is_refused(void **state)
{
        struct farend farend;
        int fds[2];
        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(farend_read(-1, fds[0], &farend), -EAFNOSUPPORT);
        close(fds[0]);
        close(fds[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_other_end_wrote_is_told_to_the_byte),
                cmocka_unit_test(an_end_that_was_closed_is_not_open),
                cmocka_unit_test(a_socket_of_another_kind_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
