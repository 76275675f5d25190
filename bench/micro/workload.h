/* workload: patterns and subjects to measure matchers with, the same for all of them.
 *
 * A stream yields pairs, for ever and the same for the same workload: a subject, and a pattern that matches it.
 * Subjects are like readings of devices, six tokens and about 42 bytes, unless the workload says otherwise:
 *
 *      reg3.site117.line08.dev004711.sensor2.tmp9
 *
 * Streams repeat themselves where a workload has few patterns, so whoever wants a number of them counts distinct ones.
 */
#ifndef SPATE_BENCH_MICRO_WORKLOAD_H
#define SPATE_BENCH_MICRO_WORKLOAD_H

#include "engine/base/random.h"
#include "engine/base/span.h"

enum workload {
        WORKLOAD_EXACT,
        WORKLOAD_MIXED,   /* nine of ten exact, the rest of seven shapes */
        WORKLOAD_WILD,    /* those seven shapes alone */
        WORKLOAD_IOT,     /* every mask of stars, every tail */
        WORKLOAD_TENANTS, /* the first token is one of 2000 tenants and always there, then every mask */
        WORKLOAD_TAILS,   /* tails behind one to five tokens */
        WORKLOAD_PREFIX,  /* prefixes of five lengths, that know of no tokens */
        /* Attacks, each in front of a thousand harmless patterns: one workload without, for comparison. */
        WORKLOAD_HARMLESS,    /* ten tokens */
        WORKLOAD_MANY_SHAPES, /* 1023 shapes of ten tokens, one pattern each, that matches no subject */
        WORKLOAD_JUNK,        /* 510 shapes, four patterns each, that share the subject's first token only */
        WORKLOAD_UNSELECTIVE, /* 28 shapes of two literals among eight, each literal common */
        WORKLOAD_ALL_MASKS,   /* one subject, and all 1024 patterns of ten tokens that match it */
};

#define WORKLOAD_TEXT_MAX 128

struct workload_text {
        char bytes[WORKLOAD_TEXT_MAX];
        size_t size;
};

struct workload_stream {
        enum workload workload;
        struct random random;
        size_t yielded;
};

static inline struct span workload_span(const struct workload_text *text)
{
        return span_of(text->bytes, text->size);
}

void workload_begin(struct workload_stream *stream, enum workload workload);
void workload_next(struct workload_stream *stream, struct workload_text *subject, struct workload_text *pattern);

/* Are its patterns prefixes of bytes, instead of the tokens that NATS has? */
static inline bool workload_has_prefixes(enum workload workload)
{
        return workload == WORKLOAD_PREFIX;
}

/* How many distinct patterns an attack has; 0: as many as are wanted. */
size_t workload_patterns(enum workload workload);

#endif
