/* addresses: what counts as one, and counts compared with a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/addresses.h"
#include "engine/base/random.h"

#define SEED 42

static uint64_t hash_of(const char *address)
{
        return addresses_hash(span_of_text(address), SEED);
}

static void the_port_does_not_count(void **state)
{
        (void)state;
        assert_true(hash_of("127.0.0.1:1") == hash_of("127.0.0.1:65535"));
        assert_true(hash_of("127.0.0.1:1") != hash_of("127.0.0.2:1"));
        assert_true(hash_of("[::1]:1") == hash_of("[::1]:2"));
        assert_true(addresses_hash(SPAN("127.0.0.1:1"), SEED) != addresses_hash(SPAN("127.0.0.1:1"), SEED + 1));
}

static void a_host_counts_once_whichever_of_its_ipv6_addresses_it_takes(void **state)
{
        (void)state;
        assert_true(hash_of("[2001:db8:1:2::3]:1") == hash_of("[2001:db8:1:2:ffff:ffff:ffff:ffff]:1"));
        assert_true(hash_of("[2001:db8:1:2::3]:1") != hash_of("[2001:db8:1:3::3]:1"));
        assert_true(hash_of("[fe80::1%eth0]:1") == hash_of("[fe80::2]:1"));
        /* IPv4 in IPv6 is IPv4. */
        assert_true(hash_of("[::ffff:10.0.0.1]:1") == hash_of("10.0.0.1:9"));
        assert_true(hash_of("[::ffff:10.0.0.1]:1") != hash_of("[::ffff:10.0.0.2]:1"));
}

static void what_is_no_internet_address_is_not_counted(void **state)
{
        (void)state;
        static const char *const others[] = {
                "",        "unix",    "unix:/run/x",
                "unknown", "[",       "[]:1",
                "[x]:1",   "1.2.3:4", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25.26.27.28"};
        for (size_t i = 0; i < array_count(others); i++)
                if (hash_of(others[i]) != 0)
                        fail_msg("\"%s\" is taken for an address", others[i]);
}

static void counts_go_up_and_down_and_stay_apart(void **state)
{
        (void)state;
        struct addresses addresses;
        uint64_t one = hash_of("10.0.0.1:1"), two = hash_of("10.0.0.2:1");
        assert_int_equal(addresses_init(&addresses, 100), 0);
        assert_int_equal(addresses_count(&addresses, one), 0);
        uint32_t places[3] = {addresses_enter(&addresses, one), addresses_enter(&addresses, two),
                              addresses_enter(&addresses, one)};
        assert_int_equal(addresses_count(&addresses, one), 2);
        assert_int_equal(addresses_count(&addresses, two), 1);
        addresses_leave(&addresses, places[0]);
        assert_int_equal(addresses_count(&addresses, one), 1);
        addresses_leave(&addresses, places[2]);
        addresses_leave(&addresses, places[1]);
        addresses_leave(&addresses, 0);
        assert_int_equal(addresses_count(&addresses, one), 0);
        assert_int_equal(addresses_count(&addresses, two), 0);
        addresses_fini(&addresses);
}

/* A thousand lives from few addresses, against an array that counts them. */
static void counts_are_what_an_array_counts(void **state)
{
        (void)state;
        enum { ADDRESSES_COUNT = 300, CONNS_MAX = 200, STEPS = 20000 };
        struct addresses addresses;
        struct random random;
        uint64_t hashes[ADDRESSES_COUNT];
        uint32_t counts[ADDRESSES_COUNT] = {0};
        struct {
                uint32_t from, place;
        } conns[CONNS_MAX];
        uint32_t conns_count = 0, uncounted = 0;
        random_init(&random, SEED);
        assert_int_equal(addresses_init(&addresses, CONNS_MAX), 0);
        for (uint32_t i = 0; i < ADDRESSES_COUNT; i++) {
                char text[32];
                snprintf(text, sizeof text, "10.0.%u.%u:7", i / 256, i % 256);
                hashes[i] = hash_of(text);
        }
        for (int step = 0; step < STEPS; step++) {
                if (conns_count < CONNS_MAX && random_below(&random, 2) == 0) {
                        uint32_t from = (uint32_t)random_below(&random, ADDRESSES_COUNT);
                        uint32_t place = addresses_enter(&addresses, hashes[from]);
                        if (place == 0) {
                                uncounted++;
                                continue;
                        }
                        conns[conns_count].from = from;
                        conns[conns_count++].place = place;
                        counts[from]++;
                } else if (conns_count > 0) {
                        uint32_t who = (uint32_t)random_below(&random, conns_count);
                        addresses_leave(&addresses, conns[who].place);
                        counts[conns[who].from]--;
                        conns[who] = conns[--conns_count];
                }
                uint32_t asked = (uint32_t)random_below(&random, ADDRESSES_COUNT);
                assert_int_equal(addresses_count(&addresses, hashes[asked]), counts[asked]);
        }
        assert_true(uncounted < STEPS / 1000);
        addresses_fini(&addresses);
}

static void a_full_bucket_lets_in_uncounted(void **state)
{
        (void)state;
        struct addresses addresses;
        uint32_t places[9];
        assert_int_equal(addresses_init(&addresses, 1), 0); /* one bucket */
        for (unsigned i = 0; i < 9; i++) {
                char text[32];
                snprintf(text, sizeof text, "10.0.0.%u:7", i);
                places[i] = addresses_enter(&addresses, hash_of(text));
                assert_true((places[i] != 0) == (i < 8));
        }
        assert_int_equal(addresses_count(&addresses, hash_of("10.0.0.8:1")), 0);
        addresses_leave(&addresses, places[3]);
        assert_true(addresses_enter(&addresses, hash_of("10.0.0.8:1")) != 0);
        assert_int_equal(addresses_count(&addresses, hash_of("10.0.0.8:1")), 1);
        assert_int_equal(addresses_count(&addresses, hash_of("10.0.0.3:1")), 0);
        addresses_fini(&addresses);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_port_does_not_count),
                cmocka_unit_test(a_host_counts_once_whichever_of_its_ipv6_addresses_it_takes),
                cmocka_unit_test(what_is_no_internet_address_is_not_counted),
                cmocka_unit_test(counts_go_up_and_down_and_stay_apart),
                cmocka_unit_test(counts_are_what_an_array_counts),
                cmocka_unit_test(a_full_bucket_lets_in_uncounted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
