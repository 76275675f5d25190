/* queuepick: an open table of indices, cleared by its own contents. See the header. */
#include "engine/queuepick.h"

#include <errno.h>
#include <stdlib.h>

int picks_init(struct queue_picks *picks)
{
        *picks = (struct queue_picks){0};
        if (picks_grow(picks))
                return 0;
        picks_fini(picks);
        return -ENOMEM;
}

void picks_fini(struct queue_picks *picks)
{
        free(picks->pick);
        free(picks->names);
        free(picks->slots);
        *picks = (struct queue_picks){0};
}

struct queue_pick *picks_find(struct queue_picks *picks, uint64_t hash, struct span name, bool add)
{
        for (size_t slot = hash & (picks->slots_count - 1);; slot = (slot + 1) & (picks->slots_count - 1)) {
                if (picks->slots[slot] == 0) {
                        if (!add || picks->picks_count == picks->picks_max)
                                return NULL;
                        picks->slots[slot] = (uint32_t)++picks->picks_count;
                        struct queue_pick *pick = &picks->pick[picks->picks_count - 1];
                        *pick = (struct queue_pick){.hash = hash, .name = name};
                        return pick;
                }
                struct queue_pick *pick = &picks->pick[picks->slots[slot] - 1];
                if (pick->hash == hash && span_equal(pick->name, name))
                        return pick;
        }
}

void picks_clear(struct queue_picks *picks)
{
        for (size_t i = 0; i < picks->picks_count; i++) {
                size_t slot = picks->pick[i].hash & (picks->slots_count - 1);
                while (picks->slots[slot] != i + 1)
                        slot = (slot + 1) & (picks->slots_count - 1);
                picks->slots[slot] = 0;
        }
        picks->picks_count = 0;
}

bool picks_grow(struct queue_picks *picks)
{
        size_t picks_max = picks->picks_max == 0 ? 64 : 2 * picks->picks_max;
        struct queue_pick *pick = realloc(picks->pick, picks_max * sizeof *pick);
        if (pick == NULL)
                return false;
        picks->pick = pick;
        struct span *names = realloc(picks->names, picks_max * sizeof *names);
        if (names == NULL)
                return false;
        picks->names = names;
        uint32_t *slots = calloc(2 * picks_max, sizeof *slots);
        if (slots == NULL)
                return false;
        free(picks->slots);
        picks->slots = slots;
        picks->slots_count = 2 * picks_max;
        picks->picks_max = picks_max;
        for (size_t i = 0; i < picks->picks_count; i++) {
                size_t slot = pick[i].hash & (picks->slots_count - 1);
                while (slots[slot] != 0)
                        slot = (slot + 1) & (picks->slots_count - 1);
                slots[slot] = (uint32_t)(i + 1);
        }
        return true;
}

uint32_t picks_names(struct queue_picks *picks, unsigned target)
{
        uint32_t count = 0;
        for (size_t i = 0; i < picks->picks_count; i++)
                if (picks->pick[i].reactor == target)
                        picks->names[count++] = picks->pick[i].name;
        return count;
}
