/* watermark: see the header. */
#include "engine/watermark.h"

#include "engine/base/log.h"

static const struct {
        const char *name;
        unsigned percent;
} steps[] = {
        [WATERMARK_CALM] = {"calm", 0},
        [WATERMARK_IMPATIENT] = {"impatient", 75},
        [WATERMARK_CLOSED] = {"closed", 85},
        [WATERMARK_CUTTING] = {"cutting", 92},
};

#define SLACK_PERCENT 5

const char *watermark_name(enum watermark watermark)
{
        assert(watermark < array_count(steps));
        return steps[watermark].name;
}

enum watermark watermark_of(enum watermark before, uint64_t used_bytes, uint64_t bytes)
{
        enum watermark now = WATERMARK_CUTTING;
        uint64_t percent = used_bytes / (bytes / 100 + 1);
        while (now > WATERMARK_CALM && percent < steps[now].percent - (now <= before ? SLACK_PERCENT : 0))
                now--;
        return now;
}

static struct lane *watermark_larger(struct list *list, struct lane *largest, uint64_t *most)
{
        list_for_each(list, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                uint64_t bytes = lane->is_cut ? 0 : lane_pending_bytes(lane) - lane->lent_bytes;
                if (bytes > *most) {
                        *most = bytes;
                        largest = lane;
                }
        }
        return largest;
}

/* The lane that holds most, of those that the network keeps waiting; NULL: none holds anything that could be freed. */
static struct lane *watermark_largest(struct lanes *lanes)
{
        uint64_t most = 0;
        struct lane *largest = watermark_larger(&lanes->waiting, NULL, &most);
        return watermark_larger(&lanes->patient, largest, &most);
}

unsigned watermark_keep(enum watermark *watermark, struct lanes *lanes, uint64_t stall_ns_max)
{
        const struct buddy *memory = &lanes->memory;
        enum watermark now = watermark_of(*watermark, memory->taken_bytes, memory->region_bytes);
        unsigned cut_count = 0;
        if (likely(now == WATERMARK_CALM && *watermark == WATERMARK_CALM))
                return 0;
        if (now != *watermark) {
                log_warn("memory_watermark", "step=%s before=%s used_bytes=%llu of_bytes=%llu", watermark_name(now),
                         watermark_name(*watermark), (unsigned long long)memory->taken_bytes,
                         (unsigned long long)memory->region_bytes);
                *watermark = now;
                lanes->stall_ns_max = now >= WATERMARK_IMPATIENT && stall_ns_max > WATERMARK_STALL_NS
                                              ? WATERMARK_STALL_NS
                                              : stall_ns_max;
        }
        /* Members of one cohort pin the same bytes: cutting one may free nothing, and the next one is as large. */
        while (now == WATERMARK_CUTTING && lanes_skip_for_memory(lanes) != NULL)
                now = watermark_of(now, memory->taken_bytes, memory->region_bytes);
        for (struct lane *lane; now == WATERMARK_CUTTING && (lane = watermark_largest(lanes)) != NULL; cut_count++) {
                lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                now = watermark_of(now, memory->taken_bytes, memory->region_bytes);
        }
        return cut_count;
}
