/* simnews: the events of one io_poll() of the simulated network, and which of them a connection has to tell. For
 * io/sim*.c only. What is lent to the engine until its next io_poll() is a copy of its own, which is then spoilt. */
#ifndef SPATE_IO_SIMNEWS_H
#define SPATE_IO_SIMNEWS_H

#include "io/simpeer.h"

/* What a reactor borrows until its next io_poll(). */
struct simguards {
        struct list fresh, stale;
};

struct simnews {
        struct simnet *net;
        struct simguards *guards;
        struct io_statistics *statistics;
        size_t receive_bytes_max;
        struct io_event *events;
        int count, max;
};

void simguards_init(struct simguards *guards);
void simguards_fini(struct simguards *guards);
/* What was borrowed until this io_poll() becomes garbage. With AddressSanitizer it is freed at once; without, it stays
 * garbage for one more turn instead of becoming somebody's memory again. */
void simguards_spoil(struct simguards *guards);

static inline bool simnews_is_full(const struct simnews *news)
{
        return news->count == news->max;
}
/* Tells `event` of connection `number` (0: of none). It is not full. */
void simnews_tell(struct simnews *news, uint32_t number, struct io_event event);
struct span simnews_guard(struct simnews *news, const void *bytes, size_t size);

/* Is there anything to tell of this connection? */
bool simnews_waits(const struct sim_peer *peer);
/* Tells of it as much as there is room for. Once IO_CLOSED is told the connection is dead. */
void simnews_tell_released(struct simnews *news, struct sim_peer *peer);
void simnews_tell_rest(struct simnews *news, struct sim_peer *peer);

#endif
