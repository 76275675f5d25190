/* lag: which policy a subscription gets, and what is said of rules that mean nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/lag.h"

#define MIB ((uint64_t)1 << 20)

static const struct lag usual = {.policy = LAG_DISCONNECT, .limit_bytes = 16 * MIB};

static void read_rules(struct lag_rules *rules, const char *rules_text, const char *listeners_text)
{
        char error[OPTIONS_ERROR_BYTES] = "";
        if (lag_rules_init(rules, usual, 512 * MIB, rules_text, listeners_text, error) != 0)
                fail_msg("%s", error);
}

static void a_pattern_covers_those_that_match_nothing_else(void **state)
{
        (void)state;
        static const struct {
                const char *cover, *pattern;
                bool covers;
        } rows[] = {
                {">", "a", true},           {">", ">", true},        {">", "*.>", true},       {"*", "a", true},
                {"*", "*", true},           {"*", ">", false},       {"*", "a.b", false},      {"a", "a", true},
                {"a", "b", false},          {"a", "*", false},       {"a", "aa", false},       {"a.>", "a.b", true},
                {"a.>", "a.b.c", true},     {"a.>", "a.*", true},    {"a.>", "a.>", true},     {"a.>", "a", false},
                {"a.>", "*.>", false},      {"a.>", ">", false},     {"a.*.c", "a.b.c", true}, {"a.*.c", "a.*.c", true},
                {"a.*.c", "a.>", false},    {"a.*.c", "a.b", false}, {"*.*", "*.>", false},    {"*.>", ">", false},
                {"*.>", "*.*", true},       {"*.>", "a.>", true},    {"a.b", "a.b.c", false},  {"a.b.c", "a.b", false},
                {"a.*.>", "a.b.c.d", true}, {"a.*.>", "a.b", false},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (lag_pattern_covers(span_of_text(rows[i].cover), span_of_text(rows[i].pattern)) != rows[i].covers)
                        fail_msg("does %s cover %s?", rows[i].cover, rows[i].pattern);
}

/* All patterns and subjects of up to three tokens of {a, b}: what covers is what matches every subject. A depth of four
 * stands for all that a '>' may reach. */
static bool token_matches(const char *pattern, const char *subject)
{
        for (;; pattern += 2, subject += 2) {
                if (*pattern == '>')
                        return true;
                if (*pattern != '*' && *pattern != *subject)
                        return false;
                if (pattern[1] == '\0' || subject[1] == '\0')
                        return pattern[1] == subject[1];
        }
}

static size_t write_all(char texts[][10], const char *tokens, size_t depth_max)
{
        size_t count = 0, letters = strlen(tokens);
        for (size_t depth = 1; depth <= depth_max; depth++) {
                size_t sum = 1;
                for (size_t i = 0; i < depth; i++)
                        sum *= letters;
                for (size_t number = 0; number < sum; number++) {
                        size_t rest = number;
                        bool is_legal = true;
                        for (size_t i = 0; i < depth; i++, rest /= letters) {
                                texts[count][2 * i] = tokens[rest % letters];
                                texts[count][2 * i + 1] = i + 1 < depth ? '.' : '\0';
                                is_legal &= tokens[rest % letters] != '>' || i + 1 == depth;
                        }
                        count += is_legal;
                }
        }
        return count;
}

static void covering_is_matching_every_subject(void **state)
{
        (void)state;
        static char patterns[200][10], subjects[400][10];
        size_t patterns_count = write_all(patterns, "ab*>", 3), subjects_count = write_all(subjects, "abc", 4);
        for (size_t i = 0; i < patterns_count; i++)
                for (size_t j = 0; j < patterns_count; j++) {
                        bool covers = true;
                        for (size_t k = 0; k < subjects_count; k++)
                                covers &= !token_matches(patterns[j], subjects[k]) ||
                                          token_matches(patterns[i], subjects[k]);
                        if (lag_pattern_covers(span_of_text(patterns[i]), span_of_text(patterns[j])) != covers)
                                fail_msg("does %s cover %s?", patterns[i], patterns[j]);
                }
}

static void the_first_rule_that_covers_applies_and_else_the_listener(void **state)
{
        (void)state;
        struct lag_rules rules;
        read_rules(&rules, "telemetry.slow.>=block,128KiB,telemetry.>=drop-oldest,1MiB,prices.*=conflate", "");
        struct lag lag = lag_resolve(&rules, LAG_DISCONNECT, SPAN("telemetry.slow.a"));
        assert_int_equal(lag.policy, LAG_BLOCK);
        assert_int_equal(lag.limit_bytes, 128 << 10);
        lag = lag_resolve(&rules, LAG_DISCONNECT, SPAN("telemetry.*"));
        assert_int_equal(lag.policy, LAG_DROP_OLDEST);
        assert_int_equal(lag.limit_bytes, MIB);
        lag = lag_resolve(&rules, LAG_DISCONNECT, SPAN("prices.eur"));
        assert_int_equal(lag.policy, LAG_CONFLATE);
        assert_int_equal(lag.limit_bytes, 16 * MIB);
        lag = lag_resolve(&rules, LAG_DROP_OLDEST, SPAN(">"));
        assert_int_equal(lag.policy, LAG_DROP_OLDEST);
        assert_int_equal(lag.limit_bytes, 16 * MIB);
        assert_int_equal(lag_limit_bytes_min(&rules), 128 << 10);
        assert_int_equal(lag_policies_in_use(&rules),
                         1u << LAG_DISCONNECT | 1u << LAG_DROP_OLDEST | 1u << LAG_CONFLATE | 1u << LAG_BLOCK);
        read_rules(&rules, "", "");
        assert_int_equal(lag_policies_in_use(&rules), 1u << LAG_DISCONNECT);
        assert_int_equal(lag_limit_bytes_min(&rules), 16 * MIB);
}

