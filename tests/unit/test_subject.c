/* subject: cut at dots, hashed by position, and never a byte read outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "matcher/subject.h"

static struct subject_secrets secrets;

static int make_secrets(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        subject_secrets_init(&secrets, secret);
        return 0;
}

static struct subject_key token_key(size_t position, struct span token)
{
        return subject_token_key(&secrets, position, token);
}

/* The hash of token `position` as the subject has it. */
static struct subject_key key_at(const struct subject *subject, size_t position)
{
        return subject->tokens[position];
}

static void a_subject_is_cut_at_its_dots(void **state)
{
        (void)state;
        struct subject subject;
        assert_true(subject_read(&subject, &secrets, SPAN("orders.7.paid-in-full.by.someone")));
        assert_int_equal(subject.tokens_count, 5);
        assert_true(subject_key_equal(key_at(&subject, 0), token_key(0, SPAN("orders"))));
        assert_true(subject_key_equal(key_at(&subject, 1), token_key(1, SPAN("7"))));
        assert_true(subject_key_equal(key_at(&subject, 2), token_key(2, SPAN("paid-in-full"))));
        assert_true(subject_key_equal(key_at(&subject, 3), token_key(3, SPAN("by"))));
        assert_true(subject_key_equal(key_at(&subject, 4), token_key(4, SPAN("someone"))));
}

/* A dot at every place of a word, and tokens of every length, at an end that cannot be read past. */
static void cutting_reads_no_byte_outside_whatever_the_lengths(void **state)
{
        (void)state;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint8_t *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages, page, PROT_NONE), 0);
        assert_int_equal(mprotect(pages + 2 * page, page, PROT_NONE), 0);
        for (size_t first = 1; first <= 40; first++) {
                for (size_t second = 1; second <= 40; second++) {
                        size_t size = first + 1 + second;
                        uint8_t *places[] = {pages + page, pages + 2 * page - size};
                        for (size_t i = 0; i < array_count(places); i++) {
                                struct subject subject;
                                memset(places[i], 'x', size);
                                places[i][first] = '.';
                                assert_true(subject_read(&subject, &secrets, span_of(places[i], size)));
                                assert_int_equal(subject.tokens_count, 2);
                                assert_true(subject_key_equal(key_at(&subject, 0),
                                                              token_key(0, span_of(places[i], first))));
                                assert_true(subject_key_equal(key_at(&subject, 1),
                                                              token_key(1, span_of(places[i] + first + 1, second))));
                        }
                }
        }
        assert_int_equal(munmap(pages, 3 * page), 0);
}

static void an_empty_token_anywhere_is_refused(void **state)
{
        (void)state;
        static const char *const texts[] = {
                "",         ".", "..", ".a", "a.", "a..b", "a.b.", ".a.b", "1234567.", ".1234567", "1234567..12345678",
                "12345678."};
        struct subject subject;
        for (size_t i = 0; i < array_count(texts); i++)
                assert_false(subject_read(&subject, &secrets, span_of_text(texts[i])));
        assert_false(subject_read(&subject, &secrets, SPAN_NONE));
}

static void the_deepest_and_the_longest_subject_are_read_and_one_more_is_not(void **state)
{
        (void)state;
        uint8_t bytes[MATCH_SUBJECT_BYTES_MAX + 1];
        struct subject subject;
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = i % 2 == 0 ? 'a' : '.';
        size_t size = 2 * MATCH_TOKENS_MAX - 1;
        assert_true(subject_read(&subject, &secrets, span_of(bytes, size)));
        assert_int_equal(subject.tokens_count, MATCH_TOKENS_MAX);
        assert_false(subject_read(&subject, &secrets, span_of(bytes, size + 1)));
        assert_false(subject_read(&subject, &secrets, span_of(bytes, size + 2)));
        memset(bytes, 'a', sizeof bytes);
        assert_true(subject_read(&subject, &secrets, span_of(bytes, MATCH_SUBJECT_BYTES_MAX)));
        assert_false(subject_read(&subject, &secrets, span_of(bytes, MATCH_SUBJECT_BYTES_MAX + 1)));
}

/* All keys seen so far in one test, none of them twice. */
#define KEYS_MAX 40000
static struct subject_key keys[KEYS_MAX];
static size_t keys_count;

static void see(struct subject_key key)
{
        assert_true(keys_count < KEYS_MAX);
        keys[keys_count++] = key;
}

static int by_lo(const void *a, const void *b)
{
        const struct subject_key *left = a, *right = b;
        return (left->lo > right->lo) - (left->lo < right->lo);
}

static int by_hi(const void *a, const void *b)
{
        const struct subject_key *left = a, *right = b;
        return (left->hi > right->hi) - (left->hi < right->hi);
}

