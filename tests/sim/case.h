/* case: one run of the simulated world: its seed, and what is left out of what the seed says. It is a line of
 * arguments, which replays it: printed where it fails, kept in tests/sim/seeds, made shorter by shrinking. */
#ifndef SPATE_SIM_CASE_H
#define SPATE_SIM_CASE_H

#include <stdio.h>

#include "engine/base/check.h"
#include "tests/sim/twist_table.h"

#define CASE_SKIPS_MAX 256
#define CASE_WITHOUT ((uint32_t)1 << TWIST_NO_MEMORY)
#define CASE_TEXT_BYTES 8192

/* Acts `first` .. `last` are not done. */
struct case_skip {
        uint32_t first, last;
};

struct sim_case {
        uint64_t seed;
        uint32_t without;  /* bit enum twist; what does not hold yet is left out, unless it is asked for */
        unsigned reactors; /* 0: as many as the seed says */
        unsigned clients;  /* at the start; 0: as many as the seed says */
        uint32_t rounds;   /* 0: until all events are published */
        size_t skips_count;
        struct case_skip skips[CASE_SKIPS_MAX]; /* in order */
};

static inline bool case_has(const struct sim_case *sim_case, enum twist twist)
{
        return (sim_case->without & (uint32_t)1 << twist) == 0;
}

bool case_skips(const struct sim_case *sim_case, uint32_t act);
/* "--seed 7 --clients 3 --without split,reset --skip 4-17,30-30" */
void case_text(const struct sim_case *sim_case, char text[CASE_TEXT_BYTES]);
/* Takes `name` "--seed" and its value; false: it is not of a case, or the value is wrong. */
bool case_take(struct sim_case *sim_case, const char *name, const char *value);
/* Reads a line of arguments. */
bool case_parse(struct sim_case *sim_case, const char *line);

const char *twist_name(enum twist twist);
const char *twist_meaning(enum twist twist);

#endif
