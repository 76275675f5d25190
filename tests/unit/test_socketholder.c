/* socketholder: whoever listens is found by its address, and nobody else is. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/socketholder.h"

static int listen_on(struct sockaddr_storage *address, socklen_t size)
{
        int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
        assert_int_equal(listen(fd, 1), 0);
        size = sizeof(*address);
        assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
        return fd;
}

static int holder_of(const struct sockaddr_storage *address)
{
        return socketholder_find((const struct sockaddr *)address);
}

static void a_listener_is_found_by_its_address_as_long_as_it_listens(void **state)
{
        (void)state;
        struct sockaddr_storage address = {0}, other;
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = listen_on(&address, sizeof(*in));
        assert_int_equal(holder_of(&address), getpid());
        other = address;
        ((struct sockaddr_in *)&other)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
        assert_int_equal(holder_of(&other), -ESRCH);
        ((struct sockaddr_in *)&other)->sin_addr.s_addr = INADDR_ANY;
        assert_int_equal(holder_of(&other), getpid());
        close(fd);
        assert_int_equal(holder_of(&address), -ESRCH);
}

static void a_listener_on_all_addresses_is_found_by_any_of_them(void **state)
{
        (void)state;
        struct sockaddr_storage address = {0};
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        in->sin_family = AF_INET;
        int fd = listen_on(&address, sizeof(*in));
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(holder_of(&address), getpid());
        close(fd);
}

static void a_listener_of_both_families_is_found_by_either(void **state)
{
        (void)state;
        struct sockaddr_storage address = {0};
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        int probe = socket(AF_INET6, SOCK_STREAM, 0);
        if (probe < 0)
                skip();
        close(probe);
        in6->sin6_family = AF_INET6;
        int fd = listen_on(&address, sizeof(*in6));
        struct sockaddr_storage v4 = {0};
        *(struct sockaddr_in *)&v4 = (struct sockaddr_in){
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = in6->sin6_port};
        assert_int_equal(holder_of(&v4), getpid());
        in6->sin6_addr = in6addr_loopback;
        assert_int_equal(holder_of(&address), getpid());
        close(fd);
}

static void a_unix_listener_is_found_by_its_path(void **state)
{
        (void)state;
        struct sockaddr_storage address = {0};
        struct sockaddr_un *un = (struct sockaddr_un *)&address;
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof(un->sun_path), "/tmp/test_socketholder.%d", (int)getpid());
        int fd = listen_on(&address, sizeof(*un));
        assert_int_equal(holder_of(&address), getpid());
        strcat(un->sun_path, "x");
        assert_int_equal(holder_of(&address), -ESRCH);
        un->sun_path[strlen(un->sun_path) - 1] = '\0';
        unlink(un->sun_path);
        close(fd);
}

static void of_a_parent_and_its_child_the_parent_is_told(void **state)
{
        (void)state;
        struct sockaddr_storage address = {0};
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = listen_on(&address, sizeof(*in));
        int end[2];
        char byte;
        assert_int_equal(pipe(end), 0);
        pid_t child = fork();
        if (child == 0) {
                close(end[1]);
                _exit(read(end[0], &byte, 1) == 0 ? 0 : 1); /* until the parent has seen enough */
        }
        assert_int_equal(holder_of(&address), getpid());
        close(end[0]);
        close(end[1]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_listener_is_found_by_its_address_as_long_as_it_listens),
                cmocka_unit_test(a_listener_on_all_addresses_is_found_by_any_of_them),
                cmocka_unit_test(a_listener_of_both_families_is_found_by_either),
                cmocka_unit_test(a_unix_listener_is_found_by_its_path),
                cmocka_unit_test(of_a_parent_and_its_child_the_parent_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
