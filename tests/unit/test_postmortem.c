/* postmortem: what was noted comes back from the file, in the order of time; a file that is cut or damaged is told as
 * one, or read as far as it goes, and nothing worse. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "engine/cli/postmortemfile.h"
#include "engine/flight_table.h"
#include "engine/postmortem.h"

static char folder[64];
static struct flight flights[2];
static char error[POSTMORTEMFILE_ERROR_BYTES];

static int set_up(void **state)
{
        (void)state;
        snprintf(folder, sizeof folder, "/tmp/test_postmortem.XXXXXX");
        if (mkdtemp(folder) == NULL || flight_init(&flights[0]) != 0 || flight_init(&flights[1]) != 0)
                return -1;
        postmortem_open(folder);
        postmortem_add(0, &flights[0]);
        postmortem_add(1, &flights[1]);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        postmortem_close();
        postmortem_open("");
        flight_fini(&flights[0]);
        flight_fini(&flights[1]);
        return rmdir(folder);
}

/* Writes one, reads it, deletes it. */
static void write_and_read(struct postmortemfile *file)
{
        char path[POSTMORTEM_PATH_BYTES];
        struct stat status;
        assert_int_equal(postmortem_write(POSTMORTEM_STUCK, 1), 0);
        postmortem_path(POSTMORTEM_STUCK, path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        if (postmortemfile_read(file, path, error) != 0)
                fail_msg("%s", error);
        assert_int_equal(file->header.file_bytes, status.st_size);
        assert_int_equal(unlink(path), 0);
}

static void what_was_noted_comes_back_in_the_order_of_time(void **state)
{
        struct postmortemfile file;
        (void)state;
        flight_tell(&flights[0], FLIGHT_OPENED, 10, 7, 1, 2);
        flight_tell(&flights[1], FLIGHT_RECEIVED, 20, 8, 100, 3);
        flight_tell(&flights[0], FLIGHT_CLOSED, 30, 7, 5, 0);
        flight_turn(&flights[1], 40);
        flight_step(&flights[1], FLIGHT_IN_INPUT);
        flight_at(&flights[1], 8);
        write_and_read(&file);
        assert_false(file.is_cut);
        assert_int_equal(file.header.reason, POSTMORTEM_STUCK);
        assert_int_equal(file.header.reactor, 1);
        assert_int_equal(file.header.pid, getpid());
        assert_int_equal(file.reactors_count, 2);
        assert_int_equal(file.reactors[1].now[FLIGHT_AT], 8);
        assert_true(span_equal(file.steps[file.reactors[1].now[FLIGHT_STEP]], SPAN("takes input")));
        assert_int_equal(file.rows_count, 3);
        static const uint64_t times[] = {10, 20, 30};
        static const char *const names[] = {"opened", "received", "closed"};
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(file.rows[i].time_ns, times[i]);
                assert_true(span_equal(file.kinds[file.rows[i].kind].name, span_of_text(names[i])));
        }
        struct span value, name = postmortemfile_field(file.kinds[FLIGHT_CLOSED].number, 5, &value);
        assert_true(span_equal(name, SPAN("reason")));
        assert_true(span_equal(value, SPAN("stale")));
        name = postmortemfile_field(file.kinds[FLIGHT_CLOSED].number, 500, &value);
        assert_true(span_equal(name, SPAN("reason")) && value.size == 0);
        postmortemfile_fini(&file);
}

static void of_more_than_there_is_room_for_the_last_come_back(void **state)
{
        struct postmortemfile file;
        (void)state;
        for (uint64_t i = 0; i < 3 * FLIGHT_RECORDS + 5; i++)
                flight_tell(&flights[0], FLIGHT_RECEIVED, i, 1, i, 0);
        write_and_read(&file);
        assert_int_equal(file.rows_count, FLIGHT_RECORDS - 2);
        for (size_t i = 0; i < file.rows_count; i++)
                assert_int_equal(file.rows[i].number, 2 * FLIGHT_RECORDS + 7 + i);
        postmortemfile_fini(&file);
}

static void nothing_is_written_without_a_folder(void **state)
{
        (void)state;
        postmortem_open("");
        assert_int_equal(postmortem_write(POSTMORTEM_ASKED, POSTMORTEM_NOBODY), -ENOTDIR);
        postmortem_open("/nowhere/at/all");
        assert_int_equal(postmortem_write(POSTMORTEM_ASKED, POSTMORTEM_NOBODY), -ENOENT);
        postmortem_open(folder);
}

static void a_link_in_its_place_is_replaced_and_not_followed(void **state)
{
        char path[POSTMORTEM_PATH_BYTES], victim[POSTMORTEM_PATH_BYTES];
        struct stat status;
        (void)state;
        snprintf(victim, sizeof victim, "%s/victim", folder);
        fclose(fopen(victim, "w"));
        assert_int_equal(symlink(victim, postmortem_path(POSTMORTEM_ASKED, path)), 0);
        assert_int_equal(postmortem_write(POSTMORTEM_ASKED, POSTMORTEM_NOBODY), 0);
        assert_int_equal(lstat(path, &status), 0);
        assert_true(S_ISREG(status.st_mode));
        assert_int_equal(stat(victim, &status), 0);
        assert_int_equal(status.st_size, 0);
        assert_int_equal(unlink(path) | unlink(victim), 0);
}

