/* checkup: what is said of machines and engines that are made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/cli/checkup.h"

static struct facts facts;
static struct finding finding;

/* A machine and an engine in good order. */
static int begin(void **state)
{
        (void)state;
        facts = (struct facts){
                .host = {.release = "6.1.0-18-amd64",
                         .is_clock_synchronized = true,
                         .io_uring_disabled = 0,
                         .files_hard = 1 << 20,
                         .locked_bytes = 64 * (int64_t)MIB,
                         .nr_open = 1 << 20,
                         .user = 1000,
                         .somaxconn = 4096,
                         .syn_backlog = 4096,
                         .syncookies = 1,
                         .wmem_max = 256 * (int64_t)KIB,
                         .wmem_last = 4 * (int64_t)MIB,
                         .rmem_last = 6 * (int64_t)MIB,
                         .tcp_memory_bytes = 4 * (int64_t)GIB,
                         .tcp_memory_used_bytes = MIB,
                         .conntrack_max = HOSTFACT_UNKNOWN,
                         .memory_bytes = 32 * (int64_t)GIB,
                         .available_bytes = 30 * (int64_t)GIB,
                         .group_memory_bytes = HOSTFACT_UNLIMITED,
                         .group_memory_used_bytes = HOSTFACT_UNKNOWN,
                         .swappiness = 60,
                         .transparent_huge_pages = "madvise",
                         .nodes_count = 1,
                         .governor = "performance",
                         .idle_latency_us = 2,
                         .clocksource = "tsc",
                         .is_tsc_offered = true},
                .engine = {
                        .cpus = {.reactors_count = 2,
                                 .is_pinned = true,
                                 .reason = "",
                                 .allowed_count = 2,
                                 .granted_count = UINT32_MAX,
                                 .cpus = {.count = 2, .numbers = {0, 1}}},
                        .conns_max = 65536,
                        .files_needed = 65776,
                        .memory_bytes = GIB,
                        .send_buffer_bytes = 256 * KIB,
                        .wants_uring = true,
                        .urings_count = 2,
                        .listeners = {{.address = "127.0.0.1:4222"}, {.address = "127.0.0.1:8222", .is_admin = true}},
                        .listeners_count = 2,
                        .admin = "127.0.0.1:8222",
                        .status = json_loads("{\"version\":\"" SPATE_VERSION "\",\"pid\":4711,\"uptime_seconds\":60,"
                                             "\"draining\":false,\"backend\":{\"name\":\"io_uring\",\"reason\":\"\"},"
                                             "\"counters\":{\"deliveries_matched\":1000},"
                                             "\"reactors\":[{\"watermark\":0,\"busy_ns\":1000000000}]}",
                                             0, NULL)}};
        assert_non_null(facts.engine.status);
        return 0;
}

static int end(void **state)
{
        (void)state;
        enginefacts_fini(&facts.engine);
        return 0;
}

static void set_counter(const char *name, int64_t value)
{
        json_object_set_new(json_object_get(facts.engine.status, "counters"), name, json_integer(value));
}

static const char *look(const char *name)
{
        for (size_t i = 0; i < checkup_rows_count; i++) {
                if (strcmp(checkup_rows[i].name, name) != 0)
                        continue;
                checkup_look(&checkup_rows[i], &facts, &finding);
                return verdict_name(finding.verdict);
        }
        fail_msg("there is no check %s", name);
        return "";
}

#define assert_says(text) assert_non_null(strstr(finding.found, text))
#define assert_mends(text) assert_non_null(strstr(finding.fix, text))

/* ---- the table ---- */

static void all_is_well_where_nothing_is_wrong(void **state)
{
        (void)state;
        for (size_t i = 0; i < checkup_rows_count; i++) {
                checkup_look(&checkup_rows[i], &facts, &finding);
                if (strcmp(checkup_rows[i].name, "binary") != 0 && finding.verdict > VERDICT_SKIP)
                        fail_msg("%s: %s", checkup_rows[i].name, finding.found);
        }
}

