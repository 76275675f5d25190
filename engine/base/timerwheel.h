/* timerwheel: deadlines by the thousand, each set, moved and cancelled in constant time.
 *
 * A hierarchical wheel with a tick of one millisecond. A timer fires at the first timerwheel_expire() whose
 * `now` is at or past its deadline rounded up to the tick: never early. Belongs to one reactor. The timers are
 * embedded in their owners; the wheel allocates nothing. */
#ifndef SPATE_BASE_TIMERWHEEL_H
#define SPATE_BASE_TIMERWHEEL_H

#include "engine/base/list.h"

#define TIMERWHEEL_TICK_NS ((uint64_t)1000000)
#define TIMERWHEEL_SLOTS 64
#define TIMERWHEEL_LEVELS 6 /* 64^6 ms: about two years; later deadlines are clamped to that */
#define TIMER_NEVER UINT64_MAX

struct timer {
        struct list link;
        uint64_t deadline_ns; /* TIMER_NEVER while it is not set */
};

struct timerwheel {
        uint64_t tick;                        /* the last tick that has been expired */
        uint64_t occupied[TIMERWHEEL_LEVELS]; /* a bit per slot that holds timers */
        struct list slots[TIMERWHEEL_LEVELS][TIMERWHEEL_SLOTS];
        size_t timers_count;
};

/* `now_ns` is the time base of every later call: nanoseconds of a monotonic clock. */
void timerwheel_init(struct timerwheel *wheel, uint64_t now_ns);

/* A timer must be initialised before its first timer_set and cancelled before its memory goes. */
void timer_init(struct timer *timer);
/* Sets or moves it. A deadline in the past fires at the next expire; TIMER_NEVER cancels. */
void timer_set(struct timerwheel *wheel, struct timer *timer, uint64_t deadline_ns);
/* Harmless on a timer that is not set. */
void timer_cancel(struct timerwheel *wheel, struct timer *timer);
static inline bool timer_is_set(const struct timer *timer)
{
        return timer->deadline_ns != TIMER_NEVER;
}

/* No timer fires before this moment; TIMER_NEVER when none is set. May be earlier than the first deadline
 * (a coarse slot that has to be spread out), never later. */
uint64_t timerwheel_next_ns(const struct timerwheel *wheel);

/* Takes out every timer that is due and calls `fire` for each (the timer counts as not set by then; `fire` may set
 * it again and may set or cancel others; what it sets waits for the next call). Returns how many fired. */
size_t timerwheel_expire(struct timerwheel *wheel, uint64_t now_ns, void (*fire)(struct timer *timer, void *context),
                         void *context);

#endif
