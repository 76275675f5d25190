/* epoch: nothing is freed while somebody may hold it, and everything is once nobody can. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ck_pr.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/base/random.h"

struct thing {
        struct epoch_retired retired;
        uint64_t step; /* when it was retired */
        bool is_freed;
};

static size_t freed_count;

static void mark_freed(struct epoch_retired *retired)
{
        struct thing *thing = container_of(retired, struct thing, retired);
        assert_false(thing->is_freed);
        thing->is_freed = true;
        freed_count++;
}

static void without_readers_all_may_go_at_once(void **state)
{
        (void)state;
        struct epoch_bin bin;
        struct thing things[3] = {0};
        epoch_bin_init(&bin);
        assert_int_equal(epoch_collect(&bin), 0);
        for (size_t i = 0; i < 3; i++)
                epoch_retire(&bin, &things[i].retired, mark_freed);
        assert_int_equal(bin.waiting_count, 3);
        assert_false(things[0].is_freed);
        assert_int_equal(epoch_collect(&bin), 3);
        assert_int_equal(bin.waiting_count, 0);
        assert_true(things[2].is_freed);
}

static void what_the_retiring_core_may_hold_itself_waits_for_its_turn_to_end(void **state)
{
        (void)state;
        struct epoch_bin bin;
        struct thing thing = {0};
        epoch_bin_init(&bin);
        epoch_register();
        epoch_retire(&bin, &thing.retired, mark_freed);
        assert_int_equal(epoch_collect(&bin), 0);
        epoch_quiescent();
        assert_false(thing.is_freed);
        assert_int_equal(epoch_collect(&bin), 1);
        assert_true(thing.is_freed);
        thing.is_freed = false;
        epoch_retire(&bin, &thing.retired, mark_freed);
        epoch_offline();
        assert_int_equal(epoch_collect(&bin), 1);
        epoch_online();
        epoch_unregister();
}

/* Registers one more reader on this thread, which then speaks as it. */
static struct epoch_reader *another_reader(void)
{
        epoch_switch(NULL);
        epoch_register();
        struct epoch_reader *reader = epoch_switch(NULL);
        assert_null(epoch_switch(reader));
        return reader;
}

static void of_two_readers_on_one_thread_each_must_pass(void **state)
{
        (void)state;
        struct epoch_bin bin;
        struct thing things[3] = {0};
        epoch_bin_init(&bin);
        struct epoch_reader *one = another_reader(), *two = another_reader();
        assert_true(one != two);
        epoch_retire(&bin, &things[0].retired, mark_freed);
        epoch_quiescent();
        assert_int_equal(epoch_collect(&bin), 0); /* the one whose turn it is not */
        assert_ptr_equal(epoch_switch(one), two);
        assert_int_equal(epoch_collect(&bin), 0); /* being switched to is no passing */
        epoch_quiescent();
        assert_int_equal(epoch_collect(&bin), 1);

        /* Asleep, it is not waited for, whoever's turn it is; awake again, it is. */
        epoch_retire(&bin, &things[1].retired, mark_freed);
        epoch_offline();
        epoch_switch(two);
        epoch_quiescent();
        assert_int_equal(epoch_collect(&bin), 1);
        epoch_switch(one);
        epoch_online();
        epoch_switch(two);
        epoch_retire(&bin, &things[2].retired, mark_freed);
        epoch_quiescent();
        assert_int_equal(epoch_collect(&bin), 0);
        epoch_unregister();
        assert_null(epoch_switch(one));
        epoch_unregister();
        assert_int_equal(epoch_collect(&bin), 1);
        assert_null(epoch_switch(NULL));
}

static struct epoch_bin chain_bin;
static struct thing chain[10];

static void retire_next(struct epoch_retired *retired)
{
        size_t i = (size_t)(container_of(retired, struct thing, retired) - chain);
        mark_freed(retired);
        if (i + 1 < array_count(chain))
                epoch_retire(&chain_bin, &chain[i + 1].retired, retire_next);
}

