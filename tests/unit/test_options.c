/* options: each row is read from flag, environment and default, and a refusal says what would do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/options.h"
#include "engine/base/random.h"

enum { MAX_PAYLOAD, IDLE, PEERS, IO, NAME, VERBOSE, LISTEN, DEPTH, WORKERS };

static const struct option_row rows[] = {
        {.name = "max-payload",
         .type = OPTION_BYTES,
         .value = "1MiB",
         .min = 1024,
         .max = 64 << 20,
         .help = "the largest event"},
        {.name = "idle-timeout", .type = OPTION_TIME, .value = "2m", .help = "when a silent peer is closed"},
        {.name = "peers", .type = OPTION_COUNT, .value = "10k", .min = 1, .help = "how many may connect"},
        {.name = "io", .type = OPTION_CHOICE, .value = "auto", .choices = "auto|io_uring|epoll", .help = "the network"},
        {.name = "name", .type = OPTION_TEXT, .value = "", .help = "what others call us"},
        {.name = "verbose", .type = OPTION_BOOL, .value = "no", .help = "say more"},
        {.name = "listen", .type = OPTION_TEXT, .value = "127.0.0.1", .is_list = true, .help = "where to listen"},
        {.name = "depth", .type = OPTION_COUNT, .value = "32", .min = 1, .max = 64, .is_list = true, .help = "levels"},
        {.name = "workers",
         .type = OPTION_COUNT,
         .value = "auto",
         .min = 1,
         .max = 64,
         .choices = "auto",
         .help = "hands"},
};

static char error[OPTIONS_ERROR_BYTES];

static void begin(struct options *options)
{
        error[0] = '\0';
        assert_int_equal(options_init(options, rows, array_count(rows)), 0);
}

/* String literals are const here and argv's are not. */
#define WORDS(...) ((char *const *)(const char *[]){__VA_ARGS__, NULL})

static size_t words_count(char *const *words)
{
        size_t count = 0;
        while (words[count] != NULL)
                count++;
        return count;
}

static int read_flags(struct options *options, int *next, char *const *words)
{
        return options_read_flags(options, (int)words_count(words), words, 0, next, error);
}

#define FLAGS(options, next, ...) read_flags((options), (next), WORDS(__VA_ARGS__))
#define ENVIRONMENT(options, ...) options_read_environment((options), WORDS(__VA_ARGS__), NULL, error)

static void a_zeroed_one_can_be_torn_down(void **state)
{
        (void)state;
        struct options options = {0};
        options_fini(&options);
}

static void defaults_are_read_from_the_table(void **state)
{
        (void)state;
        struct options options;
        begin(&options);
        assert_true(options_number(&options, MAX_PAYLOAD) == 1 << 20);
        assert_true(options_number(&options, IDLE) == UINT64_C(120000000000));
        assert_true(options_number(&options, PEERS) == 10000);
        assert_true(options_number(&options, IO) == 0);
        assert_true(options_number(&options, VERBOSE) == 0);
        assert_string_equal(options_text(&options, IO), "auto");
        assert_string_equal(options_text(&options, NAME), "");
        assert_string_equal(options_text(&options, LISTEN), "127.0.0.1");
        assert_int_equal(options.values[IO].source, OPTION_FROM_DEFAULT);
        options_fini(&options);
}

