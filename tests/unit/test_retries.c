/* retries: pauses that double and are forgotten, in a time of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "io/retries.h"

#define BEGIN_NS (1000 * NS_PER_S + 12345)

struct sender {
        struct retry retry;
        struct retry_state state;
};

/* It was told writable, and the network takes so much less than all. */
static bool is_put_off(struct retries *retries, struct sender *sender, uint64_t sent_bytes, uint64_t now_ns)
{
        sender->state.told = true;
        return retries_short(retries, &sender->retry, &sender->state, sent_bytes, now_ns);
}

/* Sleeps as a backend does and returns how long that was. */
static uint64_t sleep_until_taken(struct retries *retries, const struct sender *sender, uint64_t *now_ns)
{
        uint64_t began_ns = *now_ns;
        struct retry *retry;
        while ((retry = retries_take(retries, *now_ns)) == NULL) {
                assert_true(retries->next_ns > *now_ns);
                assert_true(retries->next_ns != UINT64_MAX);
                *now_ns = retries->next_ns;
        }
        assert_ptr_equal(retry, &sender->retry);
        assert_false(retry_waits(retry));
        return *now_ns - began_ns;
}

static void nobody_waits_at_first(void **state)
{
        (void)state;
        struct retries retries;
        retries_init(&retries);
        assert_true(retries.next_ns == UINT64_MAX);
        assert_null(retries_take(&retries, UINT64_MAX - 1));
}

static void a_full_buffer_is_no_reason_to_pause(void **state)
{
        (void)state;
        struct retries retries;
        struct sender sender = {0};
        retries_init(&retries);
        retry_init(&sender.retry);
        assert_false(retries_short(&retries, &sender.retry, &sender.state, 0, BEGIN_NS));
        assert_false(retries_short(&retries, &sender.retry, &sender.state, 5, BEGIN_NS));
        assert_false(is_put_off(&retries, &sender, 1, BEGIN_NS));
        assert_false(retry_waits(&sender.retry));
}

static void a_pause_doubles_until_the_network_takes_something(void **state)
{
        (void)state;
        struct retries retries;
        struct sender sender = {0};
        uint64_t now_ns = BEGIN_NS;
        retries_init(&retries);
        retry_init(&sender.retry);
        for (int round = 0; round < 2; round++) {
                for (unsigned i = 0; i < 12; i++) {
                        uint64_t pause_ns = NS_PER_MS << (i < RETRIES_STEPS ? i : RETRIES_STEPS - 1);
                        assert_true(is_put_off(&retries, &sender, 0, now_ns));
                        uint64_t slept_ns = sleep_until_taken(&retries, &sender, &now_ns);
                        assert_true(slept_ns >= pause_ns && slept_ns <= pause_ns + pause_ns / 8);
                }
                /* Some of it, or all. */
                if (round == 0)
                        assert_false(is_put_off(&retries, &sender, 1, now_ns));
                else
                        sender.state = (struct retry_state){0};
        }
        assert_true(is_put_off(&retries, &sender, 0, now_ns));
        assert_true(sleep_until_taken(&retries, &sender, &now_ns) < 2 * NS_PER_MS);
}

static void who_is_gone_is_not_told(void **state)
{
        (void)state;
        struct retries retries;
        struct sender a = {0}, b = {0};
        uint64_t now_ns = BEGIN_NS;
        retries_init(&retries);
        retry_init(&a.retry);
        retry_init(&b.retry);
        assert_true(is_put_off(&retries, &a, 0, now_ns));
        assert_true(is_put_off(&retries, &b, 0, now_ns + NS_PER_MS / 2));
        retry_cancel(&a.retry);
        retry_cancel(&a.retry);
        sleep_until_taken(&retries, &b, &now_ns);
        assert_null(retries_take(&retries, now_ns + NS_PER_S));
        assert_true(retries.next_ns == UINT64_MAX);
}

