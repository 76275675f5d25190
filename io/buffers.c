/* buffers: see buffers.h. */
#include "io/buffers.h"

#include <errno.h>
#include <sys/mman.h>

static_assert(sizeof(struct buffer_entry) == 16, "the kernel's layout");
static_assert(offsetof(struct buffer_entry, tail) == 14, "the kernel's layout");

#define PAGE_BYTES 4096

int buffers_init(struct buffers *buffers, uint32_t count, uint32_t bytes_max)
{
        assert(bits_is_power_of_two(count) && count <= BUFFERS_COUNT_MAX);
        assert(bytes_max > 0);
        size_t total = (size_t)count * 2;
        size_t stride = bits_align_up(bytes_max, 64);
        size_t ring_bytes = bits_align_up(count * sizeof(struct buffer_entry), PAGE_BYTES);
        size_t ids_bytes = bits_align_up(total * sizeof(uint16_t), PAGE_BYTES);
        size_t notes_bytes = bits_align_up(total * sizeof(struct buffer_note), PAGE_BYTES);
        size_t mapping_bytes = ring_bytes + 2 * ids_bytes + notes_bytes + total * stride;
        uint8_t *mapping =
                mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping == MAP_FAILED)
                return -ENOMEM;
        *buffers = (struct buffers){
                .ring = (void *)mapping,
                .ring_count = count,
                .bytes_max = bytes_max,
                .fill_bytes = bytes_max,
                .stride = (uint32_t)stride,
                .spare = (void *)(mapping + ring_bytes),
                .borrowed = (void *)(mapping + ring_bytes + ids_bytes),
                .notes = (void *)(mapping + ring_bytes + 2 * ids_bytes),
                .memory = mapping + ring_bytes + 2 * ids_bytes + notes_bytes,
                .mapping = mapping,
                .mapping_bytes = mapping_bytes,
        };
        /* The lowest on top, so that a second half that is never needed is never touched. */
        for (size_t id = total; id > 0; id--)
                buffers_give(buffers, (uint16_t)(id - 1));
        return 0;
}

void buffers_fini(struct buffers *buffers)
{
        if (buffers->mapping != NULL)
                munmap(buffers->mapping, buffers->mapping_bytes);
        *buffers = (struct buffers){0};
}

static uint32_t buffers_ring_wanted(struct buffers *buffers)
{
        if (buffers->picked_count > 0) {
                uint64_t fill_bytes = buffers->picked_bytes / buffers->picked_count;
                buffers->fill_bytes = (uint32_t)((7 * (uint64_t)buffers->fill_bytes + fill_bytes) / 8);
                buffers->picked_count = 0;
                buffers->picked_bytes = 0;
        }
        uint32_t wanted = BUFFERS_RING_BYTES / (buffers->fill_bytes + 1);
        if (wanted < BUFFERS_RING_COUNT_MIN)
                wanted = BUFFERS_RING_COUNT_MIN;
        return wanted < buffers->ring_count ? wanted : buffers->ring_count;
}

void buffers_refill(struct buffers *buffers)
{
        while (buffers->borrowed_count > 0)
                buffers_give(buffers, buffers->borrowed[--buffers->borrowed_count]);
        uint32_t wanted = buffers_ring_wanted(buffers);
        if (buffers->in_ring >= wanted || buffers->spare_count == 0)
                return;
        do {
                uint16_t id = buffers->spare[--buffers->spare_count];
                struct buffer_entry *entry = &buffers->ring[buffers->tail & (buffers->ring_count - 1)];
                entry->address = (uint64_t)(uintptr_t)buffers_at(buffers, id);
                entry->size = buffers->bytes_max;
                entry->id = id;
                buffers->tail++;
                buffers->in_ring++;
        } while (buffers->in_ring < wanted && buffers->spare_count > 0);
        /* Pairs with the kernel's acquire of the tail: the entries are complete before it sees them. */
        __atomic_store_n(&buffers->ring[0].tail, buffers->tail, __ATOMIC_RELEASE);
}
