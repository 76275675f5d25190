/* fuzz_conflation: an operation is superseded where a later one has its key, and only there; over rounds, for what a
 * round leaves in the table must not be seen by the next.
 *
 *      op  a byte: 0xff: the next round; else the size of a key (0: none), whose bytes follow */
#include "engine/conflation.h"
#include "tests/fuzz/fuzz.h"

#define OPERATIONS_MAX 512

static struct {
        struct span key;
        size_t bytes;
} operations[OPERATIONS_MAX];

static void check(const struct conflation *conflation, size_t count)
{
        uint64_t bytes = 0;
        size_t last = 0;
        for (size_t i = 0; i < count; i++) {
                bool is_superseded = false;
                for (size_t later = i + 1; later < count; later++)
                        is_superseded |=
                                operations[i].key.size > 0 && span_equal(operations[i].key, operations[later].key);
                assert(conflation_is_superseded(conflation, (uint32_t)i) == is_superseded);
                bytes += is_superseded ? operations[i].bytes : 0;
                last = is_superseded ? i + 1 : last;
        }
        assert(conflation->bytes == bytes && conflation->last == last);
        assert(!conflation_is_superseded(conflation, (uint32_t)count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct conflation conflation;
        struct span input = span_of(data, size);
        size_t count = 0;
        if (!conflation_is_there(&conflation) && conflation_init(&conflation, 7) != 0)
                abort();
        conflation_begin(&conflation);
        while (input.size > 0) {
                uint8_t op = fuzz_byte(&input);
                if (op == 0xff || count == OPERATIONS_MAX) {
                        check(&conflation, count);
                        conflation_begin(&conflation);
                        count = 0;
                        continue;
                }
                operations[count].key = fuzz_bytes(&input, op % 4);
                operations[count].bytes = 1 + op;
                bool is_noted = conflation_note(&conflation, operations[count].key, operations[count].bytes);
                assert(is_noted);
                count++;
        }
        check(&conflation, count);
        return 0;
}
