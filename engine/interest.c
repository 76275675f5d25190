/* interest: see the header. */
#include "engine/interest.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int interests_init(struct interests *interests, size_t ids_max, struct match_table *table)
{
        *interests = (struct interests){.ids_max = ids_max, .table = table};
        epoch_bin_init(&interests->bin);
        void *memory = mmap(NULL, ids_max * sizeof(struct interest), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return -ENOMEM;
        interests->by_id = memory;
        return 0;
}

void interests_fini(struct interests *interests)
{
        if (interests->by_id == NULL)
                return;
        epoch_drain(&interests->bin);
        munmap(interests->by_id, interests->ids_max * sizeof(struct interest));
        *interests = (struct interests){0};
}

void interest_add_plain(struct interests *interests, pattern_id id, match_reach reach)
{
        _Atomic uint32_t *plain = &interests->by_id[id].plain;
        uint32_t before = atomic_load_explicit(plain, memory_order_relaxed);
        atomic_store_explicit(plain, before + 1, memory_order_relaxed);
        if (before == 0)
                match_touch(interests->table, reach);
}

void interest_remove_plain(struct interests *interests, pattern_id id, match_reach reach)
{
        _Atomic uint32_t *plain = &interests->by_id[id].plain;
        uint32_t before = atomic_load_explicit(plain, memory_order_relaxed);
        assert(before > 0);
        atomic_store_explicit(plain, before - 1, memory_order_relaxed);
        if (before == 1)
                match_touch(interests->table, reach);
}

/* Where the rows of this kind begin. */
static _Atomic(struct interest_row *) *interest_head(struct interests *interests, pattern_id id, size_t name_bytes)
{
        struct interest *interest = &interests->by_id[id];
        return name_bytes > 0 ? &interest->groups : &interest->filtered;
}

struct interest_row *interest_add_row(struct interests *interests, pattern_id id, match_reach reach, struct span name,
                                      uint64_t hash, const struct permissions *filter)
{
        _Atomic(struct interest_row *) *head = interest_head(interests, id, name.size);
        struct interest_row *row = calloc(1, sizeof *row + name.size);
        if (row == NULL)
                return NULL;
        row->name_bytes = (uint32_t)name.size;
        row->name_hash = hash;
        row->filter = filter;
        span_copy(row->name, name);
        struct interest_row *first = atomic_load_explicit(head, memory_order_relaxed);
        atomic_store_explicit(&row->next, first, memory_order_relaxed);
        if (first != NULL)
                first->previous = row;
        /* Release: pairs with the acquire in interest_groups() and interest_filtered(). */
        atomic_store_explicit(head, row, memory_order_release);
        match_touch(interests->table, reach);
        return row;
}

static void interest_row_free(struct epoch_retired *retired)
{
        free(container_of(retired, struct interest_row, retired));
}

void interest_remove_row(struct interests *interests, pattern_id id, match_reach reach, struct interest_row *row)
{
        struct interest_row *next = atomic_load_explicit(&row->next, memory_order_relaxed);
        _Atomic(struct interest_row *) *link =
                row->previous == NULL ? interest_head(interests, id, row->name_bytes) : &row->previous->next;
        if (next != NULL)
                next->previous = row->previous;
        /* A reader that stands on the row goes on from it: it keeps its next. Release: the next was whole when it was
         * linked, and whoever comes to it by this link has to see that. */
        atomic_store_explicit(link, next, memory_order_release);
        match_touch(interests->table, reach);
        epoch_retire(&interests->bin, &row->retired, interest_row_free);
}