static void units_multiply(void **state)
{
        (void)state;
        const struct {
                const char *flag;
                size_t row;
                uint64_t number;
        } cases[] = {
                {"--max-payload=4096", MAX_PAYLOAD, 4096},
                {"--max-payload=4096B", MAX_PAYLOAD, 4096},
                {"--max-payload=64KiB", MAX_PAYLOAD, 65536},
                {"--max-payload=64k", MAX_PAYLOAD, 65536},
                {"--max-payload=64K", MAX_PAYLOAD, 65536},
                {"--max-payload=2M", MAX_PAYLOAD, 2 << 20},
                {"--max-payload=64MiB", MAX_PAYLOAD, 64 << 20},
                {"--max-payload=1KiB", MAX_PAYLOAD, 1024},
                {"--idle-timeout=0", IDLE, 0},
                {"--idle-timeout=3", IDLE, UINT64_C(3000000000)},
                {"--idle-timeout=500ns", IDLE, 500},
                {"--idle-timeout=20us", IDLE, 20000},
                {"--idle-timeout=100ms", IDLE, 100000000},
                {"--idle-timeout=5s", IDLE, UINT64_C(5000000000)},
                {"--idle-timeout=1h", IDLE, UINT64_C(3600000000000)},
                {"--idle-timeout=2d", IDLE, UINT64_C(172800000000000)},
                {"--peers=7", PEERS, 7},
                {"--peers=10k", PEERS, 10000},
                {"--peers=2M", PEERS, 2000000},
                {"--peers=1G", PEERS, 1000000000},
                {"--peers=18446744073709551615", PEERS, UINT64_MAX},
                {"--io=epoll", IO, 2},
                {"--verbose=yes", VERBOSE, 1},
                {"--verbose=on", VERBOSE, 1},
                {"--verbose=1", VERBOSE, 1},
                {"--verbose=off", VERBOSE, 0},
                {"--workers=auto", WORKERS, 0},
                {"--workers=64", WORKERS, 64},
        };
        for (size_t i = 0; i < array_count(cases); i++) {
                struct options options;
                int next;
                begin(&options);
                assert_int_equal(FLAGS(&options, &next, cases[i].flag), 0);
                assert_true(options_number(&options, cases[i].row) == cases[i].number);
                assert_string_equal(options_text(&options, cases[i].row), strchr(cases[i].flag, '=') + 1);
                assert_int_equal(options.values[cases[i].row].source, OPTION_FROM_FLAG);
                options_fini(&options);
        }
}

static void flags_end_at_the_first_other_argument(void **state)
{
        (void)state;
        struct options options;
        int next = 0;
        begin(&options);
        assert_int_equal(FLAGS(&options, &next, "--io", "epoll", "--verbose", "true", "--io", "auto"), 0);
        assert_int_equal(next, 3);
        assert_true(options_number(&options, VERBOSE) == 1);
        assert_string_equal(options_text(&options, IO), "epoll");
        assert_int_equal(FLAGS(&options, &next, "--no-verbose", "--", "--io", "auto"), 0);
        assert_int_equal(next, 2);
        assert_true(options_number(&options, VERBOSE) == 0);
        assert_int_equal(FLAGS(&options, &next, "--name", "--io", "-x"), 0);
        assert_int_equal(next, 2);
        assert_string_equal(options_text(&options, NAME), "--io");
        assert_int_equal(FLAGS(&options, &next, "--io=auto", "--io", "epoll"), 0);
        assert_int_equal(next, 3);
        assert_string_equal(options_text(&options, IO), "epoll");
        char *const *argv = WORDS("spate", "run", "--io=io_uring", "rest");
        assert_int_equal(options_read_flags(&options, 4, argv, 2, &next, error), 0);
        assert_int_equal(next, 3);
        assert_int_equal(options_read_flags(&options, 4, argv, 4, &next, error), 0);
        assert_int_equal(next, 4);
        options_fini(&options);
}

static void a_flag_beats_the_environment_whatever_is_read_first(void **state)
{
        (void)state;
        struct options options;
        int next;
        begin(&options);
        assert_int_equal(ENVIRONMENT(&options, "HOME=/", "SPATE_IO=io_uring", "SPATE_MAX_PAYLOAD=2MiB"), 0);
        assert_int_equal(options.values[IO].source, OPTION_FROM_ENVIRONMENT);
        assert_string_equal(options_text(&options, IO), "io_uring");
        assert_int_equal(FLAGS(&options, &next, "--io", "epoll"), 0);
        assert_string_equal(options_text(&options, IO), "epoll");
        assert_int_equal(ENVIRONMENT(&options, "SPATE_IO=io_uring"), 0);
        assert_string_equal(options_text(&options, IO), "epoll");
        assert_true(options_number(&options, IO) == 2);
        assert_true(options_number(&options, MAX_PAYLOAD) == 2 << 20);
        options_fini(&options);
}

