/* retries: connections that were told writable and of which the network then took nothing wait here, before the kernel
 * is asked again.
 *
 * Linux calls a TCP socket writable when its own buffer has room, and takes nothing all the same while TCP as a whole
 * is short of memory (net.ipv4.tcp_mem). Asked again at once it would say the same again: thousands of such connections
 * are a core's whole work. So a connection pauses for a millisecond, then for two, four … 256; when the network takes
 * something, that is forgotten.
 *
 *      lists   1 ms   ─ a ─ b
 *              2 ms   ─ c                  one a pause, each in the order of `due_ns`: an entry goes behind the last
 *              …
 *              256 ms ─ d ─ e ─ f ─ g      here they stay, so no more than so many of them a millisecond are let go
 *
 * Belongs to a backend; the entries are embedded in its connections. Constant time, but for ten steps now and then. */
#ifndef SPATE_IO_RETRIES_H
#define SPATE_IO_RETRIES_H

#include "engine/base/list.h"

#define RETRIES_STEPS 9
#define RETRIES_A_MS 16u /* of the last list: about three hundredths of a core */

struct retry {
        struct list link; /* in one of the lists while it waits */
        uint64_t due_ns;
};

/* How a connection has fared; apart from the above, so that it can stand beside what a send touches. All zero: well.
 * To be zeroed when the network takes something. */
struct retry_state {
        uint8_t step : 4; /* of its next pause */
        bool told : 1;    /* it was told writable and has not sent since */
};

struct retries {
        struct list lists[RETRIES_STEPS];
        uint64_t next_ns;    /* nobody is due before; UINT64_MAX: nobody waits. Perhaps too early, never too late */
        uint32_t last_count; /* how many share the last due_ns of the last list, or fewer */
};

void retries_init(struct retries *retries);
static inline void retry_init(struct retry *retry)
{
        list_init(&retry->link);
}
static inline bool retry_waits(const struct retry *retry)
{
        return list_is_linked(&retry->link);
}
/* Harmless when it does not wait. */
static inline void retry_cancel(struct retry *retry)
{
        list_remove(&retry->link);
}

/* The network took less than it was given. Returns whether the connection was told writable in vain; then it waits here
 * from now on. `now_ns` never goes back. */
bool retries_short(struct retries *retries, struct retry *retry, struct retry_state *state, uint64_t sent_bytes,
                   uint64_t now_ns);
/* Waits for the pause of this step: 0 is a millisecond, each further one twice as long. It must not wait already. */
void retries_add(struct retries *retries, struct retry *retry, unsigned step, uint64_t now_ns);
/* One that is due, and waits no more; NULL: nobody is. */
struct retry *retries_take(struct retries *retries, uint64_t now_ns);

#endif
