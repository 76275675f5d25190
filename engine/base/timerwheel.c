/* timerwheel: six wheels of 64 slots. A timer's level is the highest group of six bits in which its tick differs from
 * the wheel's; its slot is that group of its tick:
 *
 *      level 2      level 1      level 0
 *      ······ 000101 001100 110001      wheel->tick
 *      ······ 000101 010000 000111      a timer: level 1, slot 16
 *
 * So all of a level lies behind the wheel's own slot there and before the first occupied slot of the next level: the
 * lowest occupied level holds what comes first, and one bit scan finds it. Nothing is done for ticks where nothing
 * begins: a jump over hours costs what it fires or spreads out, not the hours.
 *
 * Two slots are special. The wheel's own slot of level 0 holds what was set at a deadline already past; the next
 * expire fires it. The last level wraps around, so it also takes a timer whose tick differs in even higher bits, and
 * one further away than its 63 slots waits in the farthest and is placed anew from there, so never fires early. */
#include "engine/base/timerwheel.h"

#include <string.h>

#include "engine/base/bits.h"

#define SLOT_BITS 6
#define SLOT_MASK ((uint64_t)TIMERWHEEL_SLOTS - 1)
#define LEVEL_LAST (TIMERWHEEL_LEVELS - 1)

static_assert(TIMERWHEEL_SLOTS == 1 << SLOT_BITS, "a slot is a group of bits");
static_assert(TIMERWHEEL_SLOTS == 64, "a level's occupied slots are the bits of one word");

/* Where something is to be done next. */
struct moment {
        uint64_t tick;
        unsigned level;
        unsigned slot;
};

static uint64_t tick_of_deadline(uint64_t deadline_ns)
{
        return deadline_ns / TIMERWHEEL_TICK_NS + (deadline_ns % TIMERWHEEL_TICK_NS != 0);
}

static unsigned slot_of(uint64_t tick, unsigned level)
{
        return (unsigned)((tick >> (SLOT_BITS * level)) & SLOT_MASK);
}

void timerwheel_init(struct timerwheel *wheel, uint64_t now_ns)
{
        memset(wheel, 0, sizeof(*wheel));
        wheel->tick = now_ns / TIMERWHEEL_TICK_NS;
        for (unsigned level = 0; level < TIMERWHEEL_LEVELS; level++)
                for (unsigned slot = 0; slot < TIMERWHEEL_SLOTS; slot++)
                        list_init(&wheel->slots[level][slot]);
}

void timer_init(struct timer *timer)
{
        list_init(&timer->link);
        timer->deadline_ns = TIMER_NEVER;
}

/* Puts an unlinked timer where its deadline belongs, seen from the wheel's tick. */
static void place(struct timerwheel *wheel, struct timer *timer)
{
        uint64_t tick = tick_of_deadline(timer->deadline_ns);
        if (tick < wheel->tick)
                tick = wheel->tick;
        uint64_t differs = tick ^ wheel->tick;
        unsigned level = differs == 0 ? 0 : bits_log2_floor(differs) / SLOT_BITS;
        if (unlikely(level >= LEVEL_LAST)) {
                level = LEVEL_LAST;
                uint64_t farthest = (wheel->tick >> (SLOT_BITS * LEVEL_LAST)) + SLOT_MASK;
                if (tick >> (SLOT_BITS * LEVEL_LAST) > farthest)
                        tick = farthest << (SLOT_BITS * LEVEL_LAST);
        }
        unsigned slot = slot_of(tick, level);
        list_push_back(&wheel->slots[level][slot], &timer->link);
        wheel->occupied[level] |= (uint64_t)1 << slot;
}

/* Takes a set timer out of its slot, or out of the list of those that are about to fire. */
static void unplace(struct timerwheel *wheel, struct timer *timer)
{
        struct list *head = timer->link.next;
        bool is_alone = head == timer->link.prev;
        list_remove(&timer->link);
        if (!is_alone)
                return;
        uintptr_t offset = (uintptr_t)head - (uintptr_t)&wheel->slots[0][0];
        if (offset >= sizeof(wheel->slots))
                return;
        size_t index = offset / sizeof(struct list);
        wheel->occupied[index / TIMERWHEEL_SLOTS] &= ~((uint64_t)1 << (index % TIMERWHEEL_SLOTS));
}

