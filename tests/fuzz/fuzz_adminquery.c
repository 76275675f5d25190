/* fuzz_adminquery: a query of the admin address is read as the plainest reader would, and what is percent-encoded comes
 * back as it was.
 *
 *      byte 0, 1   which keys the page takes
 *      byte 2…     the query */
#include <errno.h>

#include "engine/admin/adminquery.h"
#include "engine/admin/connz.h"
#include "engine/question.h"
#include "tests/fuzz/fuzz.h"

static const struct {
        const char *name;
        enum adminquery_key key;
        int kind; /* a number, a word, or nothing behind it */
} keys[] = {{"limit", ADMINQUERY_LIMIT, 'n'},     {"from", ADMINQUERY_FROM, 'n'},
            {"reactor", ADMINQUERY_REACTOR, 'n'}, {"sort", ADMINQUERY_SORT, 'w'},
            {"verbose", ADMINQUERY_VERBOSE, '-'}, {"offset", ADMINQUERY_OFFSET, 'n'},
            {"subs", ADMINQUERY_SUBS, 'w'},       {"auth", ADMINQUERY_AUTH, 'w'},
            {"state", ADMINQUERY_STATE, 'w'},     {"subject", ADMINQUERY_SUBJECT, 'w'},
            {"user", ADMINQUERY_USER, 'w'}};

static bool is_number(struct span value)
{
        bool is_read = value.size >= 1 && value.size <= 9;
        for (size_t i = 0; i < value.size; i++)
                is_read &= value.bytes[i] >= '0' && value.bytes[i] <= '9';
        return is_read;
}

/* The value of the n-th key, that stands in `query` once; the verdict in *is_taken. */
static void read_plainly(struct span query, unsigned taken, bool *is_taken, unsigned *given)
{
        *given = 0;
        *is_taken = true;
        while (query.size > 0) {
                struct span part = fuzz_until(&query, '&');
                bool has_value = part.size > 0 && memchr(part.bytes, '=', part.size) != NULL;
                struct span value = part;
                struct span name = fuzz_until(&value, '=');
                unsigned found = 0;
                for (size_t i = 0; i < array_count(keys); i++)
                        if (span_equal(name, span_of_text(keys[i].name))) {
                                found = keys[i].key;
                                *is_taken &= keys[i].kind == 'n' ? is_number(value) : keys[i].kind == '-' || has_value;
                        }
                *is_taken &= (found & taken) != 0 && (found & *given) == 0;
                if (!*is_taken)
                        return;
                *given |= found;
        }
}

static void check_encoding(struct span text)
{
        static const char digits[] = "0123456789abcdefABCDEF";
        uint8_t *encoded = malloc(3 * text.size + 1), *decoded = malloc(3 * text.size + 1);
        size_t size = 0;
        for (size_t i = 0; i < text.size; i++) {
                uint8_t byte = text.bytes[i];
                if (byte % 3 == 0 && byte != '%') {
                        encoded[size++] = byte;
                        continue;
                }
                encoded[size++] = '%';
                encoded[size++] = (uint8_t)digits[byte >> 4];
                encoded[size++] = (uint8_t)digits[(byte & 15) >= 10 && i % 2 == 0 ? (byte & 15) + 6 : byte & 15];
        }
        assert(adminquery_decode(span_of(encoded, size), decoded) == (ssize_t)text.size);
        assert(text.size == 0 || memcmp(decoded, text.bytes, text.size) == 0);
        free(encoded);
        free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        unsigned taken = (unsigned)fuzz_number(&input, 2);
        uint8_t *copy = fuzz_copy(input), *room = fuzz_copy(input);
        struct span query = span_of(copy, input.size);
        struct adminquery read = {.limit = 7, .from = 7, .reactor = 7, .offset = 7};
        bool is_taken;
        unsigned given;
        read_plainly(query, taken, &is_taken, &given);
        assert(adminquery_read(query, taken, &read) == is_taken);
        if (is_taken) {
                assert(read.given == given);
                assert(read.limit <= 999999999 && read.from <= 999999999 && read.reactor <= 999999999);
                assert((given & ADMINQUERY_LIMIT) != 0 || read.limit == 7);
        }
        ssize_t decoded = adminquery_decode(query, room);
        assert(decoded == -EPROTO || (decoded >= 0 && (size_t)decoded <= query.size));
        assert(decoded >= 0 || memchr(copy, '%', query.size) != NULL);
        check_encoding(query);

        struct question_terms terms;
        char error[CONNZ_ERROR_BYTES] = "";
        if (!connz_read(query, &terms, error))
                assert(error[0] != '\0');
        free(copy);
        free(room);
        return 0;
}