static void a_list_gathers_what_one_source_gives(void **state)
{
        (void)state;
        struct options options;
        int next;
        begin(&options);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_LISTEN=a,b"), 0);
        assert_string_equal(options_text(&options, LISTEN), "a,b");
        assert_int_equal(FLAGS(&options, &next, "--listen", "c", "--listen=d", "--listen=e,f"), 0);
        assert_string_equal(options_text(&options, LISTEN), "c,d,e,f");
        assert_int_equal(FLAGS(&options, &next, "--depth=1,2", "--depth", "3"), 0);
        assert_string_equal(options_text(&options, DEPTH), "1,2,3");
        assert_int_equal(FLAGS(&options, &next, "--depth=1,65"), -EINVAL);
        assert_string_equal(options_text(&options, DEPTH), "1,2,3");
        options_fini(&options);
}

static void a_refusal_says_what_where_why_and_what_would_do(void **state)
{
        (void)state;
        const struct {
                const char *flag;
                const char *told;
        } cases[] = {
                {"--max-payload=12XB",
                 "max-payload cannot be 12XB (from --max-payload): XB is not a unit of size (B, KiB, "
                 "MiB or GiB); a size from 1KiB to 64MiB would do"},
                {"--max-payload=1GiB",
                 "max-payload cannot be 1GiB (from --max-payload): it is more than 64MiB; a size from "
                 "1KiB to 64MiB would do"},
                {"--max-payload=5",
                 "max-payload cannot be 5 (from --max-payload): it is less than 1KiB; a size from 1KiB "
                 "to 64MiB would do"},
                {"--max-payload=", "max-payload cannot be \"\" (from --max-payload): it is empty; a size from 1KiB to "
                                   "64MiB would do"},
                {"--idle-timeout=soon",
                 "idle-timeout cannot be soon (from --idle-timeout): it is not a number; a time such "
                 "as 100ms, 5s or 2m would do"},
                {"--idle-timeout=1.5s",
                 "idle-timeout cannot be 1.5s (from --idle-timeout): only whole numbers, without "
                 "dots or separators, are read; a time such as 100ms, 5s or 2m would do"},
                {"--idle-timeout=99999999999h",
                 "idle-timeout cannot be 99999999999h (from --idle-timeout): it does not fit "
                 "into 64 bits; a time such as 100ms, 5s or 2m would do"},
                {"--peers=18446744073709551616",
                 "peers cannot be 18446744073709551616 (from --peers): it does not fit into "
                 "64 bits; a count of at least 1 would do"},
                {"--workers=0", "workers cannot be 0 (from --workers): it is less than 1; auto or a count from 1 to 64 "
                                "would do"},
                {"--workers=Auto",
                 "workers cannot be Auto (from --workers): it is not a number; auto or a count from 1 "
                 "to 64 would do"},
                {"--peers=-3", "peers cannot be -3 (from --peers): it is below 0; a count of at least 1 would do"},
                {"--peers=0", "peers cannot be 0 (from --peers): it is less than 1; a count of at least 1 would do"},
                {"--io=epol", "io cannot be epol (from --io): there is no such word, did you mean epoll?; one of auto, "
                              "io_uring, epoll would do"},
                {"--io=kqueue",
                 "io cannot be kqueue (from --io): there is no such word; one of auto, io_uring, epoll would "
                 "do"},
                {"--verbose=maybe", "verbose cannot be maybe (from --verbose): it is neither; true or false would do"},
                {"--max-paylod=1", "there is no option --max-paylod; did you mean --max-payload?"},
                {"--max_payload=1", "there is no option --max_payload; did you mean --max-payload?"},
                {"--no-verbos", "there is no option --no-verbos; did you mean --no-verbose?"},
                {"--no-io", "there is no option --no-io; did you mean --io?"},
                {"--no-verbose=1", "--no-verbose takes no value; --verbose=false or --no-verbose alone would do"},
                {"--frobnicate", "there is no option --frobnicate; see --help for the names"},
                {"--=3", "there is no option --; see --help for the names"},
                {"--name", "--name, the last argument, lacks its value; any text behind it would do"},
                {"--x\nlevel=error y", "there is no option \"--x\\x0alevel\"; see --help for the names"},
        };
        for (size_t i = 0; i < array_count(cases); i++) {
                struct options options;
                int next;
                begin(&options);
                assert_int_equal(FLAGS(&options, &next, cases[i].flag), -EINVAL);
                assert_string_equal(error, cases[i].told);
                for (size_t row = 0; row < array_count(rows); row++)
                        assert_string_equal(options_text(&options, row), rows[row].value);
                options_fini(&options);
        }
}

