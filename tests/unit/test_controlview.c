/* controlview: an exit status for each answer, and none for what is no such answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "engine/cli/controlview.h"
#include "engine/run.h"

static void each_answer_has_its_exit_status(void **state)
{
        (void)state;
        static const struct {
                const char *json;
                int code;
        } rows[] = {
                {"{\"result\":\"taken\",\"options_changed\":2}", EXIT_OK},
                {"{\"result\":\"taken\",\"options_changed\":0,\"users\":3}", EXIT_OK},
                {"{\"result\":\"taken\",\"options_changed\":0,\"users\":\"3\"}", -EPROTO},
                {"{\"result\":\"draining\"}", EXIT_OK},
                {"{\"result\":\"refused\",\"reason\":\"a.yaml:2:1: no\"}", EXIT_CONFIG},
                {"{\"result\":\"nothing\",\"reason\":\"no file\"}", EXIT_FAILED},
                {"{\"result\":\"taken\"}", -EPROTO},
                {"{\"result\":\"taken\",\"options_changed\":\"2\"}", -EPROTO},
                {"{\"result\":\"refused\"}", -EPROTO},
                {"{\"result\":\"refused\",\"reason\":7}", -EPROTO},
                {"{\"result\":\"?\"}", -EPROTO},
                {"{\"result\":null}", -EPROTO},
                {"[]", -EPROTO},
                {"{\"result\":\"taken\"", -EPROTO},
                {"", -EPROTO},
        };
        for (size_t i = 0; i < array_count(rows); i++)
                if (controlview_print("reload", span_of_text(rows[i].json), true) != rows[i].code)
                        fail_msg("%s", rows[i].json);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(each_answer_has_its_exit_status)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