static void a_callback_may_retire_and_that_waits_again(void **state)
{
        (void)state;
        epoch_bin_init(&chain_bin);
        epoch_register();
        epoch_retire(&chain_bin, &chain[0].retired, retire_next);
        for (size_t i = 0; i < 5; i++) {
                epoch_quiescent();
                assert_int_equal(epoch_collect(&chain_bin), 1);
                assert_true(chain[i].is_freed);
                assert_false(chain[i + 1].is_freed);
        }
        epoch_drain(&chain_bin);
        assert_true(chain[9].is_freed);
        assert_int_equal(chain_bin.waiting_count, 0);
        epoch_unregister();
}

/* Readers on strings: threads that do what they are told, one order at a time, so the moment at which each reader
 * passed is known and the model can be exact. Every thread has two, as a simulation has. */
enum order { ORDER_NONE, ORDER_REGISTER, ORDER_UNREGISTER, ORDER_QUIESCENT, ORDER_OFFLINE, ORDER_ONLINE, ORDER_STOP };

#define PUPPETS 4
#define READERS_EACH 2
#define READERS (PUPPETS * READERS_EACH)
#define THINGS 4000

struct puppet {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        enum order order;
        size_t as; /* which of its readers the order is for */
        struct epoch_reader *readers[READERS_EACH];
};

/* What the model knows of a reader. */
struct model {
        bool is_registered;
        bool is_online;
        uint64_t passed_step;
};

static void *puppet_run(void *argument)
{
        struct puppet *puppet = argument;
        pthread_mutex_lock(&puppet->lock);
        for (;;) {
                while (puppet->order == ORDER_NONE)
                        pthread_cond_wait(&puppet->changed, &puppet->lock);
                enum order order = puppet->order;
                epoch_switch(puppet->readers[puppet->as]);
                switch (order) {
                case ORDER_REGISTER:
                        epoch_register();
                        break;
                case ORDER_UNREGISTER:
                        epoch_unregister();
                        break;
                case ORDER_QUIESCENT:
                        epoch_quiescent();
                        break;
                case ORDER_OFFLINE:
                        epoch_offline();
                        break;
                case ORDER_ONLINE:
                        epoch_online();
                        break;
                default:
                        break;
                }
                puppet->readers[puppet->as] = epoch_switch(NULL);
                puppet->order = ORDER_NONE;
                pthread_cond_signal(&puppet->changed);
                if (order == ORDER_STOP)
                        break;
        }
        pthread_mutex_unlock(&puppet->lock);
        return NULL;
}

static void puppet_do(struct puppet *puppet, size_t as, enum order order)
{
        pthread_mutex_lock(&puppet->lock);
        puppet->as = as;
        puppet->order = order;
        pthread_cond_signal(&puppet->changed);
        while (puppet->order != ORDER_NONE)
                pthread_cond_wait(&puppet->changed, &puppet->lock);
        pthread_mutex_unlock(&puppet->lock);
}

