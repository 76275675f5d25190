/* skip: what a lagging lane passes over, so that it goes on instead of being cut.
 *
 *      lent │ rest of a half-sent one │ a b A c B … d e │ f g h          capitals: superseded by a later one
 *      ─────┴─ stay where they are ───┴─ dropped or, if ┴─ stay where they are
 *                                        it may not be, copied
 *
 * Each operation has a lag policy beside its end (engine/lag.h). Of those that may be dropped, superseded ones go first
 * (conflate), then the oldest, until the lane holds half of its limit. What may not be dropped and stands among them is
 * copied behind in the lane's own stream, in order, so that no one else's memory stays pinned for it; what follows is
 * not touched. The rest of a half-sent operation is always finished. A step per chunk where all of a chunk goes, else
 * one per operation; as a lane has to grow by a fraction of its limit first, that is a bounded number of steps per
 * operation that was appended. */
#ifndef SPATE_ENGINE_SKIP_H
#define SPATE_ENGINE_SKIP_H

#include "engine/lane.h"

/* Brings the lane from more than `limit_bytes` down to half of it, as far as what it holds may be dropped. With
 * LOSS_LAG_SKIP superseded operations count as conflated, and older ones as skipped; with LOSS_MEMORY_SHED nothing is
 * copied, because there is no memory to do it, and all counts as that. Returns how many bytes were looked at or
 * dropped; 0: nothing could be done. Not between a reserve and its commit. */
uint64_t lane_skip(struct lanes *lanes, struct lane *lane, uint64_t limit_bytes, enum loss loss);

#endif