static void the_environment_is_told_by_its_own_names(void **state)
{
        (void)state;
        struct options options;
        begin(&options);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_MAX_PAYLOAD=12XB"), -EINVAL);
        assert_string_equal(error, "max-payload cannot be 12XB (from SPATE_MAX_PAYLOAD): XB is not a unit of size (B, "
                                   "KiB, MiB or GiB); a size from 1KiB to 64MiB would do");
        assert_int_equal(ENVIRONMENT(&options, "SPATE_MAX_PAYLOD=1MiB"), -EINVAL);
        assert_string_equal(error, "the environment sets SPATE_MAX_PAYLOD, which is not an option; did you mean "
                                   "SPATE_MAX_PAYLOAD?");
        assert_int_equal(ENVIRONMENT(&options, "SPATE_max_payload=1MiB"), -EINVAL);
        assert_string_equal(error, "the environment sets SPATE_max_payload, which is not an option; did you mean "
                                   "SPATE_MAX_PAYLOAD?");
        assert_int_equal(ENVIRONMENT(&options, "SPATE_MAX-PAYLOAD=1MiB"), -EINVAL);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_=1"), -EINVAL);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_TEST_SEED=1"), -EINVAL);
        assert_string_equal(error,
                            "the environment sets SPATE_TEST_SEED, which is not an option; unset it, or see --help "
                            "for the names");
        const char *const ignored[] = {"SPATE_TEST_SEED", NULL};
        char *const *environment = WORDS("SPATE_TEST_SEED=1", "SPATEX=2", "SPATE_PEERS", "SPATE_PEERS=3");
        assert_int_equal(options_read_environment(&options, environment, ignored, error), 0);
        assert_true(options_number(&options, PEERS) == 3);
        options_fini(&options);
}

static void the_nearest_word_is_near(void **state)
{
        (void)state;
        const char *const names[] = {"listen", "max-payload", "io", "idle-timeout", "list"};
        size_t count = array_count(names);
        assert_string_equal(options_nearest("lisetn", names, count), "listen");
        assert_string_equal(options_nearest("liste", names, count), "listen");
        assert_string_equal(options_nearest("lst", names, count), "list");
        assert_string_equal(options_nearest("idle-timout", names, count), "idle-timeout");
        assert_null(options_nearest("i", names, count));
        assert_null(options_nearest("ab", names, count));
        assert_null(options_nearest("", names, count));
        assert_null(options_nearest("entirely-different", names, count));
        char long_word[300];
        memset(long_word, 'a', sizeof(long_word) - 1);
        long_word[sizeof(long_word) - 1] = '\0';
        assert_null(options_nearest(long_word, names, count));
}

