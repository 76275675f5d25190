/* sha1: the published examples, and every length around the end of a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/sha1.h"

static void check(struct span text, const char *expected)
{
        uint8_t digest[SHA1_BYTES];
        char found[2 * SHA1_BYTES + 1];
        sha1(text, digest);
        for (size_t i = 0; i < SHA1_BYTES; i++)
                snprintf(found + 2 * i, 3, "%02x", digest[i]);
        assert_string_equal(found, expected);
}

static void the_published_examples_hold(void **state)
{
        (void)state;
        check(SPAN(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(SPAN("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(SPAN("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        /* RFC 6455, 1.3 */
        check(SPAN("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
              "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
}

/* What Python's hashlib says of the digests of 0, 1, ... 129 times 'a', one behind the other. */
static void every_length_around_a_block_holds(void **state)
{
        (void)state;
        uint8_t text[129], digests[130 * SHA1_BYTES];
        memset(text, 'a', sizeof(text));
        for (size_t size = 0; size <= sizeof(text); size++)
                sha1(span_of(text, size), digests + size * SHA1_BYTES);
        check(span_of(digests, sizeof(digests)), "f4def80e0e53c803b671aed255f87d83c3a1fe29");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_published_examples_hold),
                cmocka_unit_test(every_length_around_a_block_holds),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
