/* simlent: what a connection of the simulated network has lent to it, a send each. The copy is what the bytes were when
 * they were lent: stronger than a hash, it also shows which byte changed. Whoever changes one is told, and aborted. */
#ifndef SPATE_IO_SIMLENT_H
#define SPATE_IO_SIMLENT_H

#include "io/simpeer.h"

/* Belongs to peer->lent; ends when all of it was given back. */
struct simlent {
        struct list link;
        struct span pieces[IO_PIECES_MAX];
        size_t pieces_count;
        size_t size;
        size_t told; /* given back to the engine so far */
        uint8_t copy[];
};

struct simlent *simlent_new(struct sim_peer *peer, const struct span *pieces, size_t pieces_count, size_t size);
void simlent_free_all(struct sim_peer *peer);
/* Compares `size` bytes of the send from `from` on with what they were when they were lent. */
void simlent_check(struct sim_peer *peer, const struct simlent *lent, size_t from, size_t size, const char *occasion);
void simlent_check_all(const struct simnet *net, const char *occasion);
/* SIM_TCP: reads the stream's bytes offset .. offset + size from where they were lent, to `to` or to nowhere. */
void simlent_read(struct sim_peer *peer, uint64_t offset, size_t size, struct simbytes *to, const char *occasion);
/* Gives the first `bytes` lent bytes back. Returns how many sends are done with by this. */
uint32_t simlent_give(struct sim_peer *peer, size_t bytes);

#endif