static void help_shows_every_row_with_default_and_range(void **state)
{
        (void)state;
        struct options options;
        char *text = NULL;
        size_t text_size = 0;
        FILE *out = open_memstream(&text, &text_size);
        begin(&options);
        options_print_help(&options, out);
        fclose(out);
        assert_non_null(
                strstr(text, "  --max-payload SIZE              the largest event (default 1MiB, 1KiB to 64MiB)\n"));
        assert_non_null(
                strstr(text, "  --peers COUNT                   how many may connect (default 10k, at least 1)\n"));
        assert_non_null(strstr(text, "  --io auto|io_uring|epoll        the network (default auto)\n"));
        assert_non_null(strstr(text, "  --name TEXT                     what others call us (default none)\n"));
        assert_non_null(strstr(text, "  --[no-]verbose                  say more (default no)\n"));
        assert_non_null(strstr(text, "(default 127.0.0.1; may be repeated)\n"));
        free(text);
        options_fini(&options);
}

/* Whatever is typed, the answer is 0 or one printable line. */
static void random_arguments_are_taken_or_refused_in_one_line(void **state)
{
        (void)state;
        static const char letters[] = "-=noi123kMBs.\n\xff max-payload,";
        struct options options;
        struct random random;
        random_init(&random, 7);
        begin(&options);
        for (int step = 0; step < 50000; step++) {
                char argument[120];
                int used = snprintf(argument, sizeof(argument), "--%s%s",
                                    rows[random_below(&random, array_count(rows))].name,
                                    random_chance(&random, 3, 4) ? "=" : "");
                size_t size = (size_t)used + random_below(&random, sizeof(argument) - (size_t)used);
                for (size_t i = (size_t)used; i < size; i++)
                        argument[i] = letters[random_below(&random, sizeof(letters) - 1)];
                argument[size] = '\0';
                int next;
                error[0] = '\0';
                if (step % 1000 == 0) {
                        options_fini(&options);
                        begin(&options);
                }
                if (FLAGS(&options, &next, argument) == 0)
                        continue;
                assert_true(strlen(error) > 10);
                for (const char *at = error; *at != '\0'; at++)
                        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
        }
        options_fini(&options);
}

static void a_row_says_how_help_the_environment_and_a_number_spell_it(void **state)
{
        static const struct option_row size = {.name = "max-payload", .type = OPTION_BYTES, .value = "1MiB"},
                                       choice = {.name = "a", .type = OPTION_CHOICE, .value = "b", .choices = "b|c"},
                                       file = {.name = "users", .type = OPTION_FILE, .value = ""};
        char text[OPTIONS_NUMBER_BYTES], variable[OPTIONS_VARIABLE_BYTES];
        (void)state;
        options_format_number(&size, 65536, text);
        assert_string_equal(text, "64KiB");
        options_format_number(&size, 65537, text);
        assert_string_equal(text, "65537B");
        options_format_number(&choice, 1, text);
        assert_string_equal(text, "1");
        options_variable(&size, variable);
        assert_string_equal(variable, "SPATE_MAX_PAYLOAD");
        assert_string_equal(options_shown(&size), "SIZE");
        assert_string_equal(options_shown(&choice), "b|c");
        assert_string_equal(options_shown(&file), "FILE");
}

