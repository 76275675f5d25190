/* bell: who lies down and finds nothing hears of whatever is pushed from then on. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <ck_pr.h>
#include <cmocka.h>

#include "engine/base/bell.h"
#include "engine/base/bytering.h"
#include "engine/base/random.h"

static void count_wake(void *sleeper)
{
        ++*(int *)sleeper;
}

static void only_a_sleeper_is_woken_and_only_once(void **state)
{
        (void)state;
        struct bell bell;
        int wakes_count = 0;
        bell_init(&bell, count_wake, &wakes_count);
        assert_false(bell_ring(&bell));
        bell_lie_down(&bell);
        assert_true(bell_ring(&bell));
        assert_false(bell_ring(&bell));
        assert_int_equal(wakes_count, 1);
        bell_get_up(&bell);
        assert_false(bell_ring(&bell));
        bell_lie_down(&bell);
        bell_get_up(&bell);
        assert_false(bell_ring(&bell));
        assert_int_equal(wakes_count, 1);
}

#define SENDERS_MAX 2

/* Stores to memory far away: what a core stores next stays in its store buffer for long, and what it loads next does
 * not wait for that. So a fence that is missing shows. */
#define FAR_BYTES ((size_t)32 << 20)
#define FAR_STORES 24

static void store_far_away(volatile uint8_t *far_away, struct random *random)
{
        for (size_t i = 0; i < FAR_STORES; i++)
                far_away[random_next(random) % FAR_BYTES] = 1;
}

struct bedroom {
        struct bell bell;
        struct bytering rings[SENDERS_MAX];
        _Alignas(CACHE_LINE) _Atomic uint64_t received[SENDERS_MAX]; /* told back, so that senders wait for sleep */
        uint64_t pushes_count;                                       /* of each sender */
        uint64_t pauses_max;
        volatile uint8_t *far_away[2]; /* the sleeper's, the sender's; NULL: none */
        int eventfd;
};

struct sender {
        struct bedroom *bedroom;
        size_t number;
};

static void wake_by_eventfd(void *sleeper)
{
        uint64_t one = 1;
        const struct bedroom *bedroom = sleeper;
        if (write(bedroom->eventfd, &one, sizeof(one)) != sizeof(one))
                abort();
}

/* Each push waits until the one before was read, and then for a moment: so most meet the sleeper lying down, asleep or
 * getting up. */
static void *send_all(void *argument)
{
        const struct sender *sender = argument;
        struct bedroom *bedroom = sender->bedroom;
        struct bytering *ring = &bedroom->rings[sender->number];
        struct random random;
        random_init(&random, sender->number);
        for (uint64_t i = 0; i < bedroom->pushes_count; i++) {
                for (int spins = 0; atomic_load_explicit(&bedroom->received[sender->number], memory_order_acquire) < i;
                     spins++)
                        if (spins % 1000 == 999)
                                sched_yield();
                for (uint64_t pauses = random_below(&random, bedroom->pauses_max); pauses > 0; pauses--)
                        ck_pr_stall();
                uint8_t *record = bytering_reserve(ring, sizeof(i));
                memcpy(record, &i, sizeof(i));
                bytering_commit(ring, sizeof(i));
                if (bedroom->far_away[1] != NULL && random_chance(&random, 1, 2))
                        store_far_away(bedroom->far_away[1], &random);
                bytering_publish(ring);
                bell_fence();
                bell_ring(&bedroom->bell);
        }
        return NULL;
}

/* How many there were. */
static uint64_t receive_all(struct bedroom *bedroom, size_t senders_count)
{
        uint64_t count = 0;
        for (size_t i = 0; i < senders_count; i++) {
                struct span record;
                uint64_t told = bedroom->received[i];
                for (; bytering_peek(&bedroom->rings[i], &record); count++) {
                        assert_memory_equal(record.bytes, &told, sizeof(told));
                        told++;
                        bytering_consume(&bedroom->rings[i]);
                }
                bytering_release(&bedroom->rings[i]);
                atomic_store_explicit(&bedroom->received[i], told, memory_order_release);
        }
        return count;
}

static bool is_all_empty(const struct bedroom *bedroom, size_t senders_count)
{
        for (size_t i = 0; i < senders_count; i++)
                if (!bytering_is_empty(&bedroom->rings[i]))
                        return false;
        return true;
}

static void sleep_until_woken(const struct bedroom *bedroom)
{
        uint64_t wakes_count;
        struct pollfd poll_one = {.fd = bedroom->eventfd, .events = POLLIN};
        /* Nobody waits for ten seconds but who was forgotten. */
        assert_int_equal(poll(&poll_one, 1, 10000), 1);
        assert_int_equal(read(bedroom->eventfd, &wakes_count, sizeof(wakes_count)), sizeof(wakes_count));
}

