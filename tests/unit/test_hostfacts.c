/* hostfacts: machines that a folder pretends to be. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/cli/hostfacts.h"

static char root[64];
static struct hostfacts facts;

static int begin(void **state)
{
        (void)state;
        strcpy(root, "/tmp/spate-test-hostfacts-XXXXXX");
        return mkdtemp(root) == NULL;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
        (void)status;
        (void)kind;
        (void)at;
        return remove(path);
}

static int end(void **state)
{
        (void)state;
        return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file and the folders above it. */
static void put(const char *path, const char *text)
{
        char full[512];
        snprintf(full, sizeof full, "%s%s", root, path);
        for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
                *slash = '\0';
                (void)mkdir(full, 0700);
                *slash = '/';
        }
        FILE *file = fopen(full, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void a_machine_that_tells_nothing_is_unknown(void **state)
{
        (void)state;
        hostfacts_read(&facts, root);
        assert_int_equal(facts.somaxconn, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.tcp_memory_bytes, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.memory_bytes, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.io_uring_disabled, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.group_memory_bytes, HOSTFACT_UNLIMITED);
        assert_string_equal(facts.transparent_huge_pages, "");
        assert_true(facts.stolen_share < 0);
        assert_true(facts.release[0] != '\0'); /* this very kernel */
        struct cpus cpus = {.count = 1, .numbers = {0}};
        hostfacts_read_cpus(&facts, &cpus, root);
        assert_int_equal(facts.idle_latency_us, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.nodes_count, 0);
        assert_string_equal(facts.governor, "");
}

static void numbers_are_read_where_they_stand(void **state)
{
        (void)state;
        put("/proc/sys/net/core/somaxconn", "128\n");
        put("/proc/sys/net/ipv4/tcp_mem", "1\t2\t3\n");
        put("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
        put("/proc/net/sockstat", "sockets: used 9\nTCP: inuse 1 orphan 0 tw 2 alloc 3 mem 5\nUDP: inuse 0 mem 8\n");
        put("/proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:   500 kB\nSwapTotal: 0 kB\nHugePages_Total: 7\n");
        put("/proc/stat", "cpu  50 0 20 20 0 0 0 10 5 0\ncpu0 1\n");
        put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
        put("/sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet tsc \n");
        hostfacts_read(&facts, root);
        assert_int_equal(facts.somaxconn, 128);
        assert_int_equal(facts.tcp_memory_bytes, 3 * sysconf(_SC_PAGESIZE));
        assert_int_equal(facts.tcp_memory_used_bytes, 5 * sysconf(_SC_PAGESIZE));
        assert_int_equal(facts.rmem_last, 6291456);
        assert_int_equal(facts.memory_bytes, 1000 * 1024);
        assert_int_equal(facts.available_bytes, 500 * 1024);
        assert_int_equal(facts.swap_bytes, 0);
        assert_int_equal(facts.huge_pages, 7);
        assert_true(facts.stolen_share > 0.0999 && facts.stolen_share < 0.1001);
        assert_string_equal(facts.transparent_huge_pages, "madvise");
        assert_string_equal(facts.clocksource, "hpet");
        assert_true(facts.is_tsc_offered);
}

static void what_is_no_number_is_unknown(void **state)
{
        (void)state;
        put("/proc/sys/net/core/somaxconn", "many\n");
        put("/proc/sys/net/ipv4/tcp_mem", "1 2\n");
        put("/proc/stat", "cpu \n");
        hostfacts_read(&facts, root);
        assert_int_equal(facts.somaxconn, HOSTFACT_UNKNOWN);
        assert_int_equal(facts.tcp_memory_bytes, HOSTFACT_UNKNOWN);
        assert_true(facts.stolen_share < 0);
}

static void the_narrowest_control_group_counts(void **state)
{
        (void)state;
        put("/proc/self/cgroup", "1:name=x:/y\n0::/a/b\n");
        put("/sys/fs/cgroup/a/b/memory.max", "max\n");
        put("/sys/fs/cgroup/a/memory.max", "1048576\n");
        put("/sys/fs/cgroup/a/memory.current", "4096\n");
        hostfacts_read(&facts, root);
        assert_int_equal(facts.group_memory_bytes, 1048576);
        assert_int_equal(facts.group_memory_used_bytes, 4096);
}

static void a_control_group_of_the_first_version_counts_too(void **state)
{
        (void)state;
        put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        hostfacts_read(&facts, root);
        assert_int_equal(facts.group_memory_bytes, HOSTFACT_UNLIMITED);
        put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n");
        put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
        hostfacts_read(&facts, root);
        assert_int_equal(facts.group_memory_bytes, 2097152);
        assert_int_equal(facts.group_memory_used_bytes, 1);
}

static void of_several_cpus_the_worst_counts(void **state)
{
        (void)state;
        struct cpus cpus = {.count = 2, .numbers = {0, 1}};
        put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
        put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
        put("/sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "0\n");
        put("/sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "90\n");
        put("/sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "1\n");
        put("/sys/devices/system/cpu/cpu1/cpuidle/state0/latency", "3\n");
        put("/sys/devices/system/cpu/cpu0/node0/link", "");
        put("/sys/devices/system/cpu/cpu1/node1/link", "");
        put("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n");
        put("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n");
        hostfacts_read(&facts, root);
        hostfacts_read_cpus(&facts, &cpus, root);
        assert_string_equal(facts.governor, "powersave");
        assert_int_equal(facts.idle_latency_us, 3);
        assert_int_equal(facts.nodes_count, 2);
        assert_int_equal(facts.cpus_shared_cores, 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
        const struct CMUnitTest tests[] = {
                CASE(a_machine_that_tells_nothing_is_unknown),
                CASE(numbers_are_read_where_they_stand),
                CASE(what_is_no_number_is_unknown),
                CASE(the_narrowest_control_group_counts),
                CASE(a_control_group_of_the_first_version_counts_too),
                CASE(of_several_cpus_the_worst_counts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
