/* explainview: what people see of an answer, the exit status, and what is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/cli/explainview.h"

static const char whole[] =
        "{\"subject\":\"a.b\",\"is_taken\":true,\"reason\":null,\"notes\":[],\"matches\":2,\"deliveries\":3,"
        "\"no_responders\":false,\"patterns_more\":1,\"patterns\":[{\"id\":1,\"pattern\":\"a.*\",\"wildcards\":[\"b\"],"
        "\"plain\":2,\"not_permitted\":1,\"groups\":[{\"name\":\"g\\u001b\",\"members\":2,\"not_permitted\":0}],"
        "\"reactors\":[0,2],\"lag_rule\":\"a.>\"}],\"nearest\":[],\"nearest_looked_at\":0,\"reactors\":[{\"reactor\":0,"
        "\"subscriptions\":9,\"is_whole\":true,\"cohorts_more\":0,\"subscribers_more\":1,\"cohorts\":[{\"pattern\":"
        "\"a.*\",\"sid\":\"1\",\"members\":4,\"event_bytes\":13,\"lag_policy\":\"block\",\"lag_limit_bytes\":65536,"
        "\"permission\":{\"allowed\":false,\"list\":\"subscribe.deny\",\"rule\":\"a.b\"}}],\"subscribers\":[]}]}";

static const char whole_shown[] =
        "a.b: 2 patterns match, an event is delivered 3 times\n"
        "  may be published: yes\n"
        "  a request to it: reaches somebody\n"
        "\n"
        "PATTERN  BY     PLAIN                QUEUE GROUPS      LAG RULE  REACTORS\n"
        "a.*      for b  2 (1 may not have it)  g\\x1b: one of 2  a.>       0 2\n"
        "and 1 more\n"
        "\n"
        "reactor 0, 9 subscriptions\n"
        "  a.*  a cohort of 4, sid 1; 13 bytes an event, and its payload; beyond 64 KiB behind: "
        "block; may it have it: no, by subscribe.deny a.b\n"
        "  1 subscriber more\n";

static const char near_by[] =
        "{\"subject\":\"a\",\"is_taken\":false,\"reason\":\"it is "
        "reserved\",\"notes\":[\"x\"],\"matches\":0,\"deliveries\":0,"
        "\"no_responders\":true,\"patterns\":[],\"nearest\":[{\"pattern\":\"A\",\"why\":\"case\"}],\"reactors\":[]}";

static int shown(const char *json, char **text)
{
        size_t size;
        FILE *out = open_memstream(text, &size);
        int code = explainview_print(out, span_of_text(json));
        fclose(out);
        return code;
}

/* Columns are as wide as they need to be; blanks are compared as one. */
static void squeeze(char *text)
{
        char *to = text;
        for (; *text != '\0'; text++)
                if (*text != ' ' || to[-1] != ' ')
                        *to++ = *text;
        *to = '\0';
}

static void an_answer_is_told_in_sentences_and_a_table(void **state)
{
        (void)state;
        char *text, wanted[sizeof whole_shown];
        assert_int_equal(shown(whole, &text), 0);
        memcpy(wanted, whole_shown, sizeof wanted);
        squeeze(wanted);
        squeeze(text);
        assert_string_equal(text, wanted);
        free(text);
}

static void nothing_that_matches_is_an_exit_status_and_a_suggestion(void **state)
{
        (void)state;
        char *text;
        assert_int_equal(shown(near_by, &text), 1);
        assert_string_equal(text, "a: no pattern matches\n  may be published: no, it is reserved\n  note: x\n\n"
                                  "did you mean\n  A   case\n");
        free(text);
        assert_int_equal(explainview_print(NULL, span_of_text(near_by)), 1);
}

static void what_is_no_answer_is_refused_and_not_printed(void **state)
{
        (void)state;
        static const char *const wrong[] = {"",
                                            "{",
                                            "[]",
                                            "{}",
                                            "{\"subject\":1}",
                                            "{\"subject\":\"a\",\"patterns\":{}}",
                                            "{\"subject\":\"a\",\"patterns\":[],\"reactors\":[],\"no_responders\":0}"};
        for (size_t i = 0; i < array_count(wrong); i++) {
                char *text;
                assert_int_equal(shown(wrong[i], &text), -EPROTO);
                assert_string_equal(text, "");
                free(text);
        }
        /* Members that are missing, or of another kind, show as nothing. */
        char *text;
        assert_int_equal(
                shown("{\"subject\":\"a\",\"patterns\":[1,{},[]],\"reactors\":[1,{\"subscriptions\":3,"
                      "\"cohorts\":[{}],\"subscribers\":[{},2]}],\"no_responders\":false,\"notes\":[3],\"matches\":1}",
                      &text),
                0);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_is_told_in_sentences_and_a_table),
                cmocka_unit_test(nothing_that_matches_is_an_exit_status_and_a_suggestion),
                cmocka_unit_test(what_is_no_answer_is_refused_and_not_printed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
