/* check: assertions that stay on in release, and the few words of C that every file wants.
 *
 * assert() guards the door of a batch; assert_slow() guards the inside of a per-message loop and is
 * compiled in only with -Dslow_asserts=true. A peer's mistake is never an assert: it is an error value. */
#ifndef SPATE_BASE_CHECK_H
#define SPATE_BASE_CHECK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef NDEBUG
#error "spate keeps its assertions in release builds: do not define NDEBUG"
#endif

#ifdef SPATE_SLOW_ASSERTS
#define assert_slow(fact) assert(fact)
#else
#define assert_slow(fact) ((void)0)
#endif

#define likely(fact) __builtin_expect(!!(fact), 1)
#define unlikely(fact) __builtin_expect(!!(fact), 0)

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* The object of `type` whose `member` is at `pointer`. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* One cache line; what two cores write is kept this far apart. */
#define CACHE_LINE 64

#endif
