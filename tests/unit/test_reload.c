/* reload: all of it or nothing. Every step fails once, and every allocation: nothing has changed then and nothing is
 * left behind. Then it succeeds while two threads read what is published. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/reload.h"
#include "tests/fault/faults.h"

#define HASH "$2b$04$abcdefghijklmnopqrstuuXgr4nCRkMuJMGvpFSHxyB6f0bEZH2tm"

/* ---- a server's part of a reload ---- */

static char folder[] = "/tmp/spate-reload-XXXXXX";
static char path[64], users_path[64];

static int set_up(void **state)
{
        (void)state;
        if (mkdtemp(folder) == NULL)
                return -1;
        snprintf(path, sizeof path, "%s/spate.yaml", folder);
        snprintf(users_path, sizeof users_path, "%s/users.yaml", folder);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        unlink(path);
        unlink(users_path);
        return rmdir(folder);
}

static void write_file(const char *name, const char *text)
{
        FILE *file = fopen(name, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

struct server {
        struct config_sources sources;
        char *words[4];
        struct cores *cores;
        struct reload *reload;
        struct permission_sets sets;
        struct users_context context;
        struct settings *started_with;
};

static void server_start(struct server *server)
{
        struct options options;
        struct config config;
        char error[OPTIONS_ERROR_BYTES];
        int next;
        *server = (struct server){.words = {(char *)(uintptr_t) "spate", (char *)(uintptr_t) "--config", path, NULL}};
        server->sources = (struct config_sources){
                .argc = 3, .argv = server->words, .first = 1, .rows = option_rows, .rows_count = OPTIONS_COUNT};
        struct cores_settings cores_settings = {.count = 2, .mailbox_bytes = MIB, .patterns_max = 1000};
        assert_int_equal(cores_new(&server->cores, &cores_settings), 0);
        assert_int_equal(permission_sets_init(&server->sets, 0), 0);
        server->context.sets = &server->sets;
        if (config_read(&options, &config, &server->sources, &next, error) != 0 ||
            settings_new(&server->started_with, &options, config_has_users(&config, &options), NULL, error) != 0)
                fail_msg("%s", error);
        assert_int_equal(reload_new(&server->reload, server->started_with, &config, &server->sources), 0);
        /* What reload_start() does where auth is the loader, but without auth. */
        assert_int_equal(reload_start(server->reload, NULL), 0);
        reload_stop(server->reload);
        reload_serve(server->reload, server->cores);
        config_fini(&config);
}

static void server_stop(struct server *server)
{
        reload_free(server->reload);
        permission_sets_fini(&server->sets);
        cores_free(server->cores);
}

/* What came of it is told to whoever asked, who takes it from the heap. Without memory it is not. */
static void take_outcome(struct server *server, int failed, const char *error)
{
        struct reload_outcome outcome;
        if (!reload_take_outcome(server->reload, &outcome))
                return;
        assert_int_equal(outcome.is_taken, failed == 0);
        assert_string_equal(outcome.error, failed == 0 ? "" : error);
        assert_false(reload_take_outcome(server->reload, &outcome));
}

/* The log of hundreds of faults is not for whoever reads the tests. */
static int load_quietly(struct server *server, bool with_users, struct users **users, char *error)
{
        int standard_error = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nowhere, STDERR_FILENO);
        int failed = reload_load(server->reload, with_users ? &server->context : NULL, users, error);
        dup2(standard_error, STDERR_FILENO);
        close(standard_error);
        close(nowhere);
        return failed;
}

static int reload_quietly(struct server *server, bool with_users, struct users **users, char *error)
{
        int failed = load_quietly(server, with_users, users, error);
        take_outcome(server, failed, error);
        return failed;
}

static const char first_file[] = "listeners: [127.0.0.1:0]\n"
                                 "engine: {reactors: 2, cpus: none}\n"
                                 "limits: {max_connections: 1000, ping_max: 3}\n"
                                 "drain: {timeout: 7s}\n"
                                 "auth: {users_file: users.yaml}\n";
static const char other_file[] =
        "listeners: [127.0.0.1:0]\n"
        "engine: {reactors: 2, cpus: none}\n"
        "limits: {max_connections: 900, ping_max: 4}\n"
        "lag:\n"
        "  rules: [{pattern: a.*, policy: conflate, limit: 1MiB}, {pattern: b, policy: block}]\n"
        "drain: {timeout: 8s}\n"
        "log: {level: debug}\n"
        "auth: {users_file: users.yaml}\n";
static const char first_users[] = "users: [{name: a, password: " HASH "}]\n";
static const char other_users[] = "users:\n"
                                  "  - {name: a, password: " HASH ", publish: {allow: [x, y.>]}}\n"
                                  "  - {name: b, password: " HASH ", subscribe: {deny: [z]}}\n";

static void expect_unchanged(struct server *server, const struct reactor_settings *published, const struct users *users)
{
        assert_ptr_equal(cores_published_settings(server->cores), published);
        assert_null(users);
        assert_int_equal(reload_drain(server->reload).drain_ns, 7 * NS_PER_S);
        assert_int_equal(server->sets.map.nodes_count, 0);
        assert_int_equal(log_level_now(), LOG_LEVEL_INFO);
}

static void expect_changed(struct server *server, struct users *users)
{
        const struct reactor_settings *settings = cores_published_settings(server->cores);
        assert_int_equal(settings->conns_max, 900);
        assert_int_equal(settings->pings_out_max, 4);
        assert_int_equal(lag_resolve(settings->lag, LAG_DISCONNECT, SPAN("a.b")).policy, LAG_CONFLATE);
        assert_int_equal(reload_drain(server->reload).drain_ns, 8 * NS_PER_S);
        assert_int_equal(log_level_now(), LOG_LEVEL_DEBUG);
        assert_int_equal(users_count(users), 2);
        users_free(users);
        log_set_level(LOG_LEVEL_INFO);
}

static void begin(struct server *server)
{
        log_set_level(LOG_LEVEL_INFO);
        write_file(path, first_file);
        write_file(users_path, first_users);
        server_start(server);
        /* What the C library keeps of its first time. */
        char error[OPTIONS_ERROR_BYTES];
        struct users *users = NULL;
        write_file(path, "");
        assert_true(reload_quietly(server, true, &users, error) < 0);
        write_file(path, first_file);
}

/* ---- tests ---- */

static void every_step_that_fails_leaves_all_as_it_was(void **state)
{
        (void)state;
        static const struct {
                const char *what, *file, *users, *said;
        } rows[] = {
                {"read", NULL, first_users, "No such file"},
                {"parse", "limits: {\n", first_users, "not YAML"},
                {"keys", "limit: {}\n", first_users, "did you mean"},
                {"value", "limits: {ping_max: 0}\n", first_users, ":1:20: "},
                {"restart",
                 "listeners: [127.0.0.1:0]\nengine: {reactors: 3, cpus: none}\nauth: {users_file: users.yaml}\n",
                 first_users, ":2:20: engine.reactors cannot go from 2 to 3 while the server runs"},
                {"restart", "listeners: [127.0.0.1:0]\nengine: {cpus: none}\nauth: {users_file: users.yaml}\n",
                 first_users, "engine.reactors cannot go from 2 to auto, its default"},
                {"users asked for", "listeners: [127.0.0.1:0]\nengine: {reactors: 2, cpus: none}\n", first_users,
                 "done without"},
                {"room",
                 "listeners: [127.0.0.1:0]\nengine: {reactors: 2, cpus: none}\nlimits: {max_connections: 1001}\n"
                 "auth: {users_file: users.yaml}\n",
                 first_users, "started with room for 1000"},
                {"rules",
                 "listeners: [127.0.0.1:0]\nengine: {reactors: 2, cpus: none}\n"
                 "lag: {rules: [{pattern: a.>, policy: block}, {pattern: a.b, policy: block}]}\n"
                 "auth: {users_file: users.yaml}\n",
                 first_users, ":3:46: lag.rules \"a.b=block\": it can never apply"},
                {"users read", other_file, NULL, "No such file"},
                {"users parsed", other_file, "users: [{name: a, password: x}]\n", ":1:29: "},
        };
        struct server server;
        begin(&server);
        for (size_t i = 0; i < array_count(rows); i++) {
                char error[OPTIONS_ERROR_BYTES] = "";
                struct users *users = NULL;
                long held = faults_heap_blocks();
                unlink(path);
                unlink(users_path);
                if (rows[i].file != NULL)
                        write_file(path, rows[i].file);
                if (rows[i].users != NULL)
                        write_file(users_path, rows[i].users);
                assert_true(reload_quietly(&server, true, &users, error) < 0);
                if (strstr(error, rows[i].said) == NULL)
                        fail_msg("%s: wanted \"%s\", got \"%s\"", rows[i].what, rows[i].said, error);
                expect_unchanged(&server, NULL, users);
                assert_int_equal(faults_heap_blocks(), held);
        }
        /* None of it is in the way of what is right. */
        char error[OPTIONS_ERROR_BYTES];
        struct users *users = NULL;
        write_file(path, other_file);
        write_file(users_path, other_users);
        assert_int_equal(reload_quietly(&server, true, &users, error), 0);
        expect_changed(&server, users);
        server_stop(&server);
}

static void every_allocation_that_fails_leaves_all_as_it_was(void **state)
{
        (void)state;
        struct server server;
        char error[OPTIONS_ERROR_BYTES] = "";
        struct users *users = NULL;
        long number = 0;
        begin(&server);
        write_file(path, other_file);
        write_file(users_path, other_users);
        for (;; number++) {
                long held = faults_heap_blocks();
                faults_plan(FAULT_HEAP, (uint64_t)number + 1, 1);
                faults_arm();
                int failed = reload_quietly(&server, true, &users, error);
                faults_disarm();
                if (faults_struck() == 0) {
                        assert_int_equal(failed, 0);
                        break;
                }
                if (failed == 0) {
                        /* The C library could do without it, so all has changed; begin anew. */
                        expect_changed(&server, users);
                        users = NULL;
                        server_stop(&server);
                        begin(&server);
                        write_file(path, other_file);
                        write_file(users_path, other_users);
                        continue;
                }
                assert_true(error[0] != '\0');
                if (strstr(error, "not YAML") != NULL)
                        fail_msg("said of a file for which there was no memory: %s", error);
                expect_unchanged(&server, NULL, users);
                assert_int_equal(faults_heap_blocks(), held);
        }
        assert_true(number > 50);
        expect_changed(&server, users);
        server_stop(&server);
}

static void nothing_changes_when_nothing_has_changed(void **state)
{
        (void)state;
        struct server server;
        char error[OPTIONS_ERROR_BYTES];
        struct users *users = NULL;
        begin(&server);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(reload_quietly(&server, true, &users, error), 0);
                assert_int_equal(cores_published_settings(server.cores)->conns_max, 1000);
                users_free(users);
        }
        server_stop(&server);
}