static void send_to_a_sleeper(size_t senders_count, uint64_t pushes_count)
{
        static struct bedroom bedroom;
        struct sender senders[SENDERS_MAX];
        pthread_t threads[SENDERS_MAX];
        memset(&bedroom, 0, sizeof(bedroom));
        bedroom.pushes_count = pushes_count;
        bedroom.pauses_max = 64;
        bedroom.eventfd = eventfd(0, EFD_CLOEXEC);
        assert_true(bedroom.eventfd >= 0);
        bell_init(&bedroom.bell, wake_by_eventfd, &bedroom);
        for (size_t i = 0; i < senders_count; i++)
                assert_int_equal(bytering_init(&bedroom.rings[i], 1), 0);
        for (size_t i = 0; i < senders_count; i++) {
                senders[i] = (struct sender){.bedroom = &bedroom, .number = i};
                assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
        }
        for (uint64_t received = 0; received < senders_count * pushes_count;) {
                received += receive_all(&bedroom, senders_count);
                if (received == senders_count * pushes_count)
                        break;
                bell_lie_down(&bedroom.bell);
                if (is_all_empty(&bedroom, senders_count))
                        sleep_until_woken(&bedroom);
                bell_get_up(&bedroom.bell);
        }
        for (size_t i = 0; i < senders_count; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                bytering_fini(&bedroom.rings[i]);
        }
        close(bedroom.eventfd);
}

static void no_wake_is_lost(void **state)
{
        (void)state;
        send_to_a_sleeper(1, 100000);
}

static void no_wake_of_several_senders_is_lost(void **state)
{
        (void)state;
        send_to_a_sleeper(SENDERS_MAX, 20000);
}

/* The same without the kernel, which orders memory on its own way in and out: the two sides of the handshake alone, as
 * close to each other as they come. The receiver counts as asleep when it would sleep; it must then be rung. */
#define MEETINGS 200000

static _Atomic uint64_t rung_count;

static void ring_by_counter(void *sleeper)
{
        (void)sleeper;
        atomic_fetch_add_explicit(&rung_count, 1, memory_order_relaxed);
}

static void who_would_sleep_is_rung(void **state)
{
        (void)state;
        static struct bedroom bedroom;
        struct sender sender = {.bedroom = &bedroom};
        pthread_t thread;
        struct random random;
        uint64_t lost_count = 0;
        random_init(&random, 99);
        memset(&bedroom, 0, sizeof(bedroom));
        atomic_store(&rung_count, 0);
        bedroom.pushes_count = MEETINGS;
        bedroom.pauses_max = 8;
        for (size_t i = 0; i < 2; i++) {
                uint8_t *far_away = malloc(FAR_BYTES);
                assert_non_null(far_away);
                bedroom.far_away[i] = memset(far_away, 0, FAR_BYTES);
        }
        bell_init(&bedroom.bell, ring_by_counter, NULL);
        assert_int_equal(bytering_init(&bedroom.rings[0], 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, send_all, &sender), 0);
        for (uint64_t received = 0; received < MEETINGS;) {
                uint64_t rung_before = atomic_load_explicit(&rung_count, memory_order_relaxed);
                received += receive_all(&bedroom, 1);
                if (random_chance(&random, 1, 2))
                        store_far_away(bedroom.far_away[0], &random);
                bell_lie_down(&bedroom.bell);
                if (received < MEETINGS && is_all_empty(&bedroom, 1)) {
                        /* Asleep. Whatever comes now must come with a wake, at once or a little later. */
                        int spins = 0;
                        while (is_all_empty(&bedroom, 1))
                                if (++spins % 1000 == 0)
                                        sched_yield();
                        for (spins = 0; atomic_load_explicit(&rung_count, memory_order_relaxed) == rung_before;
                             spins++) {
                                if (spins > 1000)
                                        usleep(1000);
                                if (spins == 6000) {
                                        lost_count++;
                                        break;
                                }
                        }
                        if (lost_count != 0)
                                break;
                }
                bell_get_up(&bedroom.bell);
        }
        if (lost_count != 0) /* let the sender come to its end */
                while (atomic_load(&bedroom.received[0]) < MEETINGS)
                        receive_all(&bedroom, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        bytering_fini(&bedroom.rings[0]);
        for (size_t i = 0; i < 2; i++)
                free((void *)(uintptr_t)bedroom.far_away[i]);
        assert_int_equal(lost_count, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_a_sleeper_is_woken_and_only_once),
                cmocka_unit_test(no_wake_is_lost),
                cmocka_unit_test(no_wake_of_several_senders_is_lost),
                cmocka_unit_test(who_would_sleep_is_rung),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