static void what_the_kernel_does_not_tell_is_no_fault(void **state)
{
        (void)state;
        struct hostfacts *host = &facts.host;
        int64_t *numbers[] = {&host->io_uring_disabled, &host->files_hard,       &host->locked_bytes,
                              &host->nr_open,           &host->somaxconn,        &host->syn_backlog,
                              &host->syncookies,        &host->wmem_max,         &host->wmem_last,
                              &host->rmem_last,         &host->tcp_memory_bytes, &host->memory_bytes,
                              &host->available_bytes,   &host->swap_bytes,       &host->swappiness,
                              &host->overcommit,        &host->idle_latency_us,  &host->numa_balancing};
        for (size_t i = 0; i < array_count(numbers); i++)
                *numbers[i] = HOSTFACT_UNKNOWN;
        host->release[0] = host->governor[0] = host->clocksource[0] = host->transparent_huge_pages[0] = '\0';
        host->nodes_count = 0;
        host->stolen_share = -1;
        enginefacts_fini(&facts.engine);
        all_is_well_where_nothing_is_wrong(NULL);
}

static void a_warning_always_says_how_to_mend_it(void **state)
{
        (void)state;
        struct hostfacts *host = &facts.host;
        *host = (struct hostfacts){.release = "5.10.0",
                                   .conntrack_max = 1,
                                   .tcp_memory_bytes = 1,
                                   .tcp_memory_used_bytes = 1,
                                   .memory_bytes = 1 << 20,
                                   .group_memory_bytes = 1 << 20,
                                   .swap_bytes = 1,
                                   .swappiness = 60,
                                   .overcommit = 2,
                                   .transparent_huge_pages = "always",
                                   .nodes_count = 2,
                                   .numa_balancing = 1,
                                   .governor = "powersave",
                                   .idle_latency_us = 200,
                                   .clocksource = "hpet",
                                   .stolen_share = 0.5};
        facts.engine.urings_count = 0;
        facts.engine.uring_error = -ENOMEM;
        facts.engine.listeners[0].error = -EACCES;
        strcpy(facts.engine.users_path, "users");
        facts.engine.users_mode = 0666;
        set_counter("deliveries_dropped{reason=\"slow_consumer\"}", 1);
        set_counter("connections_closed{reason=\"slow_consumer\"}", 1);
        set_counter("connections_closed{reason=\"banned\"}", 1);
        set_counter("receive_buffers_short", 1);
        json_object_set_new(facts.engine.status, "draining", json_true());
        size_t warned = 0;
        for (size_t i = 0; i < checkup_rows_count; i++) {
                checkup_look(&checkup_rows[i], &facts, &finding);
                warned += finding.verdict >= VERDICT_WARN;
                if ((finding.verdict >= VERDICT_WARN) != (finding.fix[0] != '\0'))
                        fail_msg("%s: \"%s\" is mended by \"%s\"", checkup_rows[i].name, finding.found, finding.fix);
                assert_true(checkup_rows[i].why[0] != '\0');
        }
        assert_true(warned >= 25);
}

/* ---- io_uring ---- */

static void a_refusal_of_io_uring_is_explained(void **state)
{
        (void)state;
        facts.engine.urings_count = 0;
        facts.engine.uring_error = -EPERM;
        facts.host.io_uring_disabled = 2;
        assert_string_equal(look("io-uring"), "WARN");
        assert_says("kernel.io_uring_disabled forbids it");
        assert_mends("--only io-uring");
        facts.host.io_uring_disabled = 0;
        facts.host.has_system_call_filter = true;
        look("io-uring");
        assert_says("seccomp");
        facts.engine.uring_error = -ENOSYS;
        look("io-uring");
        assert_says("this kernel has none");
        facts.engine.uring_error = -ENOMEM;
        look("io-uring");
        assert_says("RLIMIT_MEMLOCK");
        assert_mends("--only limits");
        assert_string_equal(look("locked-memory"), "WARN");
}

static void rings_for_some_reactors_only_are_told(void **state)
{
        (void)state;
        facts.engine.cpus.reactors_count = 8;
        facts.engine.urings_count = 6;
        facts.engine.uring_error = -ENOMEM;
        assert_string_equal(look("io-uring"), "WARN");
        assert_says("6 of 8 reactors get it");
}

static void epoll_that_was_asked_for_is_no_fault(void **state)
{
        (void)state;
        facts.engine.wants_uring = false;
        facts.engine.urings_count = 0;
        assert_string_equal(look("io-uring"), "SKIP");
}

/* ---- thresholds ---- */

static void descriptors_are_counted_with_what_the_engine_keeps_for_itself(void **state)
{
        (void)state;
        facts.host.files_hard = 65776;
        assert_string_equal(look("open-files"), "PASS");
        facts.host.files_hard--;
        assert_string_equal(look("open-files"), "WARN");
        assert_mends("LimitNOFILE=65776");
        facts.host.files_hard = HOSTFACT_UNLIMITED;
        assert_string_equal(look("open-files"), "PASS");
}

