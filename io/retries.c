/* retries: see retries.h. */
#include "io/retries.h"

#include "engine/base/bits.h"
#include "engine/base/clock.h"

#define LAST (RETRIES_STEPS - 1)

static_assert(RETRIES_STEPS <= 1 << 4, "a step fits its bits");

static uint64_t pause_ns(unsigned step)
{
        return NS_PER_MS << step;
}

/* Those who come within an eighth of the pause are let go together. */
static uint64_t grain_ns(unsigned step)
{
        return pause_ns(step) / 8;
}

#define LAST_COUNT_MAX (RETRIES_A_MS * (1u << LAST) / 8) /* in a grain of the last list */

void retries_init(struct retries *retries)
{
        for (unsigned step = 0; step < RETRIES_STEPS; step++)
                list_init(&retries->lists[step]);
        retries->next_ns = UINT64_MAX;
        retries->last_count = 0;
}

/* When the last of the list is due; 0: it is empty. */
static uint64_t list_end_ns(const struct list *list)
{
        return list_is_empty(list) ? 0 : list_entry(list->prev, struct retry, link)->due_ns;
}

void retries_add(struct retries *retries, struct retry *retry, unsigned step, uint64_t now_ns)
{
        assert(!retry_waits(retry));
        assert(step < RETRIES_STEPS);
        struct list *list = &retries->lists[step];
        uint64_t end_ns = list_end_ns(list);
        uint64_t grain = grain_ns(step), due_ns = now_ns + pause_ns(step) + grain - 1;
        due_ns -= due_ns % grain;
        if (due_ns < end_ns)
                due_ns = end_ns;
        if (step == LAST) {
                retries->last_count = due_ns == end_ns ? retries->last_count + 1 : 1;
                if (retries->last_count > LAST_COUNT_MAX) {
                        due_ns += grain;
                        retries->last_count = 1;
                }
        }
        retry->due_ns = due_ns;
        list_push_back(list, &retry->link);
        if (due_ns < retries->next_ns)
                retries->next_ns = due_ns;
}

bool retries_short(struct retries *retries, struct retry *retry, struct retry_state *state, uint64_t sent_bytes,
                   uint64_t now_ns)
{
        bool in_vain = sent_bytes == 0 && state->told;
        state->told = false;
        if (sent_bytes > 0)
                state->step = 0;
        if (!in_vain)
                return false;
        retries_add(retries, retry, state->step, now_ns);
        if (state->step < LAST)
                state->step++;
        return true;
}

/* From the shortest pause on: who waits there is the likeliest to be served. */
struct retry *retries_take(struct retries *retries, uint64_t now_ns)
{
        if (likely(now_ns < retries->next_ns))
                return NULL;
        retries->next_ns = UINT64_MAX;
        for (unsigned step = 0; step < RETRIES_STEPS; step++) {
                if (list_is_empty(&retries->lists[step]))
                        continue;
                struct retry *retry = list_entry(retries->lists[step].next, struct retry, link);
                if (retry->due_ns <= now_ns) {
                        list_remove(&retry->link);
                        retries->next_ns = now_ns; /* there may be more */
                        return retry;
                }
                if (retry->due_ns < retries->next_ns)
                        retries->next_ns = retry->due_ns;
        }
        return NULL;
}
