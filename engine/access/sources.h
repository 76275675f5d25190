/* sources: where connections come from and how often they were wrong lately: who has to wait, who is kept out.
 *
 * A source is an IPv4 address, the first half of an IPv6 address (its other half is the visitor's own choice), or the
 * UNIX sockets of this machine together. The table is bounded: where it is full, the source heard of longest ago is
 * forgotten, and one that is kept out last of all. Keyed, so that nobody picks addresses that crowd one corner.
 *
 * Belongs to one thread. */
#ifndef SPATE_ENGINE_ACCESS_SOURCES_H
#define SPATE_ENGINE_ACCESS_SOURCES_H

#include "engine/base/clock.h"
#include "engine/base/span.h"

struct source {
        uint8_t bytes[16];
};

/* Of an address as io hands it out: "127.0.0.1:1234", "[::1]:1234", anything else is local. */
struct source source_of(struct span address);
/* For a log line; returns `out`. */
const char *source_text(struct source source, char *out, size_t out_size);

#define SOURCES_WINDOW_NS (60 * NS_PER_S)
#define SOURCES_DELAY_NS (50 * NS_PER_MS) /* of the answer to the second failure; doubles with each */
#define SOURCES_DELAY_NS_MAX (1600 * NS_PER_MS)

struct sources_entry {
        struct source source;
        uint64_t heard_ns;  /* 0: free */
        uint64_t window_ns; /* when the window of these failures began */
        uint64_t until_ns;  /* kept out until then */
        uint32_t failures;
};

struct sources {
        struct sources_entry *entries;
        size_t sets_count;
        uint64_t seed;
};

/* 0 or -ENOMEM. Room for about `sources_count`, a power of two. */
int sources_init(struct sources *sources, size_t sources_count);
void sources_fini(struct sources *sources);

/* A login failed. Returns how long its answer is to wait. With `ban_after` failures within a window the source is kept
 * out for `ban_ns`; with 0 of them it is never, and does not wait either. */
uint64_t sources_failed(struct sources *sources, struct source source, uint64_t now_ns, uint32_t ban_after,
                        uint64_t ban_ns);
/* Keeps `source` out until `until_ns`, because another core says so. */
void sources_ban(struct sources *sources, struct source source, uint64_t now_ns, uint64_t until_ns);
/* Until when the source is kept out; 0: it is not. */
uint64_t sources_banned_until(const struct sources *sources, struct source source, uint64_t now_ns);
/* Failures within the running window. */
uint32_t sources_failures(const struct sources *sources, struct source source, uint64_t now_ns);
/* Forgets all. */
void sources_clear(struct sources *sources);

#endif