static void of_many_that_nobody_has_heard_of_the_last_is_told(void **state)
{
        (void)state;
        struct server server;
        char error[OPTIONS_ERROR_BYTES] = "";
        begin(&server);
        for (int i = 0; i < 20; i++) {
                struct users *users = NULL;
                write_file(path, i < 19 ? "" : first_file);
                reload_ask(server.reload);
                assert_int_equal(load_quietly(&server, true, &users, error) == 0, i == 19);
                users_free(users);
        }
        struct reload_outcome outcome;
        assert_true(reload_take_outcome(server.reload, &outcome));
        assert_true(outcome.is_taken);
        server_stop(&server);
}

/* ---- while others read ---- */

struct reader {
        pthread_t thread;
        const struct cores *cores;
        struct counters *stop;
        uint64_t seen_count;
};

/* As a reactor does: adopts what is new, and uses it until its turn ends. */
static void *reader_main(void *context)
{
        struct reader *reader = context;
        const struct reactor_settings *adopted = NULL;
        epoch_register();
        while (counter_read(reader->stop, 0) == 0) {
                epoch_offline();
                sched_yield();
                epoch_online();
                const struct reactor_settings *published = cores_published_settings(reader->cores);
                reader->seen_count += published != adopted;
                adopted = published;
                if (published == NULL)
                        continue;
                /* One of the two files, whole. */
                struct lag lag = lag_resolve(published->lag, LAG_DISCONNECT, SPAN("a.b"));
                if (published->conns_max == 900)
                        assert(lag.policy == LAG_CONFLATE && published->pings_out_max == 4);
                else
                        assert(lag.policy == LAG_DISCONNECT && published->pings_out_max == 3);
        }
        epoch_unregister();
        return NULL;
}

