/* The lines' own half: what is done to them by the one writer. What readers do stands in the header. */
#include "matcher/table_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/base/bits.h"

#define LINES_MIN 64
#define GROW_PERCENT 60 /* of the slots in use: start to copy */
#define FULL_PERCENT 90 /* there was no memory to grow, and now there is no room either */
/* Copied with each change, of which each fills one slot at most: the copy is complete before the load is up by 8 %. */
#define GROW_LINES_A_CHANGE 2
#define FILTER_WORDS_MIN 64
#define FILTER_BITS 16             /* for each key, at least, when it is made */
#define FILTER_SHARE_FULL 4        /* one in so many is set, and it is made anew */
#define PAGE_BYTES ((size_t)65536) /* at most, on any machine */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* A kernel may have joined it with its neighbours, and then have no room for one mapping more to cut it out: its memory
 * goes at least. */
static void unmap_exactly(void *memory, size_t bytes)
{
        if (bytes > 0 && munmap(memory, bytes) != 0)
                (void)madvise(memory, bytes, MADV_DONTNEED);
}

void unmap(void *memory, size_t bytes)
{
        if (memory != NULL)
                unmap_exactly(memory, bits_align_up(bytes, PAGE_BYTES));
}

/* Of huge pages where the kernel has them to give, which needs a place at a boundary of theirs. */
void *map_zeroed(size_t bytes)
{
        bool is_huge = bytes >= HUGE_PAGE_BYTES;
        size_t room = bits_align_up(bytes, PAGE_BYTES) + (is_huge ? HUGE_PAGE_BYTES : 0);
        uint8_t *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return NULL;
        if (!is_huge)
                return memory;
        /* What is in front and behind goes back. */
        size_t before = -(uintptr_t)memory & (HUGE_PAGE_BYTES - 1);
        uint8_t *begin = memory + before;
        unmap_exactly(memory, before);
        unmap_exactly(begin + bits_align_up(bytes, PAGE_BYTES), HUGE_PAGE_BYTES - before);
        /* Advice only: without huge pages it is slower, not wrong. */
        (void)madvise(begin, bytes, MADV_HUGEPAGE);
        return begin;
}

/* Lines. */

static size_t lines_bytes(const struct lines *lines)
{
        return (lines->mask + 1) * sizeof(struct line);
}

static size_t filter_bytes(const struct lines *lines)
{
        return (lines->filter_mask + 1) * sizeof(uint64_t);
}

static void lines_free(struct lines *lines)
{
        if (lines == NULL)
                return;
        unmap(lines->line, lines_bytes(lines));
        unmap(lines->filter, filter_bytes(lines));
        free(lines);
}

/* With a filter for `filtered_count` keys, at least. */
static struct lines *lines_new(size_t lines_count, size_t filtered_count)
{
        assert(lines_count >= LINES_MIN);
        struct lines *lines = calloc(1, sizeof *lines);
        if (lines == NULL)
                return NULL;
        size_t words = FILTER_WORDS_MIN;
        while (words * 64 < filtered_count * FILTER_BITS)
                words *= 2;
        lines->mask = lines_count - 1;
        lines->filter_mask = words - 1;
        lines->line = map_zeroed(lines_bytes(lines));
        lines->filter = map_zeroed(filter_bytes(lines));
        if (lines->line != NULL && lines->filter != NULL)
                return lines;
        lines_free(lines);
        return NULL;
}

static void lines_free_retired(struct epoch_retired *retired)
{
        lines_free(container_of(retired, struct lines, retired));
}

static size_t lines_slots(const struct lines *lines)
{
        return (lines->mask + 1) * LINE_SLOTS;
}

/* The slot that holds `value`, 0 for an empty one; NULL if the walk from `key`'s line finds none. *passed is how many
 * lines it has left behind. */
static _Atomic uint64_t *lines_seek(const struct lines *lines, struct subject_key key, uint64_t value, size_t *passed)
{
        for (*passed = 0; *passed <= lines->mask; ++*passed) {
                struct line *line = &lines->line[(key.lo + *passed) & lines->mask];
                for (size_t i = 0; i < LINE_SLOTS; i++)
                        if (atomic_load_explicit(&line->slots[i], memory_order_relaxed) == value)
                                return &line->slots[i];
                if (value != 0 && atomic_load_explicit(&line->passed, memory_order_relaxed) == 0)
                        return NULL;
        }
        return NULL;
}

static void count_passed(const struct lines *lines, struct subject_key key, size_t passed, uint64_t add)
{
        for (size_t i = 0; i < passed; i++) {
                struct line *line = &lines->line[(key.lo + i) & lines->mask];
                uint64_t count = atomic_load_explicit(&line->passed, memory_order_relaxed);
                atomic_store_explicit(&line->passed, count + add, memory_order_release);
        }
}