/* Either half alone tells them apart: with this few, chance has no say. */
static void assert_all_different(void)
{
        qsort(keys, keys_count, sizeof keys[0], by_lo);
        for (size_t i = 1; i < keys_count; i++)
                assert_true(keys[i - 1].lo != keys[i].lo);
        qsort(keys, keys_count, sizeof keys[0], by_hi);
        for (size_t i = 1; i < keys_count; i++)
                assert_true(keys[i - 1].hi != keys[i].hi);
        keys_count = 0;
}

static void tokens_that_look_alike_hash_apart(void **state)
{
        (void)state;
        /* Runs of one byte, where overlapping words are the same at every length; zero bytes among them. */
        static const uint8_t fills[] = {0, 1, 'a', 0xff};
        uint8_t bytes[200];
        for (size_t i = 0; i < array_count(fills); i++) {
                memset(bytes, fills[i], sizeof bytes);
                for (size_t size = 1; size <= sizeof bytes; size++)
                        see(token_key(0, span_of(bytes, size)));
        }
        /* One byte changed, at each place of each length. */
        memset(bytes, 'a', sizeof bytes);
        for (size_t size = 1; size <= 70; size++) {
                for (size_t i = 0; i < size; i++) {
                        bytes[i] = 'b';
                        see(token_key(0, span_of(bytes, size)));
                        bytes[i] = 'a';
                }
        }
        assert_all_different();
        /* Tokens that continue so that the last word, XOR the length, is that of their own beginning: they would be one
         * were the length not multiplied by a secret. */
        for (size_t size = 9; size < 16; size++) {
                for (size_t longer = size + 1; longer <= 16; longer++) {
                        uint8_t token[16] = "abcdefgh";
                        for (size_t i = longer - 8; i < longer; i++)
                                token[i] = token[i - (longer - size)] ^ (uint8_t)(i == longer - 8 ? size ^ longer : 0);
                        see(token_key(0, span_of(token, size)));
                        see(token_key(0, span_of(token, longer)));
                        assert_all_different();
                }
        }
}

static void the_same_token_hashes_apart_at_each_position(void **state)
{
        (void)state;
        struct subject subject;
        static const struct span texts[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"aaaaaaaaaaaaaaaaaaaa", 20}};
        for (size_t i = 0; i < array_count(texts); i++)
                for (size_t position = 0; position < MATCH_TOKENS_MAX; position++)
                        see(token_key(position, texts[i]));
        assert_all_different();
        assert_true(subject_read(&subject, &secrets, SPAN("a.b")));
        see(subject.all);
        assert_true(subject_read(&subject, &secrets, SPAN("b.a")));
        see(subject.all);
        assert_true(subject_read(&subject, &secrets, SPAN("a.a")));
        see(subject.all);
        assert_all_different();
}

static void another_secret_gives_other_hashes(void **state)
{
        (void)state;
        static struct subject_secrets others;
        uint8_t secret[16] = "sixteen byte key";
        see(token_key(0, SPAN("a")));
        for (size_t bit = 0; bit < 128; bit++) {
                secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
                subject_secrets_init(&others, secret);
                see(subject_token_key(&others, 0, SPAN("a")));
                secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_all_different();
}

static void walking_the_tokens_tells_an_empty_last_one_from_the_end(void **state)
{
        (void)state;
        struct span rest = SPAN("a..bc."), token;
        bool more = true;
        assert_true(subject_next_token(&rest, &more, &token));
        assert_true(span_equal(token, SPAN("a")));
        assert_true(subject_next_token(&rest, &more, &token));
        assert_int_equal(token.size, 0);
        assert_true(subject_next_token(&rest, &more, &token));
        assert_true(span_equal(token, SPAN("bc")));
        assert_true(subject_next_token(&rest, &more, &token));
        assert_int_equal(token.size, 0);
        assert_false(subject_next_token(&rest, &more, &token));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_subject_is_cut_at_its_dots),
                cmocka_unit_test(cutting_reads_no_byte_outside_whatever_the_lengths),
                cmocka_unit_test(an_empty_token_anywhere_is_refused),
                cmocka_unit_test(the_deepest_and_the_longest_subject_are_read_and_one_more_is_not),
                cmocka_unit_test(tokens_that_look_alike_hash_apart),
                cmocka_unit_test(the_same_token_hashes_apart_at_each_position),
                cmocka_unit_test(another_secret_gives_other_hashes),
                cmocka_unit_test(walking_the_tokens_tells_an_empty_last_one_from_the_end),
        };
        return cmocka_run_group_tests(tests, make_secrets, NULL);
}