static void the_send_buffer_is_compared_with_what_is_set(void **state)
{
        (void)state;
        facts.host.wmem_max = 256 * 1024 * 15 / 16;
        assert_string_equal(look("send-buffer"), "PASS");
        facts.host.wmem_max--;
        assert_string_equal(look("send-buffer"), "WARN");
        facts.engine.send_buffer_bytes = 0; /* the kernel tunes by itself */
        assert_string_equal(look("send-buffer"), "PASS");
        facts.host.wmem_last = 1;
        assert_string_equal(look("send-buffer"), "WARN");
        assert_mends("tcp-wmem --send-buffer 0");
}

static void tcp_memory_has_room_for_an_eighth_of_stuck_readers(void **state)
{
        (void)state;
        assert_string_equal(look("tcp-memory"), "PASS");
        facts.host.tcp_memory_bytes -= 4096;
        assert_string_equal(look("tcp-memory"), "WARN");
        facts.host.memory_bytes = 5 * (int64_t)GIB; /* half of what is left is less */
        assert_string_equal(look("tcp-memory"), "PASS");
}

static void tcp_memory_is_not_nearly_used_up(void **state)
{
        (void)state;
        assert_string_equal(look("tcp-in-use"), "PASS");
        facts.host.tcp_memory_used_bytes = facts.host.tcp_memory_bytes / 4 * 3;
        assert_string_equal(look("tcp-in-use"), "WARN");
        assert_mends("tcp-mem");
        facts.host.tcp_memory_used_bytes = HOSTFACT_UNKNOWN;
        assert_string_equal(look("tcp-in-use"), "SKIP");
}

static void other_options_go_into_the_fix(void **state)
{
        (void)state;
        facts.engine.conns_max = 1000000;
        facts.engine.memory_bytes = 2 * GIB;
        assert_string_equal(look("tcp-memory"), "WARN");
        assert_mends("--only tcp-mem --connections 1000000 --memory 2147483648");
}

static void memory_is_compared_with_the_group_where_that_is_less(void **state)
{
        (void)state;
        assert_string_equal(look("memory"), "PASS");
        facts.host.available_bytes = 512 * (int64_t)MIB;
        assert_string_equal(look("memory"), "WARN");
        facts.host.available_bytes = 30 * (int64_t)GIB;
        facts.host.group_memory_bytes = GIB;
        assert_string_equal(look("memory"), "FAIL");
        assert_says("the control group");
        assert_mends("--memory 512MiB");
}

static void idle_states_do_not_matter_to_who_never_sleeps(void **state)
{
        (void)state;
        facts.host.idle_latency_us = 100;
        assert_string_equal(look("idle-states"), "WARN");
        facts.engine.is_busy_poll = true;
        assert_string_equal(look("idle-states"), "PASS");
}

static void a_slow_clock_is_told_and_the_hypervisors_own_is_not(void **state)
{
        (void)state;
        strcpy(facts.host.clocksource, "kvm-clock");
        assert_string_equal(look("clocksource"), "WARN");
        assert_mends("--only clocksource");
        facts.host.is_tsc_offered = false;
        assert_string_equal(look("clocksource"), "PASS");
        strcpy(facts.host.clocksource, "hpet");
        assert_string_equal(look("clocksource"), "WARN");
}

static void a_share_of_cpu_time_is_no_whole_cpu(void **state)
{
        (void)state;
        facts.engine.cpus.is_pinned = false;
        facts.engine.cpus.reason = "the control group grants less time than its CPUs have";
        facts.engine.cpus.granted_count = 1;
        assert_string_equal(look("cpus"), "WARN");
        facts.engine.cpus.reason = "--cpus none";
        assert_string_equal(look("cpus"), "PASS");
        facts.engine.cpus.is_pinned = true; /* by a list, which is taken at its word */
        facts.engine.cpus.reason = "";
        assert_string_equal(look("cpus"), "WARN");
        assert_mends("--reactors 1");
}

/* ---- addresses and users ---- */

static void a_port_of_the_running_engine_is_no_fault(void **state)
{
        (void)state;
        struct listenerfact *one = &facts.engine.listeners[0];
        one->error = facts.engine.listeners[1].error = -EADDRINUSE;
        one->holder = facts.engine.listeners[1].holder = 4711;
        assert_string_equal(look("listeners"), "PASS");
        assert_says("held by the running engine");
        one->holder = 12;
        strcpy(one->holder_name, "nats-server (pid 12)");
        assert_string_equal(look("listeners"), "FAIL");
        assert_says("nats-server (pid 12)");
        assert_mends("kill 12");
        enginefacts_fini(&facts.engine);
        one->holder = 0;
        assert_string_equal(look("listeners"), "FAIL");
}

