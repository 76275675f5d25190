/* bell: how a core that sleeps hears that there is something for it.
 *
 *      sleeper                               sender, one of many
 *      asleep = true      bell_lie_down()    push (a release store)
 *      full fence                            full fence             bell_fence()
 *      anything pushed?   if so, get up      asleep? then wake it   bell_ring()
 *      sleep
 *      asleep = false     bell_get_up()
 *
 * Of the two fences one comes first. If the sleeper's, the sender behind its own reads asleep = true and wakes it; if
 * the sender's, the sleeper behind its own finds what was pushed. Acquire and release cannot give this: each side
 * stores one thing and then loads another, and both loads could be answered before either store is seen. These are the
 * only full fences there are. A sender pays one for all it pushed in a turn, and as long as nobody sleeps it only reads
 * the flag.
 *
 * Of several senders one wakes: who changed the flag. Those who come later may rely on it, for its wake is under way.
 */
#ifndef SPATE_BASE_BELL_H
#define SPATE_BASE_BELL_H

#include <stdatomic.h>

#include "engine/base/check.h"

/* Lives in the sleeper's memory from bell_init() on, and longer than every sender. */
struct bell {
        _Alignas(CACHE_LINE) _Atomic bool is_asleep;
        /* Set before the cores start. */
        void (*wake)(void *sleeper); /* ends the sleep under way, or the next one; from any core */
        void *sleeper;
};

static inline void bell_init(struct bell *bell, void (*wake)(void *sleeper), void *sleeper)
{
        assert(wake != NULL);
        atomic_init(&bell->is_asleep, false);
        bell->wake = wake;
        bell->sleeper = sleeper;
}

/* gcc warns that the thread sanitizer does not understand fences. It need not: what crosses from core to core is
 * ordered by the rings' acquire and release; the fence orders a store before a load, which is no hand-over. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void bell_fence(void)
{
        atomic_thread_fence(memory_order_seq_cst);
}
#if defined(__GNUC__) && !defined(__clang__) && defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif

/* The sleeper, when it has nothing to do: now look once more at everything that others push to, and sleep only if all
 * of it is empty. */
static inline void bell_lie_down(struct bell *bell)
{
        /* Relaxed, and below as well: the flag carries nothing, the fences order it. */
        atomic_store_explicit(&bell->is_asleep, true, memory_order_relaxed);
        bell_fence();
}

/* The sleeper, after sleeping or instead of it. A wake that is under way may still come: it ends a later sleep early.
 */
static inline void bell_get_up(struct bell *bell)
{
        atomic_store_explicit(&bell->is_asleep, false, memory_order_relaxed);
}

/* A sender, behind what it pushed and a bell_fence(). True: it was asleep, and we woke it. */
static inline bool bell_ring(struct bell *bell)
{
        if (likely(!atomic_load_explicit(&bell->is_asleep, memory_order_relaxed)))
                return false;
        if (!atomic_exchange_explicit(&bell->is_asleep, false, memory_order_relaxed))
                return false;
        bell->wake(bell->sleeper);
        return true;
}

#endif
