/* watermark: what a reactor does as its stream memory fills up, in steps that each can be seen, long before the last
 * block is gone.
 *
 *      75 %   impatient   who takes nothing at all is cut off after a second instead of --max-stall
 *      85 %   closed      nobody new comes in: told as over the limit; the admin address still answers
 *      92 %   cutting     whoever is furthest behind is cut off, until it is less
 *
 * A step ends when 5 % less are used. Belongs to one reactor. */
#ifndef SPATE_ENGINE_WATERMARK_H
#define SPATE_ENGINE_WATERMARK_H

#include "engine/lane.h"

enum watermark { WATERMARK_CALM, WATERMARK_IMPATIENT, WATERMARK_CLOSED, WATERMARK_CUTTING };

#define WATERMARK_STALL_NS ((uint64_t)1000000000)

const char *watermark_name(enum watermark watermark);
/* The step that so much use calls for, coming from `before`. */
enum watermark watermark_of(enum watermark before, uint64_t used_bytes, uint64_t bytes);
/* Once a turn, while no list is being walked: takes the steps. Returns how many lanes were cut. */
unsigned watermark_keep(enum watermark *watermark, struct lanes *lanes, uint64_t stall_ns_max);

#endif
