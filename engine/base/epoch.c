/* epoch: quiescent-state-based reclamation with a number that only rises.
 *
 *      epoch_now            57
 *      readers  [ 57 ][ 55 ][ 0: offline ][ 57 ]      what was retired at 55 or before may go
 *
 * Retiring raises the number; a reader that holds nothing copies it into a cache line of its own. Once every reader
 * that is online shows a number at least as high as a retirement's, none can hold the retired thing: when it read that
 * number it held nothing, and what it has read since was published after the thing was taken away.
 *
 * Why this is our own and not liburcu-qsbr: in 0.13 its grace periods end only inside urcu_qsbr_synchronize_rcu(),
 * which waits, or in the helper thread of urcu_qsbr_call_rcu(), which competes with pinned reactors and runs callbacks
 * away from the core that retires; the polling calls of later versions rest on the same thread. Our question, "have all
 * passed this number", needs no grace period at all. Kept beside liburcu, these counters would leave it nothing to do.
 *
 * No fences: the thread sanitizer does not understand them. Coming online must store our number before reading what
 * is published, while a retirement takes away before it reads our number; both therefore pass through an RMW of
 * epoch_now. Whichever comes second sees what the first did before it: the retiring core our number, or we that the
 * thing is gone. */
#include "engine/base/epoch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define READERS_MAX 1024
#define OFFLINE 0

static_assert(sizeof(unsigned long) == sizeof(uint64_t), "epochs never wrap around");

/* `seen` is written by the thread that speaks as it and read by any; `is_used` changes hands at register and
 * unregister. */
struct epoch_reader {
        _Alignas(CACHE_LINE) _Atomic unsigned long seen;
        _Atomic bool is_used;
};

static _Alignas(CACHE_LINE) _Atomic unsigned long epoch_now = 1;
static struct epoch_reader readers[READERS_MAX];
static _Atomic size_t readers_used_max; /* no reader behind this index was ever used */
static _Thread_local struct epoch_reader *self;

void epoch_register(void)
{
        assert(self == NULL);
        for (size_t i = 0; i < READERS_MAX; i++) {
                bool is_used = false;
                /* Pairs with the release in epoch_unregister(). */
                if (!atomic_compare_exchange_strong_explicit(&readers[i].is_used, &is_used, true, memory_order_acquire,
                                                             memory_order_relaxed))
                        continue;
                size_t used_max = atomic_load_explicit(&readers_used_max, memory_order_relaxed);
                while (used_max < i + 1 &&
                       !atomic_compare_exchange_weak_explicit(&readers_used_max, &used_max, i + 1, memory_order_relaxed,
                                                              memory_order_relaxed))
                        continue;
                self = &readers[i];
                epoch_online();
                return;
        }
        abort(); /* more readers than any machine we plan for has cores */
}

void epoch_unregister(void)
{
        assert(self != NULL);
        epoch_offline();
        atomic_store_explicit(&self->is_used, false, memory_order_release);
        self = NULL;
}

void epoch_quiescent(void)
{
        assert(self != NULL);
        unsigned long seen = atomic_load_explicit(&self->seen, memory_order_relaxed);
        assert(seen != OFFLINE);
        /* Pairs with the release in epoch_retire(): what was taken away by then we cannot find any more. */
        unsigned long now = atomic_load_explicit(&epoch_now, memory_order_acquire);
        if (now != seen)
                atomic_store_explicit(&self->seen, now, memory_order_release);
}

void epoch_offline(void)
{
        assert(self != NULL);
        atomic_store_explicit(&self->seen, OFFLINE, memory_order_release);
}

void epoch_online(void)
{
        assert(self != NULL);
        unsigned long now = atomic_load_explicit(&epoch_now, memory_order_acquire);
        atomic_store_explicit(&self->seen, now, memory_order_release);
        /* The RMW of the opening comment. Pairs with that of epoch_retire(). It adds 1 though 0 would say all that is
         * to be said: clang 14 leaves out an addition of 0 whose result nobody uses, and the order with it. */
        atomic_fetch_add_explicit(&epoch_now, 1, memory_order_acq_rel);
}

struct epoch_reader *epoch_switch(struct epoch_reader *reader)
{
        struct epoch_reader *before = self;
        assert(reader == NULL || atomic_load_explicit(&reader->is_used, memory_order_relaxed));
        self = reader;
        return before;
}

void epoch_bin_init(struct epoch_bin *bin)
{
        list_init(&bin->waiting);
        bin->waiting_count = 0;
}

void epoch_retire(struct epoch_bin *bin, struct epoch_retired *retired, void (*free)(struct epoch_retired *))
{
        retired->free = free;
        /* Pairs with the RMW of epoch_online() and the acquire in epoch_quiescent(). */
        retired->grace = atomic_fetch_add_explicit(&epoch_now, 1, memory_order_acq_rel) + 1;
        list_push_back(&bin->waiting, &retired->link);
        bin->waiting_count++;
}

/* The highest number that every reader has passed. */
static unsigned long epoch_passed(void)
{
        /* Never more than now: a reader may come online while we look at the others. */
        unsigned long passed = atomic_load_explicit(&epoch_now, memory_order_acquire);
        size_t used_max = atomic_load_explicit(&readers_used_max, memory_order_relaxed);
        for (size_t i = 0; i < used_max; i++) {
                /* Pairs with the releases above: that reader's reads are over. */
                unsigned long seen = atomic_load_explicit(&readers[i].seen, memory_order_acquire);
                if (seen != OFFLINE && seen < passed)
                        passed = seen;
        }
        return passed;
}

size_t epoch_collect(struct epoch_bin *bin)
{
        if (list_is_empty(&bin->waiting))
                return 0;
        unsigned long passed = epoch_passed();
        size_t freed_count = 0;
        while (!list_is_empty(&bin->waiting)) {
                struct epoch_retired *retired = list_entry(bin->waiting.next, struct epoch_retired, link);
                if (retired->grace > passed)
                        break;
                list_remove(&retired->link);
                bin->waiting_count--;
                freed_count++;
                retired->free(retired);
        }
        return freed_count;
}

void epoch_drain(struct epoch_bin *bin)
{
        for (unsigned tries = 0; !list_is_empty(&bin->waiting); tries++) {
                /* By contract the caller holds nothing itself. */
                if (self != NULL && atomic_load_explicit(&self->seen, memory_order_relaxed) != OFFLINE)
                        epoch_quiescent();
                if (epoch_collect(bin) > 0)
                        continue;
                if (tries < 100)
                        sched_yield();
                else
                        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
}
