/* bytering: the pages of the ring, mapped twice. See bytering.h for why.
 *
 * The road not taken: one mapping, and a marker where a record would not fit before the end. It wastes what lies behind
 * the marker, so whether a record fits depends on where the ring stands, and every reserve and peek has a branch more.
 * Measured with bench/micro/mailbox, the two are as fast. */
#include "engine/base/bytering.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(offsetof(struct bytering, tail) % CACHE_LINE == 0, "the producer's own");
static_assert(offsetof(struct bytering, head) % CACHE_LINE == 0, "the consumer's own");
static_assert(sizeof(struct bytering) == 5 * (size_t)CACHE_LINE, "nothing shares a line with another side's");
static_assert(BYTERING_BYTES_MAX <= UINT32_MAX, "a header can tell the size of any record");

static int map_twice(struct bytering *ring, int file)
{
        size_t count = ring->bytes_count;
        /* Address space for both first, so that nobody else can come between them. */
        uint8_t *bytes = mmap(NULL, 2 * count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (bytes == MAP_FAILED)
                return -errno;
        for (int i = 0; i < 2; i++) {
                void *there = bytes + (size_t)i * count;
                if (mmap(there, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
                        int error = errno;
                        munmap(bytes, 2 * count);
                        return -error;
                }
        }
        ring->bytes = bytes;
        return 0;
}

int bytering_init(struct bytering *ring, size_t bytes_count)
{
        size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        assert(bytes_count >= 1);
        assert(bytes_count <= BYTERING_BYTES_MAX);
        assert((uintptr_t)ring % CACHE_LINE == 0);
        memset(ring, 0, sizeof(*ring));
        atomic_init(&ring->published, 0);
        atomic_init(&ring->released, 0);
        if (bytes_count < page_bytes)
                bytes_count = page_bytes;
        ring->bytes_count = (size_t)1 << bits_log2_ceil(bytes_count);

        int file = memfd_create("spate-mailbox", MFD_CLOEXEC);
        if (file < 0)
                return -errno;
        int error = ftruncate(file, (off_t)ring->bytes_count) == 0 ? map_twice(ring, file) : -errno;
        close(file); /* the mappings keep the pages */
        return error;
}

void bytering_fini(struct bytering *ring)
{
        if (ring->bytes != NULL)
                munmap(ring->bytes, 2 * ring->bytes_count);
        ring->bytes = NULL;
}