/* Any number of those that are beyond hope costs no more than so many tries; and each gets its turn. */
static void the_hopeless_share_what_one_second_may_cost(void **state)
{
        (void)state;
        enum { COUNT = 100000 };
        struct retries retries;
        struct sender *senders = calloc(COUNT, sizeof(*senders));
        unsigned *tries = calloc(COUNT, sizeof(*tries));
        assert_non_null(senders);
        assert_non_null(tries);
        retries_init(&retries);
        uint64_t now_ns = BEGIN_NS, total = 0;
        for (unsigned i = 0; i < COUNT; i++) {
                retry_init(&senders[i].retry);
                senders[i].state.step = RETRIES_STEPS - 1;
                assert_true(is_put_off(&retries, &senders[i], 0, now_ns));
        }
        const uint64_t seconds = 20;
        uint64_t wakes = 0;
        for (; now_ns < BEGIN_NS + seconds * NS_PER_S; now_ns = retries.next_ns, wakes++) {
                uint64_t count = 0;
                for (struct retry *retry; (retry = retries_take(&retries, now_ns)) != NULL; count++) {
                        struct sender *sender = container_of(retry, struct sender, retry);
                        tries[sender - senders]++;
                        assert_true(is_put_off(&retries, sender, 0, now_ns));
                }
                assert_true(count <= RETRIES_A_MS * 32);
                total += count;
        }
        assert_true(total <= seconds * 1000 * RETRIES_A_MS);
        assert_true(total >= (seconds - 1) * 1000 * RETRIES_A_MS);
        assert_true(wakes <= seconds * 33);
        for (unsigned i = 0; i < COUNT; i++)
                assert_true(tries[i] >= 2 && tries[i] <= 4);
        free(tries);
        free(senders);
}

/* Against the dumbest right version: who has waited his pause is let go, nobody before. */
static void many_at_random_are_let_go_in_time(void **state)
{
        (void)state;
        enum { COUNT = 200 };
        struct retries retries;
        struct sender senders[COUNT] = {0};
        uint64_t asked_ns[COUNT], pause_ns[COUNT], now_ns = BEGIN_NS;
        struct random random;
        random_init(&random, 7);
        retries_init(&retries);
        for (unsigned i = 0; i < COUNT; i++)
                retry_init(&senders[i].retry);
        for (unsigned turn = 0; turn < 100000; turn++) {
                unsigned i = (unsigned)random_below(&random, COUNT);
                if (retry_waits(&senders[i].retry)) {
                        if (random_below(&random, 20) == 0)
                                retry_cancel(&senders[i].retry);
                } else {
                        asked_ns[i] = now_ns;
                        pause_ns[i] = NS_PER_MS << senders[i].state.step;
                        uint64_t sent_bytes = random_below(&random, 8) == 0;
                        assert_int_equal(is_put_off(&retries, &senders[i], sent_bytes, now_ns), sent_bytes == 0);
                }
                now_ns += random_below(&random, NS_PER_MS);
                for (struct retry *retry; (retry = retries_take(&retries, now_ns)) != NULL;) {
                        unsigned k = (unsigned)(container_of(retry, struct sender, retry) - senders);
                        assert_true(now_ns >= asked_ns[k] + pause_ns[k]);
                }
                for (unsigned k = 0; k < COUNT; k++)
                        if (retry_waits(&senders[k].retry)) {
                                assert_true(now_ns < asked_ns[k] + pause_ns[k] + pause_ns[k] / 8);
                                assert_true(retries.next_ns <= senders[k].retry.due_ns);
                        }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nobody_waits_at_first),
                cmocka_unit_test(a_full_buffer_is_no_reason_to_pause),
                cmocka_unit_test(a_pause_doubles_until_the_network_takes_something),
                cmocka_unit_test(who_is_gone_is_not_told),
                cmocka_unit_test(the_hopeless_share_what_one_second_may_cost),
                cmocka_unit_test(many_at_random_are_let_go_in_time),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