static void a_listener_may_have_a_policy_of_its_own(void **state)
{
        (void)state;
        struct lag_rules rules;
        char error[OPTIONS_ERROR_BYTES] = "";
        read_rules(&rules, "", "127.0.0.1:4223=conflate,unix:/tmp/a=b=block");
        assert_int_equal(lag_default_of(&rules, SPAN("127.0.0.1:4222")), LAG_DISCONNECT);
        assert_int_equal(lag_default_of(&rules, SPAN("127.0.0.1:4223")), LAG_CONFLATE);
        assert_int_equal(lag_default_of(&rules, SPAN("unix:/tmp/a=b")), LAG_BLOCK);
        assert_int_equal(lag_default_of(NULL, SPAN("127.0.0.1:4223")), LAG_DISCONNECT);
        assert_int_equal(lag_rules_check_listeners(&rules, "127.0.0.1:4223,unix:/tmp/a=b", error), 0);
        assert_int_equal(lag_rules_check_listeners(&rules, "127.0.0.1:4223", error), -EINVAL);
        assert_string_equal(error, "--lag-listener \"unix:/tmp/a=b\": nobody listens there; write it as --listen does, "
                                   "which has 127.0.0.1:4223");
}

static void a_bad_rule_is_refused_with_what_would_do(void **state)
{
        (void)state;
        static const struct {
                const char *rules, *listeners, *said;
        } rows[] = {
                {"a", "", "neither a rule nor the limit of one"},
                {"=conflate", "", "it is not PATTERN=POLICY"},
                {"a..b=conflate", "", "not a pattern"},
                {"a.>.b=conflate", "", "not a pattern"},
                {"a b=conflate", "", "not a pattern"},
                {"a=", "", "it is empty"},
                {"a=drop-oldes", "", "did you mean drop-oldest?"},
                {"a=conflate,", "", "nothing stands behind its last comma"},
                {"a=conflate,,b=block", "", "it is empty"},
                {"a=conflate,1KiB", "", "less than 64KiB"},
                {"a=conflate,1TiB", "", "more than 512MiB"},
                {"a=conflate,1XB", "", "XB is not a unit"},
                {"a=conflate,1MiB,2MiB", "", "neither a rule nor the limit"},
                {"a.>=conflate,a.b=block", "", "put the narrower one first"},
                {"a=conflate,a=block", "", "can never apply"},
                {"", "x", "it is not ADDRESS=POLICY"},
                {"", "x=y", "disconnect, drop-oldest, conflate or block"},
                {"", "x=block,x=block", "name it once"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct lag_rules rules;
                char error[OPTIONS_ERROR_BYTES] = "";
                int failed = lag_rules_init(&rules, usual, 512 * MIB, rows[i].rules, rows[i].listeners, error);
                assert_int_equal(failed, rows[i].said == NULL ? 0 : -EINVAL);
                if (rows[i].said != NULL && strstr(error, rows[i].said) == NULL)
                        fail_msg("'%s' '%s': %s", rows[i].rules, rows[i].listeners, error);
        }
}

static void there_are_no_more_rules_than_there_is_room(void **state)
{
        (void)state;
        char text[LAG_RULES_MAX * 20] = "";
        char error[OPTIONS_ERROR_BYTES] = "";
        struct lag_rules rules;
        size_t size = 0;
        for (int i = 0; i < LAG_RULES_MAX; i++)
                size += (size_t)snprintf(text + size, sizeof text - size, "%sa%d=block", i == 0 ? "" : ",", i);
        read_rules(&rules, text, "");
        assert_int_equal(rules.rules_count, LAG_RULES_MAX);
        snprintf(text + size, sizeof text - size, ",b=block");
        assert_int_equal(lag_rules_init(&rules, usual, 512 * MIB, text, "", error), -EINVAL);
        assert_non_null(strstr(error, "as many as there may be"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_pattern_covers_those_that_match_nothing_else),
                cmocka_unit_test(covering_is_matching_every_subject),
                cmocka_unit_test(the_first_rule_that_covers_applies_and_else_the_listener),
                cmocka_unit_test(a_listener_may_have_a_policy_of_its_own),
                cmocka_unit_test(a_bad_rule_is_refused_with_what_would_do),
                cmocka_unit_test(there_are_no_more_rules_than_there_is_room),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
