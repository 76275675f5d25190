/* flight: a flight recorder: the last things that a reactor did, and what it does now, in memory of a fixed size. For
 * whoever has to find out afterwards why it crashed or hung: engine/postmortem writes it to a file.
 *
 *      now       the turn, when it began, its step, and whose input it is at
 *      own       what befell the reactor itself: the last FLIGHT_RECORDS
 *      peers     who came, who went and why, what was cut
 *      traffic   what happens all the time; each in a ring of its own, so that a flood of the one does not wash away
 *                the other
 *
 * What there is to record is a table of the product (engine/flight_table.h); this file only keeps four words each.
 * Written by its reactor with plain stores, read by anyone at any time: a record that was overwritten while it was read
 * is known by the counts. */
#ifndef SPATE_BASE_FLIGHT_H
#define SPATE_BASE_FLIGHT_H

#include <stdatomic.h>

#include "engine/base/check.h"

#define FLIGHT_RECORDS 2048 /* of a ring; a power of two */

enum flight_ring { FLIGHT_OWN, FLIGHT_PEERS, FLIGHT_TRAFFIC, FLIGHT_RINGS };

/* time_ns; whose; what it is, in the low byte, and a number above it; another number. */
enum { FLIGHT_TIME, FLIGHT_WHO, FLIGHT_WHAT, FLIGHT_MORE, FLIGHT_WORDS };
#define FLIGHT_WHAT_BITS 8
#define FLIGHT_NUMBER_MAX (UINT64_MAX >> FLIGHT_WHAT_BITS)

/* What it does now. */
enum { FLIGHT_TURN, FLIGHT_TURN_BEGAN, FLIGHT_STEP, FLIGHT_AT, FLIGHT_THREAD, FLIGHT_NOW };

struct flight {
        _Atomic uint64_t now[FLIGHT_NOW];
        _Atomic uint64_t counts[FLIGHT_RINGS]; /* records since the start */
        _Atomic uint64_t *words[FLIGHT_RINGS];
};

/* 0 or -ENOMEM. */
int flight_init(struct flight *flight);
/* Accepts one that is zeroed. */
void flight_fini(struct flight *flight);

static inline void flight_put(_Atomic uint64_t *cell, uint64_t value)
{
        atomic_store_explicit(cell, value, memory_order_relaxed);
}

/* The owning reactor only, as all that follow. `number` beyond FLIGHT_NUMBER_MAX loses its highest bits. */
static inline void flight_note(struct flight *flight, enum flight_ring ring, uint64_t time_ns, unsigned what,
                               uint64_t who, uint64_t number, uint64_t more)
{
        uint64_t count = atomic_load_explicit(&flight->counts[ring], memory_order_relaxed);
        _Atomic uint64_t *words = flight->words[ring] + (count & (FLIGHT_RECORDS - 1)) * FLIGHT_WORDS;
        flight_put(&words[FLIGHT_TIME], time_ns);
        flight_put(&words[FLIGHT_WHO], who);
        flight_put(&words[FLIGHT_WHAT], number << FLIGHT_WHAT_BITS | what);
        flight_put(&words[FLIGHT_MORE], more);
        /* Behind it: the last that is counted is whole, also for a handler that interrupts us here. */
        atomic_store_explicit(&flight->counts[ring], count + 1, memory_order_release);
}

/* A new turn. */
static inline void flight_turn(struct flight *flight, uint64_t time_ns)
{
        flight_put(&flight->now[FLIGHT_TURN],
                   atomic_load_explicit(&flight->now[FLIGHT_TURN], memory_order_relaxed) + 1);
        flight_put(&flight->now[FLIGHT_TURN_BEGAN], time_ns);
}

static inline void flight_step(struct flight *flight, unsigned step)
{
        flight_put(&flight->now[FLIGHT_STEP], step);
}

/* Whose input is at hand; 0: nobody's. */
static inline void flight_at(struct flight *flight, uint64_t who)
{
        flight_put(&flight->now[FLIGHT_AT], who);
}

/* The kernel's number of the thread that turns it. */
static inline void flight_take_thread(struct flight *flight, uint64_t thread)
{
        flight_put(&flight->now[FLIGHT_THREAD], thread);
}

/* Any thread, also in a signal handler. */
static inline uint64_t flight_now(const struct flight *flight, unsigned word)
{
        return atomic_load_explicit(&flight->now[word], memory_order_relaxed);
}

/* In front of a copy of the ring and behind it: how many records there have been. Pairs with the release in
 * flight_note(). */
static inline uint64_t flight_count(const struct flight *flight, enum flight_ring ring)
{
        return atomic_load_explicit(&flight->counts[ring], memory_order_acquire);
}

/* Copies `words_count` words of the ring from the word `first` on. */
void flight_copy(const struct flight *flight, enum flight_ring ring, size_t first, uint64_t *words, size_t words_count);

/* Of a copy between two flight_count(): is the record with this number, counted from 0, in it, and whole? The next one,
 * which is not counted yet, may lie over the oldest, and on some processors the one behind it as well. */
static inline bool flight_is_whole(uint64_t number, uint64_t count_before, uint64_t count_after)
{
        return number < count_before && number + FLIGHT_RECORDS > count_after + 1;
}

#endif