static void a_users_file_is_for_its_owner_alone(void **state)
{
        (void)state;
        strcpy(facts.engine.users_path, "/etc/spate/users.yaml");
        facts.engine.users_mode = 0640;
        assert_string_equal(look("access"), "PASS");
        facts.engine.users_mode = 0644;
        assert_string_equal(look("access"), "WARN");
        assert_mends("chmod g-w,o= /etc/spate/users.yaml");
        facts.engine.users_mode = 0662;
        assert_string_equal(look("access"), "FAIL");
        facts.engine.users_error = -EACCES;
        assert_string_equal(look("access"), "FAIL");
}

/* ---- the running engine ---- */

static void without_an_engine_nothing_is_said_of_one(void **state)
{
        (void)state;
        enginefacts_fini(&facts.engine);
        strcpy(facts.engine.status_error, "nobody listens there");
        assert_string_equal(look("engine"), "SKIP");
        assert_says("nobody listens there");
        assert_string_equal(look("losses"), "SKIP");
}

static void another_version_that_runs_is_told(void **state)
{
        (void)state;
        json_object_set_new(facts.engine.status, "version", json_string("0.0.0"));
        assert_string_equal(look("engine"), "WARN");
}

static void losses_of_all_reasons_are_added_up(void **state)
{
        (void)state;
        set_counter("deliveries_dropped{reason=\"lag_skip\"}", 3);
        set_counter("deliveries_dropped{reason=\"conflated\"}", 4);
        assert_string_equal(look("losses"), "WARN");
        assert_says("7 of 1000");
}

static void the_highest_watermark_decides(void **state)
{
        (void)state;
        json_t *reactors = json_object_get(facts.engine.status, "reactors");
        json_array_append_new(reactors, json_pack("{s:i}", "watermark", 1));
        assert_string_equal(look("watermark"), "WARN");
        json_array_append_new(reactors, json_pack("{s:i}", "watermark", 3));
        assert_string_equal(look("watermark"), "FAIL");
        json_array_append_new(reactors, json_pack("{s:i}", "watermark", 99));
        assert_string_equal(look("watermark"), "FAIL");
}

static void an_engine_that_fell_back_is_told(void **state)
{
        (void)state;
        json_object_set_new(facts.engine.status, "backend",
                            json_pack("{s:s,s:s}", "name", "epoll", "reason", "the kernel refuses io_uring"));
        assert_string_equal(look("backend"), "WARN");
}

static void a_status_that_lacks_everything_does_no_harm(void **state)
{
        (void)state;
        json_object_clear(facts.engine.status);
        for (size_t i = 0; i < checkup_rows_count; i++)
                checkup_look(&checkup_rows[i], &facts, &finding);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
        const struct CMUnitTest tests[] = {
                CASE(all_is_well_where_nothing_is_wrong),
                CASE(what_the_kernel_does_not_tell_is_no_fault),
                CASE(a_warning_always_says_how_to_mend_it),
                CASE(a_refusal_of_io_uring_is_explained),
                CASE(rings_for_some_reactors_only_are_told),
                CASE(epoll_that_was_asked_for_is_no_fault),
                CASE(descriptors_are_counted_with_what_the_engine_keeps_for_itself),
                CASE(the_send_buffer_is_compared_with_what_is_set),
                CASE(tcp_memory_has_room_for_an_eighth_of_stuck_readers),
                CASE(tcp_memory_is_not_nearly_used_up),
                CASE(other_options_go_into_the_fix),
                CASE(memory_is_compared_with_the_group_where_that_is_less),
                CASE(idle_states_do_not_matter_to_who_never_sleeps),
                CASE(a_slow_clock_is_told_and_the_hypervisors_own_is_not),
                CASE(a_share_of_cpu_time_is_no_whole_cpu),
                CASE(a_port_of_the_running_engine_is_no_fault),
                CASE(a_users_file_is_for_its_owner_alone),
                CASE(without_an_engine_nothing_is_said_of_one),
                CASE(another_version_that_runs_is_told),
                CASE(losses_of_all_reasons_are_added_up),
                CASE(the_highest_watermark_decides),
                CASE(an_engine_that_fell_back_is_told),
                CASE(a_status_that_lacks_everything_does_no_harm),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