static void readers_see_one_whole_or_the_other(void **state)
{
        (void)state;
        struct server server;
        struct counters stop;
        struct reader readers[2];
        char error[OPTIONS_ERROR_BYTES];
        begin(&server);
        assert_int_equal(counters_init(&stop, 1), 0);
        for (int i = 0; i < 2; i++) {
                readers[i] = (struct reader){.cores = server.cores, .stop = &stop};
                assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
        }
        for (int i = 0; i < 100; i++) {
                struct users *users = NULL;
                write_file(path, i % 2 == 0 ? other_file : first_file);
                assert_int_equal(reload_quietly(&server, true, &users, error), 0);
                users_free(users);
                log_set_level(LOG_LEVEL_INFO);
        }
        counter_set(&stop, 0, 1);
        for (int i = 0; i < 2; i++) {
                pthread_join(readers[i].thread, NULL);
                assert_true(readers[i].seen_count > 0);
        }
        counters_fini(&stop);
        server_stop(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_step_that_fails_leaves_all_as_it_was),
                cmocka_unit_test(every_allocation_that_fails_leaves_all_as_it_was),
                cmocka_unit_test(nothing_changes_when_nothing_has_changed),
                cmocka_unit_test(of_many_that_nobody_has_heard_of_the_last_is_told),
                cmocka_unit_test(readers_see_one_whole_or_the_other),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
