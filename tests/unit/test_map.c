/* map: finds what an array that is searched from end to end finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/map.h"
#include "engine/base/random.h"

struct thing {
        struct map_node node;
        unsigned key;
        bool is_in;
};

#define THINGS 4000

/* Few hashes, so that equal ones are common, and all but the high bits equal, so that buckets are, too. */
static uint64_t hash_of(unsigned key)
{
        return (uint64_t)(key % 701) << 40;
}

static void a_zeroed_map_can_be_torn_down(void **state)
{
        (void)state;
        struct map map = {0};
        map_fini(&map);
}

static void an_empty_map_finds_nothing(void **state)
{
        (void)state;
        struct map map;
        assert_int_equal(map_init(&map, 0), 0);
        assert_null(map_first(&map, 0));
        assert_null(map_first(&map, 42));
        map_fini(&map);
}

static void an_expected_size_needs_no_growth(void **state)
{
        (void)state;
        struct map map;
        static struct map_node nodes[1000];
        assert_int_equal(map_init(&map, 1000), 0);
        struct map_node **buckets = map.buckets;
        for (size_t i = 0; i < 1000; i++)
                map_insert(&map, &nodes[i], i * 7919);
        assert_ptr_equal(map.buckets, buckets);
        map_fini(&map);
}

static void growing_moves_a_few_buckets_an_insert(void **state)
{
        (void)state;
        struct map map;
        static struct map_node nodes[100000];
        size_t growths = 0;
        assert_int_equal(map_init(&map, 0), 0);
        for (size_t i = 0; i < array_count(nodes); i++) {
                bool was_growing = map.previous != NULL;
                size_t moved_before = map.moved_count;
                size_t previous_count = map.previous_count;
                map_insert(&map, &nodes[i], i);
                if (was_growing && map.previous == NULL)
                        assert_true(previous_count - moved_before <= 8);
                else if (was_growing)
                        assert_true(map.moved_count - moved_before <= 8);
                else if (map.previous != NULL)
                        growths++;
        }
        assert_true(growths >= 10);
        assert_true(map.buckets_count >= array_count(nodes) / 2);
        for (size_t i = 0; i < array_count(nodes); i++)
                assert_ptr_equal(map_first(&map, i), &nodes[i]);
        map_fini(&map);
}

static void a_map_can_go_at_any_moment_of_its_growth(void **state)
{
        (void)state;
        static struct map_node nodes[90000];
        for (size_t count = 1; count <= array_count(nodes); count += 1 + count / 20) {
                struct map map;
                assert_int_equal(map_init(&map, 0), 0);
                for (size_t i = 0; i < count; i++)
                        map_insert(&map, &nodes[i], i);
                for (size_t i = 0; i < count; i++)
                        assert_ptr_equal(map_first(&map, i), &nodes[i]);
                map_fini(&map);
                map_fini(&map);
        }
}

static struct thing *find(const struct map *map, unsigned key)
{
        for (struct map_node *n = map_first(map, hash_of(key)); n != NULL; n = map_next(n)) {
                assert_int_equal(n->hash, hash_of(key));
                if (container_of(n, struct thing, node)->key == key)
                        return container_of(n, struct thing, node);
        }
        return NULL;
}

static void check_all(const struct map *map, const struct thing *things)
{
        size_t in_count = 0;
        for (unsigned key = 0; key < THINGS; key++) {
                assert_ptr_equal(find(map, key), things[key].is_in ? &things[key] : NULL);
                in_count += things[key].is_in;
        }
        assert_int_equal(map->nodes_count, in_count);
        for (unsigned key = 0; key < 701; key++) {
                size_t expected = 0, walked = 0;
                for (unsigned other = key; other < THINGS; other += 701)
                        expected += things[other].is_in;
                for (struct map_node *n = map_first(map, hash_of(key)); n != NULL; n = map_next(n))
                        walked++;
                assert_int_equal(walked, expected);
        }
}

static void random_inserts_and_removals_agree_with_an_array(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 8; seed++) {
                struct map map;
                struct random random;
                static struct thing things[THINGS];
                random_init(&random, seed);
                assert_int_equal(map_init(&map, 0), 0);
                for (unsigned key = 0; key < THINGS; key++)
                        things[key] = (struct thing){.key = key};
                for (int step = 0; step < 20000; step++) {
                        struct thing *thing = &things[random_below(&random, THINGS)];
                        assert_ptr_equal(find(&map, thing->key), thing->is_in ? thing : NULL);
                        if (thing->is_in) {
                                /* Mostly growing, so that many steps see two tables. */
                                if (random_chance(&random, 1, 2))
                                        continue;
                                map_remove(&map, &thing->node);
                        } else {
                                map_insert(&map, &thing->node, hash_of(thing->key));
                        }
                        thing->is_in = !thing->is_in;
                        if (step % 500 == 0 || map.previous != NULL)
                                if (random_chance(&random, 1, 50))
                                        check_all(&map, things);
                }
                check_all(&map, things);
                for (unsigned key = 0; key < THINGS; key++)
                        if (things[key].is_in)
                                map_remove(&map, &things[key].node);
                assert_int_equal(map.nodes_count, 0);
                map_fini(&map);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_zeroed_map_can_be_torn_down),
                cmocka_unit_test(an_empty_map_finds_nothing),
                cmocka_unit_test(an_expected_size_needs_no_growth),
                cmocka_unit_test(growing_moves_a_few_buckets_an_insert),
                cmocka_unit_test(a_map_can_go_at_any_moment_of_its_growth),
                cmocka_unit_test(random_inserts_and_removals_agree_with_an_array),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