static void filter_add(struct lines *lines, uint64_t key_lo)
{
        _Atomic uint64_t *word = &lines->filter[filter_word(lines, key_lo)];
        uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
        uint64_t more = filter_bits(key_lo) & ~before;
        if (more == 0)
                return;
        atomic_store_explicit(word, before | more, memory_order_release);
        lines->filter_bits += (size_t)__builtin_popcountll(more);
}

/* Room has been made sure of. */
static void lines_insert(struct lines *lines, struct subject_key key, uint32_t id, bool is_filtered)
{
        size_t passed;
        if (is_filtered)
                filter_add(lines, key.lo);
        _Atomic uint64_t *slot = lines_seek(lines, key, 0, &passed);
        assert(slot != NULL);
        count_passed(lines, key, passed, 1);
        /* The release that readers' walks pair with: this is the moment the entry appears. */
        atomic_store_explicit(slot, slot_of(key, id, is_filtered), memory_order_release);
}

static bool lines_remove(const struct lines *lines, struct subject_key key, uint32_t id, bool is_filtered)
{
        size_t passed;
        _Atomic uint64_t *slot = lines_seek(lines, key, slot_of(key, id, is_filtered), &passed);
        if (slot == NULL)
                return false;
        atomic_store_explicit(slot, 0, memory_order_release);
        count_passed(lines, key, passed, (uint64_t)-1);
        return true;
}

/* The index. */

int index_init(struct lines_index *index, struct epoch_bin *bin,
               struct subject_key (*key_of)(const void *context, uint32_t id), const void *context)
{
        *index = (struct lines_index){.bin = bin, .key_of = key_of, .context = context};
        struct lines *lines = lines_new(LINES_MIN, 0);
        atomic_store_explicit(&index->lines, lines, memory_order_release);
        return lines == NULL ? -ENOMEM : 0;
}

void index_fini(struct lines_index *index)
{
        lines_free(index->growing);
        lines_free(index_lines(index));
}

void index_insert(struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered)
{
        if (index->growing != NULL)
                lines_insert(index->growing, key, id, is_filtered);
        lines_insert(index_lines(index), key, id, is_filtered);
        index->entries_count++;
        index->filtered_count += is_filtered;
}

bool index_remove(struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered)
{
        if (!lines_remove(index_lines(index), key, id, is_filtered))
                return false;
        /* Not yet copied: then it is not there, and will not be. */
        if (index->growing != NULL)
                lines_remove(index->growing, key, id, is_filtered);
        index->entries_count--;
        index->filtered_count -= is_filtered;
        return true;
}

bool index_has(const struct lines_index *index, struct subject_key key, uint32_t id, bool is_filtered)
{
        size_t passed;
        return lines_seek(index_lines(index), key, slot_of(key, id, is_filtered), &passed) != NULL;
}

/* Copies what is in `line` and not yet there: since the copy began, changes have gone to both. */
static void copy_line(struct lines_index *index, const struct line *line)
{
        for (size_t i = 0; i < LINE_SLOTS; i++) {
                uint64_t slot = atomic_load_explicit(&line->slots[i], memory_order_relaxed);
                if (slot == 0)
                        continue;
                struct subject_key key = index->key_of(index->context, slot_id(slot));
                size_t passed;
                if (lines_seek(index->growing, key, slot, &passed) == NULL)
                        lines_insert(index->growing, key, slot_id(slot), slot & SLOT_FILTERED);
        }
}

void index_grow_on(struct lines_index *index)
{
        if (likely(index->growing == NULL))
                return;
        struct lines *old = index_lines(index);
        for (size_t i = 0; i < GROW_LINES_A_CHANGE && index->growing_copied <= old->mask; i++)
                copy_line(index, &old->line[index->growing_copied++]);
        if (index->growing_copied <= old->mask)
                return;
        /* Readers acquire this: they see the copy complete. */
        atomic_store_explicit(&index->lines, index->growing, memory_order_release);
        index->growing = NULL;
        epoch_retire(index->bin, &old->retired, lines_free_retired);
}

int index_make_room(struct lines_index *index, size_t more)
{
        struct lines *lines = index_lines(index);
        size_t wanted = index->entries_count + more;
        bool is_tight = wanted * 100 > lines_slots(lines) * GROW_PERCENT;
        bool is_blurred = lines->filter_bits * FILTER_SHARE_FULL > filter_bytes(lines) * 8;
        if (likely(!is_tight && !is_blurred))
                return 0;
        if (index->growing == NULL) {
                index->growing = lines_new((lines->mask + 1) << is_tight, index->filtered_count + more);
                index->growing_copied = 0;
        }
        return wanted * 100 <= lines_slots(lines) * FULL_PERCENT ? 0 : -ENOMEM;
}