static void a_value_of_the_file_has_a_place_and_the_least_weight(void **state)
{
        (void)state;
        struct options options;
        int next;
        char text[OPTIONS_ORIGIN_BYTES];
        begin(&options);
        options.file = strdup("f.yaml");
        assert_int_equal(read_flags(&options, &next, WORDS("--workers=4")), 0);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_NAME=b"), 0);
        assert_int_equal(options_read_file_value(&options, WORKERS, SPAN("2"), (struct option_place){1, 2}, error), 0);
        assert_int_equal(options_read_file_value(&options, NAME, SPAN("a"), (struct option_place){2, 2}, error), 0);
        assert_int_equal(options_read_file_value(&options, PEERS, SPAN("5"), (struct option_place){3, 2}, error), 0);
        assert_int_equal(options_read_file_value(&options, LISTEN, SPAN("x"), (struct option_place){4, 2}, error), 0);
        assert_int_equal(options_read_file_value(&options, LISTEN, SPAN("y"), (struct option_place){5, 4}, error), 0);
        assert_int_equal(options_number(&options, WORKERS), 4);
        assert_string_equal(options_text(&options, NAME), "b");
        assert_int_equal(options_number(&options, PEERS), 5);
        assert_string_equal(options_text(&options, LISTEN), "x,y");
        assert_string_equal(options_origin(&options, WORKERS, 0, text), "--workers");
        assert_string_equal(options_origin(&options, NAME, 0, text), "SPATE_NAME");
        assert_string_equal(options_origin(&options, PEERS, 0, text), "f.yaml:3:2");
        assert_string_equal(options_origin(&options, LISTEN, 1, text), "f.yaml:5:4");
        assert_string_equal(options_origin(&options, IO, 0, text), "default");
        /* Refused also where it would not count. */
        assert_int_equal(options_read_file_value(&options, WORKERS, SPAN("0"), (struct option_place){1, 2}, error),
                         -EINVAL);
        assert_int_equal(options_refuse(&options, LISTEN, 1, error, "%s is odd", "y"), -EINVAL);
        assert_string_equal(error, "f.yaml:5:4: y is odd");
        /* A flag puts another list in its place. */
        assert_int_equal(read_flags(&options, &next, WORDS("--listen=z")), 0);
        assert_string_equal(options_text(&options, LISTEN), "z");
        assert_int_equal(options_forget(&options, PEERS), 0);
        assert_string_equal(options_origin(&options, PEERS, 0, text), "default");
        options_fini(&options);
}

static void what_a_container_platform_sets_is_passed_over(void **state)
{
        (void)state;
        struct options options;
        begin(&options);
        assert_int_equal(ENVIRONMENT(&options, "SPATE_PEERS=2", "SPATE_SERVICE_HOST=10.0.0.1", "SPATE_SERVICE_PORT=1",
                                     "SPATE_SERVICE_PORT_NATS=1", "SPATE_PORT=tcp://10.0.0.1:1",
                                     "SPATE_PORT_4222_TCP=tcp://10.0.0.1:1", "SPATE_PORT_4222_TCP_ADDR=10.0.0.1",
                                     "SPATE_HUB_PORT_80_UDP_PROTO=udp", "SPATE_HUB_SERVICE_HOST=h"),
                         0);
        assert_int_equal(options.passed_over_count, 8);
        assert_string_equal(options.passed_over, "SPATE_SERVICE_HOST=10.0.0.1");
        assert_int_equal(options_number(&options, PEERS), 2);
        static const char *const refused[] = {"SPATE_PORT=4222", "SPATE_TCP=1", "SPATE_PORT_TCP=1", "SPATE_4222_TCP=1",
                                              "SPATE_MYSERVICE_PORT_X=1"};
        for (size_t i = 0; i < array_count(refused); i++)
                assert_int_equal(ENVIRONMENT(&options, refused[i]), -EINVAL);
        options_fini(&options);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_value_of_the_file_has_a_place_and_the_least_weight),
                cmocka_unit_test(what_a_container_platform_sets_is_passed_over),
                cmocka_unit_test(a_zeroed_one_can_be_torn_down),
                cmocka_unit_test(defaults_are_read_from_the_table),
                cmocka_unit_test(units_multiply),
                cmocka_unit_test(flags_end_at_the_first_other_argument),
                cmocka_unit_test(a_flag_beats_the_environment_whatever_is_read_first),
                cmocka_unit_test(a_list_gathers_what_one_source_gives),
                cmocka_unit_test(a_refusal_says_what_where_why_and_what_would_do),
                cmocka_unit_test(the_environment_is_told_by_its_own_names),
                cmocka_unit_test(the_nearest_word_is_near),
                cmocka_unit_test(help_shows_every_row_with_default_and_range),
                cmocka_unit_test(random_arguments_are_taken_or_refused_in_one_line),
                cmocka_unit_test(a_row_says_how_help_the_environment_and_a_number_spell_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
