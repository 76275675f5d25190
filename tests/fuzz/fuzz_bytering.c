/* fuzz_bytering: records go in and come out as through the plainest queue, whatever their sizes and however commits,
 * publishes, consumes and releases follow each other. (That two cores do it at once is the thread sanitizer's to try.)
 *
 *      op  a byte: its two low bits say what, the rest with the next byte a size */
#include "engine/base/bytering.h"
#include "tests/fuzz/fuzz.h"

#define RECORDS_MAX 4096

struct record {
        uint64_t position;
        size_t bytes;
};

static struct record records[RECORDS_MAX];

static void check(struct span record, size_t number)
{
        assert(record.size == records[number].bytes);
        assert((uintptr_t)record.bytes % BYTERING_ALIGNMENT == 0);
        assert(fuzz_is_filled(record.bytes, record.size, number * 37));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct bytering ring;
        struct span input = span_of(data, size), record;
        size_t committed = 0, published = 0, consumed = 0, released = 0; /* numbers of records */
        if (ring.bytes == NULL && bytering_init(&ring, 4096) != 0)
                abort();
        assert(bytering_is_empty(&ring));
        while (input.size > 0) {
                uint8_t op = fuzz_byte(&input);
                size_t bytes = ((size_t)(op >> 2) << 8 | fuzz_byte(&input)) % 5000;
                switch (op & 3) {
                case 0: {
                        if (committed == RECORDS_MAX || bytes > bytering_record_bytes_max(&ring))
                                break;
                        uint64_t held = ring.tail - (released == committed ? ring.tail : records[released].position);
                        uint8_t *room = bytering_reserve(&ring, bytes);
                        assert((room != NULL) == (held + bytering_room(bytes) <= ring.bytes_count));
                        if (room == NULL)
                                break;
                        if ((op & 4) != 0)
                                bytes -= bytes / 3; /* fewer than were reserved */
                        records[committed] = (struct record){ring.tail, bytes};
                        fuzz_fill(room, bytes, committed * 37);
                        bytering_commit(&ring, bytes);
                        committed++;
                        break;
                }
                case 1:
                        assert(bytering_publish(&ring) == (published < committed));
                        published = committed;
                        break;
                case 2:
                        assert(bytering_peek(&ring, &record) == (consumed < published));
                        if (consumed == published) {
                                assert(record.size == 0);
                                break;
                        }
                        check(record, consumed);
                        bytering_consume(&ring);
                        consumed++;
                        break;
                case 3:
                        /* Up to one of those that were consumed; what was given back before stays so. */
                        if (consumed > released && bytes % 4 != 0) {
                                released += bytes % (consumed - released);
                                bytering_release_to(&ring, records[released].position);
                        } else {
                                released = consumed;
                                bytering_release(&ring);
                        }
                        break;
                }
                assert(bytering_is_empty(&ring) == (consumed == published));
                for (size_t i = released; i < committed; i += 1 + (committed - released) / 8)
                        check(bytering_record_at(&ring, records[i].position), i);
        }
        bytering_publish(&ring);
        for (; bytering_peek(&ring, &record); consumed++) {
                check(record, consumed);
                bytering_consume(&ring);
        }
        assert(consumed == committed);
        bytering_release(&ring);
        return 0;
}