static void exactly_what_all_readers_have_passed_is_freed(void **state)
{
        (void)state;
        static struct puppet puppets[PUPPETS];
        static struct thing things[THINGS];
        struct model readers[READERS] = {0};
        struct epoch_bin bin;
        struct random random;
        size_t retired_count = 0, collected_count = 0;
        random_init(&random, 9);
        epoch_bin_init(&bin);
        for (size_t i = 0; i < PUPPETS; i++) {
                pthread_mutex_init(&puppets[i].lock, NULL);
                pthread_cond_init(&puppets[i].changed, NULL);
                assert_int_equal(pthread_create(&puppets[i].thread, NULL, puppet_run, &puppets[i]), 0);
        }
        uint64_t step = 1;
        for (; retired_count < THINGS; step++) {
                if (random_chance(&random, 1, 2)) {
                        things[retired_count] = (struct thing){.step = step};
                        epoch_retire(&bin, &things[retired_count++].retired, mark_freed);
                        continue;
                }
                size_t which = random_below(&random, READERS), as = which % READERS_EACH;
                struct puppet *puppet = &puppets[which / READERS_EACH];
                struct model *reader = &readers[which];
                reader->passed_step = step;
                if (!reader->is_registered) {
                        puppet_do(puppet, as, ORDER_REGISTER);
                        reader->is_registered = reader->is_online = true;
                } else if (random_chance(&random, 1, 10)) {
                        puppet_do(puppet, as, ORDER_UNREGISTER);
                        reader->is_registered = reader->is_online = false;
                } else if (!reader->is_online) {
                        puppet_do(puppet, as, ORDER_ONLINE);
                        reader->is_online = true;
                } else if (random_chance(&random, 1, 5)) {
                        puppet_do(puppet, as, ORDER_OFFLINE);
                        reader->is_online = false;
                } else {
                        puppet_do(puppet, as, ORDER_QUIESCENT);
                }
                /* The dumbest right version: everything retired before the last passing of everyone who is online. */
                uint64_t all_passed = step;
                for (size_t i = 0; i < READERS; i++)
                        if (readers[i].is_online && readers[i].passed_step < all_passed)
                                all_passed = readers[i].passed_step;
                collected_count += epoch_collect(&bin);
                for (size_t i = 0; i < retired_count; i++)
                        assert_int_equal(things[i].is_freed, things[i].step <= all_passed);
                assert_int_equal(bin.waiting_count, retired_count - collected_count);
        }
        for (size_t i = 0; i < READERS; i++)
                if (readers[i].is_registered)
                        puppet_do(&puppets[i / READERS_EACH], i % READERS_EACH, ORDER_UNREGISTER);
        for (size_t i = 0; i < PUPPETS; i++) {
                puppet_do(&puppets[i], 0, ORDER_STOP);
                assert_int_equal(pthread_join(puppets[i].thread, NULL), 0);
        }
        epoch_drain(&bin);
        assert_int_equal(bin.waiting_count, 0);
        for (size_t i = 0; i < THINGS; i++)
                assert_true(things[i].is_freed);
}

/* Two cores publish and retire, all read what both publish, and sleep and come back at random. Freed memory is
 * written over, so a reader that gets too old a thing sees it without a sanitizer, too. */
struct shared {
        struct epoch_retired retired;
        uint64_t value;
        uint64_t check; /* ~value while it lives */
};

#define WRITERS 2
#define RACERS 4
#define ROUNDS 15000

static struct shared *_Atomic published[WRITERS];

static void shared_free(struct epoch_retired *retired)
{
        struct shared *shared = container_of(retired, struct shared, retired);
        shared->check = shared->value;
        free(shared);
}

static struct shared *shared_new(uint64_t value)
{
        struct shared *shared = calloc(1, sizeof(*shared));
        assert_non_null(shared);
        shared->value = value;
        shared->check = ~value;
        return shared;
}

static void read_all(void)
{
        for (size_t i = 0; i < WRITERS; i++) {
                struct shared *shared = atomic_load_explicit(&published[i], memory_order_acquire);
                if (shared != NULL && shared->check != ~shared->value)
                        abort();
        }
}

static void *race(void *argument)
{
        size_t me = (size_t)(uintptr_t)argument;
        struct epoch_bin bin;
        struct random random;
        random_init(&random, me);
        epoch_bin_init(&bin);
        epoch_register();
        for (uint64_t round = 0; round < ROUNDS; round++) {
                read_all();
                if (me < WRITERS) {
                        struct shared *old =
                                atomic_exchange_explicit(&published[me], shared_new(round), memory_order_acq_rel);
                        if (old != NULL)
                                epoch_retire(&bin, &old->retired, shared_free);
                }
                read_all();
                epoch_quiescent();
                epoch_collect(&bin);
                if (random_chance(&random, 1, 20)) {
                        epoch_offline();
                        epoch_online();
                } else if (random_chance(&random, 1, 100)) {
                        epoch_unregister();
                        epoch_register();
                }
        }
        if (me < WRITERS) {
                struct shared *old = atomic_exchange_explicit(&published[me], NULL, memory_order_acq_rel);
                epoch_retire(&bin, &old->retired, shared_free);
        }
        /* Others still read, and some have left: draining gets through all the same. */
        epoch_drain(&bin);
        epoch_unregister();
        return NULL;
}

