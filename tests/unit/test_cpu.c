/* cpu: lists, and plans for machines that a folder pretends to be. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "engine/cpu.h"

#define REACTORS_MAX 64

/* ---- a machine in a folder ---- */

static char root[64];
static char error[CPUS_ERROR_BYTES];

static int begin(void **state)
{
        (void)state;
        strcpy(root, "/tmp/spate-test-cpu-XXXXXX");
        error[0] = '\0';
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

static void put_cpu(unsigned cpu, const char *siblings, int node)
{
        char path[128];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
        put(path, siblings);
        if (node < 0)
                return;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/node%d/link", cpu, node);
        put(path, "");
}

static struct cpus list_of(const char *text)
{
        struct cpus cpus;
        assert_int_equal(cpus_parse(&cpus, text), 0);
        return cpus;
}

/* Plans and says the outcome in short: how many reactors, and where. */
static const char *planned(const char *allowed_text, const char *list, uint32_t reactors_count)
{
        static char outcome[CPUS_TEXT_BYTES + 64];
        char text[CPUS_TEXT_BYTES];
        struct cpu_plan plan;
        struct cpus allowed = list_of(allowed_text);
        int failed = cpu_plan(&plan, &allowed, list, reactors_count, REACTORS_MAX, root, error);
        if (failed != 0) {
                assert_int_equal(failed, -EINVAL);
                assert_true(error[0] != '\0');
                return "refused";
        }
        assert_int_equal(plan.allowed_count, allowed.count);
        assert_int_equal(plan.cpus.count, plan.is_pinned ? plan.reactors_count : 0);
        assert_true(plan.is_pinned == (plan.reason[0] == '\0'));
        snprintf(outcome, sizeof outcome, "%u on %s", plan.reactors_count,
                 plan.is_pinned ? cpus_text(&plan.cpus, text) : "any");
        return outcome;
}

/* ---- lists ---- */

static void a_list_is_read_and_written(void **state)
{
        (void)state;
        static const char *const same[] = {"0", "0-3", "0-3,8", "5,3-4,1", "1023", "0,2,4"};
        static const char *const bad[] = {"",      ",",     "1,", "1,,2", "-1",           "3-1",
                                          "1-",    "1-2-3", "a",  "1a",   "1024",         "0,0",
                                          "0-3,2", " 1",    "1 ", "0x1",  "0-4294967296", "99999999999999999999",
                                          "1;2"};
        char text[CPUS_TEXT_BYTES];
        struct cpus cpus;
        for (size_t i = 0; i < array_count(same); i++) {
                cpus = list_of(same[i]);
                assert_string_equal(cpus_text(&cpus, text), same[i]);
        }
        for (size_t i = 0; i < array_count(bad); i++)
                if (cpus_parse(&cpus, bad[i]) != -EINVAL)
                        fail_msg("\"%s\" is taken for a list of CPUs", bad[i]);
        cpus = list_of("2,3,4,6,0,1");
        assert_string_equal(cpus_text(&cpus, text), "2-4,6,0-1");
        assert_int_equal(list_of("0-1023").count, 1024);
}

static void a_list_too_long_to_be_written_ends_with_dots(void **state)
{
        (void)state;
        struct cpus cpus = {0};
        char text[CPUS_TEXT_BYTES + 8];
        memset(text, '~', sizeof text);
        for (unsigned cpu = 0; cpu < CPUS_MAX; cpu += 2)
                cpus.numbers[cpus.count++] = (uint16_t)cpu;
        cpus_text(&cpus, text);
        size_t size = strlen(text);
        assert_true(size < CPUS_TEXT_BYTES);
        assert_string_equal(text + size - 4, ",...");
        assert_int_equal(text[CPUS_TEXT_BYTES], '~');
}

/* ---- plans ---- */

static void there_is_a_reactor_for_each_allowed_cpu(void **state)
{
        (void)state;
        assert_string_equal(planned("0-3", "auto", 0), "4 on 0-3");
        assert_string_equal(planned("2,5", "auto", 0), "2 on 2,5");
        assert_string_equal(planned("0-3", "auto", 2), "2 on 0-1");
        assert_string_equal(planned("0-99", "auto", 0), "64 on 0-63");
}

static void none_pins_nothing_and_counts_the_same(void **state)
{
        (void)state;
        assert_string_equal(planned("0-3", "none", 0), "4 on any");
        assert_string_equal(planned("0-3", "none", 9), "9 on any");
}

static void more_reactors_than_cpus_are_not_pinned(void **state)
{
        (void)state;
        assert_string_equal(planned("0-1", "auto", 4), "4 on any");
}

static void a_list_is_taken_at_its_word(void **state)
{
        (void)state;
        put_cpu(0, "0,1\n", 1);
        put_cpu(1, "0,1\n", 0);
        assert_string_equal(planned("0-3", "3,0-1", 0), "3 on 3,0-1");
        assert_string_equal(planned("0-3", "3,0-1", 2), "2 on 3,0");
}

static void a_list_that_cannot_be_kept_is_refused_with_a_way_out(void **state)
{
        (void)state;
        assert_string_equal(planned("0-3", "0-4", 0), "refused");
        assert_non_null(strstr(error, "CPU 4"));
        assert_non_null(strstr(error, "0-3"));
        assert_string_equal(planned("0-3", "0,0", 0), "refused");
        assert_non_null(strstr(error, "0-3,8"));
        assert_string_equal(planned("0-3", "", 0), "refused");
        assert_string_equal(planned("0-3", "0-1", 3), "refused");
        assert_non_null(strstr(error, "--reactors 3"));
}

static void cores_come_before_their_second_threads(void **state)
{
        (void)state;
        for (unsigned cpu = 0; cpu < 8; cpu++) { /* as in virtual machines: 0 and 1 are one core */
                char siblings[16];
                snprintf(siblings, sizeof siblings, "%u-%u\n", cpu & ~1u, cpu | 1u);
                put_cpu(cpu, siblings, 0);
        }
        assert_string_equal(planned("0-7", "auto", 4), "4 on 0,2,4,6");
        assert_string_equal(planned("0-7", "auto", 5), "5 on 0,2,4,6,1");
        assert_string_equal(planned("0-7", "auto", 0), "8 on 0,2,4,6,1,3,5,7");
}

static void cpus_of_a_node_stay_together(void **state)
{
        (void)state;
        for (unsigned cpu = 0; cpu < 8; cpu++) { /* nodes by turns */
                char siblings[16];
                snprintf(siblings, sizeof siblings, "%u\n", cpu);
                put_cpu(cpu, siblings, (int)(cpu % 2));
        }
        assert_int_equal(cpu_node(3, root), 1);
        assert_int_equal(cpu_node(4, root), 0);
        assert_string_equal(planned("0-7", "auto", 4), "4 on 0,2,4,6");
        assert_string_equal(planned("1-7", "auto", 4), "4 on 2,4,6,1");
}

static void a_machine_that_tells_nothing_is_taken_as_it_counts(void **state)
{
        (void)state;
        assert_int_equal(cpu_node(0, root), -1);
        put("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "");
        put("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "what is this\n");
        put("/sys/devices/system/cpu/cpu1/nodes/link", "");
        put("/sys/devices/system/cpu/cpu1/node7x/link", "");
        put("/sys/devices/system/cpu/cpu1/node/link", "");
        assert_int_equal(cpu_node(1, root), -1);
        assert_string_equal(planned("0-3", "auto", 3), "3 on 0-2");
}

static void a_control_group_that_grants_less_means_fewer_reactors_and_no_pins(void **state)
{
        (void)state;
        put("/proc/self/cgroup", "3:cpu:/x\n0::/\n");
        put("/sys/fs/cgroup/cpu.max", "250000 100000\n");
        assert_string_equal(planned("0-7", "auto", 0), "3 on any");
        assert_string_equal(planned("0-7", "none", 0), "3 on any");
        assert_string_equal(planned("0-7", "auto", 5), "5 on any");
        assert_string_equal(planned("0-7", "4-5", 0), "2 on 4-5");
        assert_string_equal(planned("0-1", "auto", 0), "2 on 0-1");
        put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
        assert_string_equal(planned("0-7", "auto", 0), "1 on any");
        put("/sys/fs/cgroup/cpu.max", "max 100000\n");
        assert_string_equal(planned("0-7", "auto", 0), "8 on 0-7");
}

static void a_control_group_above_may_grant_less(void **state)
{
        (void)state;
        put("/proc/self/cgroup", "0::/a.slice/b.service\n");
        put("/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n");
        put("/sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n");
        assert_string_equal(planned("0-7", "auto", 0), "2 on any");
        put("/sys/fs/cgroup/a.slice/b.service/cpu.max", "100000 100000\n");
        assert_string_equal(planned("0-7", "auto", 0), "1 on any");
}

static void what_a_control_group_says_may_be_nonsense(void **state)
{
        (void)state;
        static const char *const texts[] = {
                "", "\n", "max\n", "100000\n", "0 0\n", "100000 0\n", "-5\n", "x y\n", "99999999999999999999999 1\n"};
        put("/proc/self/cgroup", "0::/\n");
        for (size_t i = 0; i < array_count(texts); i++) {
                put("/sys/fs/cgroup/cpu.max", texts[i]);
                assert_string_equal(planned("0-3", "auto", 0), "4 on 0-3");
        }
        put("/proc/self/cgroup", "");
        assert_string_equal(planned("0-3", "auto", 0), "4 on 0-3");
        put("/proc/self/cgroup", "0::nothing\n");
        assert_string_equal(planned("0-3", "auto", 0), "4 on 0-3");
}

/* ---- this machine ---- */

static void a_thread_can_be_pinned_and_let_go(void **state)
{
        (void)state;
        struct cpus before, now;
        assert_int_equal(cpus_allowed(&before), 0);
        unsigned last = before.numbers[before.count - 1];
        assert_int_equal(cpu_pin(last), 0);
        assert_int_equal(cpus_allowed(&now), 0);
        assert_int_equal(now.count, 1);
        assert_int_equal(now.numbers[0], last);
        assert_int_equal(cpus_use(&before), 0);
        assert_int_equal(cpus_allowed(&now), 0);
        assert_int_equal(now.count, before.count);
        assert_int_equal(cpu_pin(CPUS_MAX - 1), -EINVAL); /* no such CPU, or it is not ours */
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_is_read_and_written),
                cmocka_unit_test(a_list_too_long_to_be_written_ends_with_dots),
                IN_FOLDER(there_is_a_reactor_for_each_allowed_cpu),
                IN_FOLDER(none_pins_nothing_and_counts_the_same),
                IN_FOLDER(more_reactors_than_cpus_are_not_pinned),
                IN_FOLDER(a_list_is_taken_at_its_word),
                IN_FOLDER(a_list_that_cannot_be_kept_is_refused_with_a_way_out),
                IN_FOLDER(cores_come_before_their_second_threads),
                IN_FOLDER(cpus_of_a_node_stay_together),
                IN_FOLDER(a_machine_that_tells_nothing_is_taken_as_it_counts),
                IN_FOLDER(a_control_group_that_grants_less_means_fewer_reactors_and_no_pins),
                IN_FOLDER(a_control_group_above_may_grant_less),
                IN_FOLDER(what_a_control_group_says_may_be_nonsense),
                cmocka_unit_test(a_thread_can_be_pinned_and_let_go),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
