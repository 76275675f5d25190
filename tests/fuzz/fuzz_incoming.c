/* fuzz_incoming: what a hostile server says to the client commands gives the same operations however it is cut, and
 * each of them lies within what was said. */
#include <errno.h>

#include "engine/cli/incoming.h"
#include "tests/fuzz/fuzz.h"
#include "tests/seeded.h"

#define OPERATIONS_MAX 64

struct heard {
        ssize_t taken[OPERATIONS_MAX]; /* the last may be an error */
        struct incoming operations[OPERATIONS_MAX];
        size_t count;
};

static bool lies_within(struct span part, struct span whole)
{
        return part.size == 0 || (part.bytes >= whole.bytes && part.bytes + part.size <= whole.bytes + whole.size);
}

static void check_headers(struct span headers)
{
        struct span rest = headers, name, value;
        int status = incoming_status(headers);
        assert(status >= 0 && status <= 999);
        while (incoming_next_header(&rest, &name, &value)) {
                assert(lies_within(name, headers) && lies_within(value, headers));
                assert(name.size == 0 || memchr(name.bytes, ':', name.size) == NULL);
                assert(value.size == 0 || memchr(value.bytes, '\n', value.size) == NULL);
        }
}

static void check_operation(const struct incoming *operation, struct span whole)
{
        const struct span parts[] = {operation->subject, operation->sid,     operation->reply,
                                     operation->headers, operation->payload, operation->argument};
        for (size_t i = 0; i < array_count(parts); i++)
                assert(lies_within(parts[i], whole));
        if (operation->kind == INCOMING_MESSAGE)
                assert(operation->subject.size > 0 && operation->sid.size > 0);
        check_headers(operation->headers);
}

/* The spans are compared by what they say, as they point into copies that are gone. */
static void note(struct heard *heard, ssize_t taken, const struct incoming *operation, const uint8_t *copy)
{
        struct incoming *kept = &heard->operations[heard->count];
        *kept = *operation;
        struct span *const parts[] = {&kept->subject, &kept->sid,     &kept->reply,
                                      &kept->headers, &kept->payload, &kept->argument};
        for (size_t i = 0; i < array_count(parts); i++)
                parts[i]->bytes = parts[i]->size == 0 ? NULL : (const uint8_t *)(uintptr_t)(parts[i]->bytes - copy + 1);
        heard->taken[heard->count++] = taken;
}

static void hear(struct heard *heard, struct span text, size_t chunk_max, uint64_t seed)
{
        size_t have = 0, begin = 0;
        *heard = (struct heard){0};
        while (have < text.size && heard->count < OPERATIONS_MAX) {
                size_t chunk = 1 + seeded_below(&seed, chunk_max);
                have += chunk < text.size - have ? chunk : text.size - have;
                for (ssize_t taken = 1; taken > 0 && heard->count < OPERATIONS_MAX;) {
                        struct incoming operation;
                        struct span in = span_of(text.bytes + begin, have - begin);
                        uint8_t *copy = fuzz_copy(in);
                        taken = incoming_decode(span_of(copy, in.size), &operation);
                        assert(taken <= (ssize_t)in.size);
                        assert(taken >= 0 || taken == -EPROTO || taken == -EMSGSIZE);
                        if (taken > 0) {
                                check_operation(&operation, span_of(copy, (size_t)taken));
                                note(heard, taken, &operation, copy);
                                begin += (size_t)taken;
                        }
                        free(copy);
                        if (taken < 0) {
                                heard->taken[heard->count++] = taken;
                                return;
                        }
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct heard whole, split;
        struct span input = span_of(data, size);
        uint8_t seed = fuzz_byte(&input);
        hear(&whole, input, SIZE_MAX, 0);
        hear(&split, input, input.size <= 256 ? 1 : 1 + seed % 64, seed);
        assert(whole.count == split.count);
        for (size_t i = 0; i < whole.count; i++) {
                assert(whole.taken[i] == split.taken[i]);
                assert(memcmp(&whole.operations[i], &split.operations[i], sizeof whole.operations[i]) == 0);
        }
        check_headers(input);
        return 0;
}