static void no_racing_reader_ever_sees_a_freed_thing(void **state)
{
        (void)state;
        pthread_t threads[RACERS];
        for (size_t i = 0; i < RACERS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, race, (void *)(uintptr_t)i), 0);
        for (size_t i = 0; i < RACERS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* The narrowest place: a reader comes online while the only thing it can find is taken away. Nothing here takes a
 * lock or the heap, so the two meet as often as they can; and the reader first stores to memory far away, so what it
 * stores next stays in its processor's store buffer for long. */
struct marked {
        struct epoch_retired retired;
        _Atomic bool is_alive;
};

#define MEETINGS 100000
#define FAR_BYTES ((size_t)32 << 20)
#define FAR_STORES 24

static struct marked marked[2];
static struct marked *_Atomic marked_now;
static _Atomic bool meeting_is_over;

static void marked_free(struct epoch_retired *retired)
{
        atomic_store_explicit(&container_of(retired, struct marked, retired)->is_alive, false, memory_order_relaxed);
}

static void *replace_often(void *argument)
{
        struct epoch_bin bin;
        (void)argument;
        epoch_bin_init(&bin);
        for (size_t i = 0; !atomic_load_explicit(&meeting_is_over, memory_order_relaxed); i = 1 - i) {
                atomic_store_explicit(&marked[i].is_alive, true, memory_order_relaxed);
                struct marked *old = atomic_exchange_explicit(&marked_now, &marked[i], memory_order_acq_rel);
                epoch_retire(&bin, &old->retired, marked_free);
                while (epoch_collect(&bin) == 0)
                        continue;
        }
        return NULL;
}

static void a_reader_that_wakes_up_holds_what_it_finds(void **state)
{
        (void)state;
        pthread_t writer;
        struct random random;
        size_t dead_count = 0;
        volatile uint8_t *far_away = malloc(FAR_BYTES);
        assert_non_null(far_away);
        memset((void *)(uintptr_t)far_away, 0, FAR_BYTES);
        random_init(&random, 11);
        atomic_store(&marked[1].is_alive, true);
        atomic_store(&marked_now, &marked[1]);
        epoch_register();
        epoch_offline();
        assert_int_equal(pthread_create(&writer, NULL, replace_often, NULL), 0);
        for (size_t meeting = 0; meeting < MEETINGS; meeting++) {
                for (size_t i = 0; i < FAR_STORES; i++)
                        far_away[random_next(&random) % FAR_BYTES] = 1;
                epoch_online();
                struct marked *found = atomic_load_explicit(&marked_now, memory_order_acquire);
                for (uint64_t pauses = random_next(&random) % 16; pauses > 0; pauses--)
                        ck_pr_stall();
                dead_count += !atomic_load_explicit(&found->is_alive, memory_order_relaxed);
                epoch_offline();
        }
        atomic_store(&meeting_is_over, true);
        assert_int_equal(pthread_join(writer, NULL), 0);
        epoch_unregister();
        free((void *)(uintptr_t)far_away);
        assert_int_equal(dead_count, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(without_readers_all_may_go_at_once),
                cmocka_unit_test(what_the_retiring_core_may_hold_itself_waits_for_its_turn_to_end),
                cmocka_unit_test(of_two_readers_on_one_thread_each_must_pass),
                cmocka_unit_test(a_callback_may_retire_and_that_waits_again),
                cmocka_unit_test(exactly_what_all_readers_have_passed_is_freed),
                cmocka_unit_test(no_racing_reader_ever_sees_a_freed_thing),
                cmocka_unit_test(a_reader_that_wakes_up_holds_what_it_finds),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