void timer_set(struct timerwheel *wheel, struct timer *timer, uint64_t deadline_ns)
{
        timer_cancel(wheel, timer);
        if (deadline_ns == TIMER_NEVER)
                return;
        timer->deadline_ns = deadline_ns;
        wheel->timers_count++;
        place(wheel, timer);
}

void timer_cancel(struct timerwheel *wheel, struct timer *timer)
{
        if (!timer_is_set(timer))
                return;
        assert(wheel->timers_count > 0);
        unplace(wheel, timer);
        timer->deadline_ns = TIMER_NEVER;
        wheel->timers_count--;
}

/* The first slot at which something is due, or has to be spread out. false: no timer is set. */
static bool first_moment(const struct timerwheel *wheel, struct moment *first)
{
        for (unsigned level = 0; level < LEVEL_LAST; level++) {
                if (wheel->occupied[level] == 0)
                        continue;
                unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
                uint64_t rotation = wheel->tick >> (SLOT_BITS * (level + 1));
                uint64_t tick = (rotation << SLOT_BITS | slot) << (SLOT_BITS * level);
                *first = (struct moment){.tick = tick, .level = level, .slot = slot};
                return true;
        }
        uint64_t occupied = wheel->occupied[LEVEL_LAST];
        if (occupied == 0)
                return false;
        /* Turned so that bit 0 is the wheel's own slot, which is always empty here. */
        uint64_t group = wheel->tick >> (SLOT_BITS * LEVEL_LAST);
        unsigned own = (unsigned)(group & SLOT_MASK);
        uint64_t turned = occupied >> own | occupied << ((TIMERWHEEL_SLOTS - own) & SLOT_MASK);
        unsigned distance = (unsigned)__builtin_ctzll(turned);
        assert(distance > 0);
        *first = (struct moment){.tick = (group + distance) << (SLOT_BITS * LEVEL_LAST),
                                 .level = LEVEL_LAST,
                                 .slot = (unsigned)((own + distance) & SLOT_MASK)};
        return true;
}

uint64_t timerwheel_next_ns(const struct timerwheel *wheel)
{
        struct moment first;
        if (!first_moment(wheel, &first))
                return TIMER_NEVER;
        uint64_t next_ns;
        if (__builtin_mul_overflow(first.tick, TIMERWHEEL_TICK_NS, &next_ns))
                return TIMER_NEVER - 1;
        return next_ns;
}

size_t timerwheel_expire(struct timerwheel *wheel, uint64_t now_ns, void (*fire)(struct timer *timer, void *context),
                         void *context)
{
        uint64_t now = now_ns / TIMERWHEEL_TICK_NS;
        if (now < wheel->tick)
                return 0;

        /* All that is due is gathered before the first fires: what `fire` sets is seen from `now` and waits for the
         * next call, so a timer that sets itself to a moment long past cannot hold us here. */
        struct list due;
        struct moment first;
        list_init(&due);
        while (first_moment(wheel, &first) && first.tick <= now) {
                struct list *slot = &wheel->slots[first.level][first.slot];
                wheel->tick = first.tick;
                wheel->occupied[first.level] &= ~((uint64_t)1 << first.slot);
                if (first.level == 0) {
                        list_splice_back(&due, slot);
                        continue;
                }
                struct list spread;
                list_init(&spread);
                list_splice_back(&spread, slot);
                list_for_each(&spread, link)
                {
                        list_remove(link);
                        place(wheel, list_entry(link, struct timer, link));
                }
        }
        wheel->tick = now;

        size_t fired_count = 0;
        while (!list_is_empty(&due)) {
                struct timer *timer = list_entry(due.next, struct timer, link);
                list_remove(&timer->link);
                timer->deadline_ns = TIMER_NEVER;
                wheel->timers_count--;
                fired_count++;
                fire(timer, context);
        }
        return fired_count;
}