static void the_oldest_files_go_and_nobody_elses(void **state)
{
        char path[POSTMORTEM_PATH_BYTES];
        (void)state;
        for (int i = 0; i < POSTMORTEM_KEPT_MAX + 5; i++) {
                snprintf(path, sizeof path, "%s/spate-%d-crash.flight", folder, i);
                fclose(fopen(path, "w"));
                struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
                assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        }
        static const char *const others[] = {"spate-x-crash.flight", "spate-1-crash", "other.flight"};
        for (size_t i = 0; i < array_count(others); i++) {
                snprintf(path, sizeof path, "%s/%s", folder, others[i]);
                fclose(fopen(path, "w"));
        }
        postmortem_prune(folder);
        for (int i = 0; i < POSTMORTEM_KEPT_MAX + 5; i++) {
                snprintf(path, sizeof path, "%s/spate-%d-crash.flight", folder, i);
                assert_int_equal(unlink(path), i < 5 ? -1 : 0);
        }
        for (size_t i = 0; i < array_count(others); i++) {
                snprintf(path, sizeof path, "%s/%s", folder, others[i]);
                assert_int_equal(unlink(path), 0);
        }
}

static void one_that_is_cut_anywhere_tells_what_it_has(void **state)
{
        struct postmortemfile whole, part;
        (void)state;
        for (uint64_t i = 0; i < 100; i++)
                flight_tell(&flights[i % 2], FLIGHT_SUBSCRIBED, i, i, i, i);
        write_and_read(&whole);
        size_t head = sizeof whole.header + whole.header.names_bytes + 200, before = 0;
        for (size_t size = 0; size < whole.size; size += size < head ? 1 : 1009) {
                int failed = postmortemfile_parse(&part, span_of(whole.bytes, size), error);
                if (failed == 0) {
                        assert_true(part.is_cut);
                        assert_true(part.rows_count >= before && part.rows_count <= whole.rows_count);
                        before = part.rows_count;
                } else {
                        assert_int_equal(failed, -EPROTO);
                        assert_true(error[0] != '\0' && strchr(error, '\n') == NULL);
                        assert_true(size < head);
                }
                postmortemfile_fini(&part);
        }
        assert_int_equal(before, whole.rows_count);
        postmortemfile_fini(&whole);
}

static void a_damaged_one_does_no_harm(void **state)
{
        struct postmortemfile whole, part;
        struct random random;
        (void)state;
        random_init(&random, 1);
        for (uint64_t i = 0; i < 100; i++)
                flight_tell(&flights[i % 2], FLIGHT_HELD, i, i, i, i);
        write_and_read(&whole);
        size_t head = sizeof whole.header + whole.header.names_bytes + 8 * (1 + FLIGHT_NOW + 2);
        uint8_t *bytes = malloc(whole.size);
        for (int round = 0; round < 500; round++) {
                memcpy(bytes, whole.bytes, whole.size);
                for (uint64_t i = 1 + random_below(&random, 8); i > 0; i--) {
                        size_t at = random_below(&random, random_chance(&random, 9, 10) ? head : whole.size);
                        bytes[at] = (uint8_t)(random_chance(&random, 1, 3) ? 0xff : random_next(&random));
                }
                int failed = postmortemfile_parse(&part, span_of(bytes, whole.size), error);
                assert_true(failed == 0 || failed == -EPROTO);
                for (size_t i = 0; failed == 0 && i < part.rows_count; i++) {
                        struct span value;
                        const struct postmortem_row *row = &part.rows[i];
                        assert_true(row->reactor < POSTMORTEM_REACTORS_MAX);
                        (void)postmortemfile_field(part.kinds[row->kind].number, row->number, &value);
                        (void)postmortemfile_field(part.kinds[row->kind].more, row->more, &value);
                }
                postmortemfile_fini(&part);
        }
        free(bytes);
        postmortemfile_fini(&whole);
}

static void what_is_none_is_refused_in_one_line(void **state)
{
        struct postmortemfile file;
        (void)state;
        assert_int_equal(postmortemfile_read(&file, "/nowhere", error), -ENOENT);
        assert_string_equal(error, "No such file or directory");
        postmortemfile_fini(&file);
        assert_int_equal(postmortemfile_read(&file, folder, error), -EISDIR);
        postmortemfile_fini(&file);
        assert_int_equal(postmortemfile_read(&file, "/dev/null", error), -EPROTO);
        postmortemfile_fini(&file);
        assert_int_equal(postmortemfile_parse(&file, SPAN_NONE, error), -EPROTO);
        assert_string_equal(error, "it is empty");
        postmortemfile_fini(&file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
                ROW(what_was_noted_comes_back_in_the_order_of_time),
                ROW(of_more_than_there_is_room_for_the_last_come_back),
                ROW(nothing_is_written_without_a_folder),
                ROW(a_link_in_its_place_is_replaced_and_not_followed),
                ROW(the_oldest_files_go_and_nobody_elses),
                ROW(one_that_is_cut_anywhere_tells_what_it_has),
                ROW(a_damaged_one_does_no_harm),
                ROW(what_is_none_is_refused_in_one_line),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
