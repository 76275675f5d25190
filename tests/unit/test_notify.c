/* notify: what the service manager hears, word for word, on a socket of our own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/notify.h"

struct manager {
        int fd;
        char name[64];   /* as NOTIFY_SOCKET says it */
        char folder[32]; /* of a path */
};

static void manager_listen(struct manager *manager, bool is_abstract)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(manager->folder, "/tmp/notify-XXXXXX");
        assert_non_null(mkdtemp(manager->folder)); /* nobody else has this name */
        snprintf(manager->name, sizeof manager->name, "%s%s/socket", is_abstract ? "@" : "", manager->folder);
        memcpy(address.sun_path, manager->name, strlen(manager->name));
        socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager->name) + !is_abstract);
        if (is_abstract)
                address.sun_path[0] = '\0';
        manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(manager->fd >= 0);
        assert_int_equal(bind(manager->fd, (struct sockaddr *)&address, bytes), 0);
        setenv("NOTIFY_SOCKET", manager->name, 1);
}

static void manager_close(struct manager *manager)
{
        close(manager->fd);
        unlink(manager->name);
        rmdir(manager->folder);
}

static const char *manager_hears(const struct manager *manager)
{
        static char text[1024];
        ssize_t size = recv(manager->fd, text, sizeof text - 1, 0);
        text[size > 0 ? size : 0] = '\0';
        return text;
}

static void every_turn_of_a_life_is_one_datagram(void **state)
{
        (void)state;
        for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
                struct manager manager;
                struct notify notify;
                char expected[128];
                unsigned long long us;
                manager_listen(&manager, is_abstract);
                notify_open(&notify);
                notify_ready(&notify, "serving", true);
                snprintf(expected, sizeof expected, "READY=1\nMAINPID=%ld\nSTATUS=serving", (long)getpid());
                assert_string_equal(manager_hears(&manager), expected);
                notify_alive(&notify);
                assert_string_equal(manager_hears(&manager), "WATCHDOG=1");
                uint64_t before_us = clock_monotonic_ns() / NS_PER_US;
                notify_reloading(&notify);
                assert_int_equal(sscanf(manager_hears(&manager), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us), 1);
                assert_in_range(us, before_us, clock_monotonic_ns() / NS_PER_US);
                notify_stopping(&notify, NULL);
                assert_string_equal(manager_hears(&manager), "STOPPING=1");
                notify_close(&notify);
                manager_close(&manager);
        }
}

static void a_status_cannot_begin_another_line(void **state)
{
        (void)state;
        struct manager manager;
        struct notify notify;
        char long_one[2000];
        memset(long_one, 'x', sizeof long_one - 1);
        long_one[sizeof long_one - 1] = '\0';
        manager_listen(&manager, false);
        notify_open(&notify);
        notify_stopping(&notify, "one\nMAINPID=1");
        assert_string_equal(manager_hears(&manager), "STOPPING=1\nSTATUS=one");
        notify_stopping(&notify, long_one);
        assert_in_range(strlen(manager_hears(&manager)), 100, 600);
        notify_close(&notify);
        manager_close(&manager);
}

static void children_inherit_none_of_it(void **state)
{
        (void)state;
        struct manager manager;
        struct notify notify;
        manager_listen(&manager, false);
        setenv("WATCHDOG_USEC", "1000000", 1);
        setenv("WATCHDOG_PID", "1", 1);
        notify_open(&notify);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_null(getenv("WATCHDOG_USEC"));
        assert_null(getenv("WATCHDOG_PID"));
        assert_true(fcntl(notify.fd, F_GETFD) & FD_CLOEXEC);
        notify_close(&notify);
        manager_close(&manager);
}

/* What is asked of the watchdog, and what we make of it. NULL: the variable is not there. */
static uint64_t watchdog_of(const char *usec, const char *pid)
{
        struct manager manager;
        struct notify notify;
        manager_listen(&manager, false);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (usec != NULL)
                setenv("WATCHDOG_USEC", usec, 1);
        if (pid != NULL)
                setenv("WATCHDOG_PID", pid, 1);
        notify_open(&notify);
        uint64_t watchdog_ns = notify.watchdog_ns;
        notify_close(&notify);
        manager_close(&manager);
        return watchdog_ns;
}

static void the_watchdog_is_ours_when_it_names_us_or_nobody(void **state)
{
        (void)state;
        char me[32], parent[32];
        snprintf(me, sizeof me, "%ld", (long)getpid());
        snprintf(parent, sizeof parent, "%ld", (long)getppid());
        assert_int_equal(watchdog_of(NULL, NULL), 0);
        assert_int_equal(watchdog_of("30000000", NULL), 30 * NS_PER_S);
        assert_int_equal(watchdog_of("1500", me), 1500 * NS_PER_US);
        assert_int_equal(watchdog_of("30000000", parent), 0);
}

static void a_watchdog_that_makes_no_sense_is_left_out(void **state)
{
        (void)state;
        static const char *const bad[] = {"", "0", "-1", "1s", " 5", "99999999999999999999", "18446744073709551615"};
        for (size_t i = 0; i < array_count(bad); i++)
                assert_int_equal(watchdog_of(bad[i], NULL), 0);
        assert_int_equal(watchdog_of("1000", "x"), 0);
        assert_int_equal(watchdog_of("1000", ""), 0);
}

static void without_a_manager_nobody_is_told(void **state)
{
        (void)state;
        static const char *const bad[] = {"", "relative", "@", "/", "vsock:2:1"};
        struct notify notify;
        char too_long[200];
        unsetenv("NOTIFY_SOCKET");
        for (size_t i = 0; i < array_count(bad) + 2; i++) {
                memset(too_long, '/', sizeof too_long);
                too_long[sizeof too_long - 1] = '\0';
                if (i > 0)
                        setenv("NOTIFY_SOCKET", i <= array_count(bad) ? bad[i - 1] : too_long, 1);
                setenv("WATCHDOG_USEC", "1000000", 1);
                notify_open(&notify);
                assert_int_equal(notify.fd, -1);
                assert_int_equal(notify.watchdog_ns, 0);
                assert_null(getenv("NOTIFY_SOCKET"));
                notify_ready(&notify, "serving", true);
                notify_alive(&notify);
                notify_close(&notify);
        }
}

static void a_manager_that_has_gone_does_no_harm(void **state)
{
        (void)state;
        struct manager manager;
        struct notify notify;
        manager_listen(&manager, false);
        notify_open(&notify);
        manager_close(&manager);
        notify_ready(&notify, NULL, true);
        notify_alive(&notify);
        notify_close(&notify);
}

static void a_manager_that_does_not_read_holds_up_no_watchdog(void **state)
{
        (void)state;
        struct manager manager;
        struct notify notify;
        manager_listen(&manager, false);
        notify_open(&notify);
        for (int i = 0; i < 1000; i++)
                notify_alive(&notify); /* its queue is full long before: this would stand still for hours */
        notify_close(&notify);
        manager_close(&manager);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_turn_of_a_life_is_one_datagram),
                cmocka_unit_test(a_status_cannot_begin_another_line),
                cmocka_unit_test(children_inherit_none_of_it),
                cmocka_unit_test(the_watchdog_is_ours_when_it_names_us_or_nobody),
                cmocka_unit_test(a_watchdog_that_makes_no_sense_is_left_out),
                cmocka_unit_test(without_a_manager_nobody_is_told),
                cmocka_unit_test(a_manager_that_has_gone_does_no_harm),
                cmocka_unit_test(a_manager_that_does_not_read_holds_up_no_watchdog),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
