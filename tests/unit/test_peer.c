/* peer: whatever is held back, for however long and however often, every operation is taken whole, once and in order,
 * and the peer's end comes behind the last.
 *
 * The protocol under test speaks numbered operations of any size and is held by chance, in front of one or behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "engine/reactor.h"
#include "io/sim.h"

#define PEERS 6
#define HEAD_BYTES 8 /* size of the whole, number */

struct talker {
        struct sim_peer *peer;
        struct peer *of;         /* the engine's end */
        uint32_t written, heard; /* operations */
        uint32_t holds_count;
        bool is_shut, has_ended;
};

static struct talker talkers[PEERS];
static struct random chances;
static uint64_t hold_1024; /* how often an operation is held, in 1/1024 */

static const enum peer_hold kinds[] = {PEER_HELD_SUBSCRIBE, PEER_HELD_LOGIN, PEER_HELD_QUESTION, PEER_HELD_LAG};

static uint8_t byte_of(uint32_t number, uint32_t i)
{
        return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static struct talker *talker_of(const struct peer *peer)
{
        for (size_t i = 0; i < PEERS; i++)
                if (talkers[i].of == peer)
                        return &talkers[i];
        return NULL;
}

static void numbers_opened(struct reactor *reactor, struct peer *peer)
{
        for (size_t i = 0; i < PEERS; i++)
                if (talkers[i].peer != NULL && sim_peer_io(talkers[i].peer) == reactor->io &&
                    sim_peer_id(talkers[i].peer) == peer->lane.id)
                        talkers[i].of = peer;
}

static void hold_by_chance(struct reactor *reactor, struct peer *peer, struct talker *talker)
{
        if (!random_chance(&chances, hold_1024, 1024))
                return;
        talker->holds_count++;
        peer_hold(reactor, peer, kinds[random_below(&chances, array_count(kinds))]);
}

static size_t numbers_take(struct reactor *reactor, struct peer *peer, struct span in, bool one, size_t *needed)
{
        struct talker *talker = talker_of(peer);
        size_t taken = 0;
        *needed = 0;
        assert_int_equal(peer->holds, 0);
        assert_int_equal(peer->state, PEER_OPEN);
        while (taken < in.size) {
                uint32_t size, number;
                const uint8_t *at = in.bytes + taken;
                if (in.size - taken < HEAD_BYTES)
                        return taken;
                memcpy(&size, at, sizeof size);
                memcpy(&number, at + sizeof size, sizeof number);
                assert_int_equal(number, talker->heard);
                if (in.size - taken < size) {
                        *needed = size;
                        return taken;
                }
                hold_by_chance(reactor, peer, talker);
                if (peer->holds != 0)
                        return taken;
                for (uint32_t i = HEAD_BYTES; i < size; i++)
                        if (at[i] != byte_of(number, i))
                                fail_msg("operation %u has a wrong byte at %u of %u", number, i, size);
                talker->heard++;
                taken += size;
                hold_by_chance(reactor, peer, talker);
                if (one || peer->holds != 0)
                        return taken;
        }
        return taken;
}

static void numbers_ticked(struct reactor *reactor, struct peer *peer)
{
        (void)reactor;
        (void)peer;
}

static void numbers_ended(struct reactor *reactor, struct peer *peer)
{
        struct talker *talker = talker_of(peer);
        (void)reactor;
        talker->has_ended = true;
        talker->of = NULL; /* soon another's memory */
}

static void numbers_describe(const struct peer *peer, struct peer_description *description)
{
        *description = (struct peer_description){.reader = {.connection = peer->lane.id}};
}

static const struct peer_protocol numbers = {
        .name = "numbers",
        .bytes = sizeof(struct peer),
        .opened = numbers_opened,
        .take = numbers_take,
        .ticked = numbers_ticked,
        .ended = numbers_ended,
        .describe = numbers_describe,
};

/* One more operation, in pieces of any size. */
static void speak(struct talker *talker)
{
        static uint8_t bytes[200000];
        static const uint32_t size_max[] = {12, 100, 5000, 70000};
        uint32_t size = HEAD_BYTES + (uint32_t)random_below(&chances, size_max[random_below(&chances, 4)]);
        uint32_t number = talker->written++;
        memcpy(bytes, &size, sizeof size);
        memcpy(bytes + sizeof size, &number, sizeof number);
        for (uint32_t i = HEAD_BYTES; i < size; i++)
                bytes[i] = byte_of(number, i);
        for (uint32_t done = 0, part; done < size; done += part) {
                part = 1 + (uint32_t)random_below(&chances, size - done);
                sim_peer_write(talker->peer, span_of(bytes + done, part));
        }
}

static void let_go_by_chance(struct reactor *reactor, uint64_t chance_1024)
{
        for (size_t i = 0; i < PEERS; i++)
                for (size_t k = 0; talkers[i].of != NULL && k < array_count(kinds); k++)
                        if (random_chance(&chances, chance_1024, 1024))
                                peer_release(reactor, talkers[i].of, kinds[k]);
}

/* One reactor on a simulated network, and what is under test listening there. */
struct world {
        struct cores *cores;
        struct reactor *reactor;
        struct io *io;
};

static void world_init(struct world *world, const struct sim_settings *sim, uint64_t seed, uint64_t held_1024)
{
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = 64};
        struct cores_settings cores_settings = {.count = 1, .patterns_max = 10, .secret = "a secret of 16b"};
        struct reactor_settings settings = {
                .memory_bytes = (size_t)32 << 20,
                .lag_bytes_max = 1 << 20,
                .stall_ns_max = NS_PER_S,
                .conns_max = 32,
                .seed = seed,
        };
        char bound[IO_ADDRESS_BYTES_MAX];
        memset(talkers, 0, sizeof talkers);
        random_init(&chances, seed);
        hold_1024 = held_1024;
        assert_int_equal(sim_start(&world->io, &io_settings, sim), 0);
        assert_int_equal(cores_new(&world->cores, &cores_settings), 0);
        assert_int_equal(reactor_new(&world->reactor, &settings, world->cores, world->io), 0);
        assert_int_equal(reactor_listen(world->reactor, "10.0.0.1:1", &numbers, bound), 0);
}

static void world_fini(struct world *world)
{
        reactor_free(world->reactor);
        cores_free(world->cores);
}

static uint32_t run(uint64_t seed)
{
        struct sim_settings sim = sim_settings_rough(seed, seed % 2 == 0 ? SIM_KERNEL : SIM_TCP);
        struct world world;
        uint32_t holds_count = 0;
        sim.reset = 0;
        if (sim.segment_bytes_max < 512)
                sim.segment_bytes_max = 512;
        world_init(&world, &sim, seed + 1, (uint64_t)1 << seed % 10);
        struct reactor *reactor = world.reactor;
        struct io *io = world.io;
        for (size_t i = 0; i < PEERS; i++)
                talkers[i].peer = sim_connect(io, 0);
        for (unsigned turn = 0; turn < 300; turn++) {
                struct talker *talker = &talkers[random_below(&chances, PEERS)];
                if (!talker->is_shut && talker->written < 60)
                        speak(talker);
                if (!talker->is_shut && random_chance(&chances, 1, 50)) {
                        talker->is_shut = true;
                        sim_peer_shutdown(talker->peer);
                }
                let_go_by_chance(reactor, 100);
                reactor_turn(reactor, io_now_ns(io) + random_below(&chances, 200000));
        }
        for (size_t i = 0; i < PEERS; i++)
                if (!talkers[i].is_shut)
                        sim_peer_shutdown(talkers[i].peer);
        for (unsigned turn = 0; reactor->peers_count > 0; turn++) {
                assert_true(turn < 100000);
                let_go_by_chance(reactor, 500);
                reactor_turn(reactor, io_now_ns(io) + 100000);
        }
        for (size_t i = 0; i < PEERS; i++) {
                assert_true(talkers[i].has_ended);
                assert_int_equal(talkers[i].heard, talkers[i].written);
                holds_count += talkers[i].holds_count;
        }
        assert_int_equal(reactor->kept_bytes, 0);
        assert_int_equal(reactor->lanes.memory.taken_bytes, 0);
        world_fini(&world);
        return holds_count;
}

static void held_input_is_taken_whole_and_in_order(void **state)
{
        (void)state;
        uint64_t holds_count = 0;
        epoch_register();
        for (uint64_t seed = 1; seed <= 150; seed++)
                holds_count += run(seed);
        epoch_unregister();
        assert_true(holds_count > 5000);
}

/* The backend has gone before its connections have: nobody may resume them. */
static void a_reactor_ends_while_input_is_paused(void **state)
{
        (void)state;
        struct sim_settings sim = sim_settings_calm(1, SIM_KERNEL);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 1, 1024);
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        for (unsigned turn = 0; talker->of == NULL || !talker->of->is_paused; turn++) {
                assert_true(turn < 10000);
                if (talker->written < 100)
                        speak(talker);
                reactor_turn(world.reactor, io_now_ns(world.io) + 100000);
        }
        world_fini(&world);
        assert_true(talker->has_ended);
        epoch_unregister();
}

static void turn_for(struct world *world, uint64_t ns)
{
        for (uint64_t until_ns = io_now_ns(world->io) + ns; io_now_ns(world->io) < until_ns;)
                reactor_turn(world->reactor, until_ns);
}

/* What the network has taken counts as made, so the reader must be able to read it: a socket that is closed answers
 * whatever the reader says with a reset, which throws away what lies there unread. */
static void a_peer_that_was_cut_reads_what_the_network_has_for_it(void **state)
{
        (void)state;
        static uint8_t operation[4096], got[1 << 20];
        struct sim_settings sim = sim_settings_calm(3, SIM_KERNEL);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 3, 0);
        struct lanes *lanes = &world.reactor->lanes;
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        while (talker->of == NULL)
                turn_for(&world, NS_PER_MS);
        sim_peer_stall(talker->peer);
        struct lane *lane = &talker->of->lane;
        for (unsigned i = 0; i < 100; i++) {
                memcpy(lane_reserve(lanes, lane, sizeof operation, 0), operation, sizeof operation);
                lane_commit(lanes, lane, sizeof operation, 0);
                turn_for(&world, NS_PER_MS);
        }
        while (!talker->has_ended)
                turn_for(&world, NS_PER_MS);
        reactor_sample(world.reactor);
        uint64_t released_bytes = counter_read(&world.reactor->counters, COUNT_DELIVERIES_RELEASED) * sizeof operation;
        turn_for(&world, 3 * NS_PER_S);
        assert_false(sim_peer_is_closed(talker->peer));
        speak(talker);
        turn_for(&world, 100 * NS_PER_MS);
        assert_false(sim_peer_is_broken(talker->peer));
        sim_peer_resume(talker->peer);
        turn_for(&world, 100 * NS_PER_MS);
        assert_true(sim_peer_is_ended(talker->peer));
        size_t got_bytes = sim_peer_read(talker->peer, got, sizeof got);
        assert_true(got_bytes >= 10 * sizeof operation);
        assert_int_equal(got_bytes, released_bytes);
        /* Nor does it stay for ever. */
        turn_for(&world, 4 * NS_PER_S);
        assert_true(sim_peer_is_closed(talker->peer));
        world_fini(&world);
        epoch_unregister();
}

/* Where what was sent is lent until the reader has it (a TCP of our own), a reader that takes nothing is cut and given
 * up while the network has its bytes: they stay where they are until they come back. */
static void a_peer_is_given_up_while_the_network_has_its_bytes(void **state)
{
        (void)state;
        static uint8_t operation[4096];
        struct sim_settings sim = sim_settings_calm(7, SIM_TCP);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 7, 0);
        struct lanes *lanes = &world.reactor->lanes;
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        while (talker->of == NULL)
                turn_for(&world, NS_PER_MS);
        sim_peer_stall(talker->peer);
        struct lane *lane = &talker->of->lane;
        for (unsigned i = 0; i < 100; i++) {
                memcpy(lane_reserve(lanes, lane, sizeof operation, 0), operation, sizeof operation);
                lane_commit(lanes, lane, sizeof operation, 0);
                turn_for(&world, NS_PER_MS);
        }
        assert_true(lane->lent_bytes > 0);
        for (unsigned turns = 0; world.reactor->peers_count > 0; turns++) {
                assert_true(turns < 1000);
                turn_for(&world, 100 * NS_PER_MS);
        }
        assert_int_equal(lanes->memory.taken_bytes, 0);
        world_fini(&world);
        epoch_unregister();
}

/* Half of the memory is for what is on its way out, and nobody else has begun anything that could go. */
static void a_peer_that_begins_more_than_half_of_the_memory_is_closed(void **state)
{
        (void)state;
        static uint8_t begun[3 << 20];
        const uint32_t size = (uint32_t)16 << 20;
        struct sim_settings sim = sim_settings_calm(5, SIM_KERNEL);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 5, 0);
        size_t block_bytes, left = world.reactor->lanes.memory.region_bytes / 2;
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        memcpy(begun, &size, sizeof size);
        sim_peer_write(talker->peer, span_of(begun, sizeof begun));
        /* As if so much had been begun by others who are not to be closed for it. */
        world.reactor->kept_bytes += left - (1 << 20);
        for (unsigned turns = 0; !talker->has_ended; turns++) {
                assert_true(turns < 10000);
                reactor_turn(world.reactor, io_now_ns(world.io) + 100000);
        }
        world.reactor->kept_bytes -= left - (1 << 20);
        reactor_sample(world.reactor);
        assert_int_equal(counter_read(&world.reactor->counters, COUNT_CLOSED_MEMORY), 1);
        /* And what it held has come back. */
        void *block = buddy_take(&world.reactor->lanes.memory, BUDDY_BLOCK_BYTES_MAX, &block_bytes);
        assert_non_null(block);
        buddy_give(&world.reactor->lanes.memory, block, block_bytes);
        world_fini(&world);
        epoch_unregister();
}

/* What is over its limit at once, and all there is: nothing that comes later has anybody look at it. */
static void a_peer_that_one_burst_leaves_behind_is_cut(void **state)
{
        (void)state;
        static uint8_t operation[4096];
        struct sim_settings sim = sim_settings_calm(4, SIM_KERNEL);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 4, 0);
        struct lanes *lanes = &world.reactor->lanes;
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        while (talker->of == NULL)
                turn_for(&world, NS_PER_MS);
        sim_peer_stall(talker->peer);
        for (unsigned i = 0; i < 500; i++) {
                memcpy(lane_reserve(lanes, &talker->of->lane, sizeof operation, 0), operation, sizeof operation);
                lane_commit(lanes, &talker->of->lane, sizeof operation, 0);
        }
        lanes_look(lanes); /* as an append to a cohort has it, before the network was offered anything */
        for (unsigned ms = 0; ms < 100; ms++)
                turn_for(&world, NS_PER_MS);
        assert_true(talker->has_ended);
        world_fini(&world);
        epoch_unregister();
}

/* A reactor that sleeps through two reloads may find the third one's settings where those were that it has: they have
 * been freed, and the heap likes to give the same place again. */
static void settings_are_taken_up_also_where_others_were_before(void **state)
{
        (void)state;
        struct sim_settings sim = sim_settings_calm(4, SIM_KERNEL);
        struct world world;
        epoch_register();
        world_init(&world, &sim, 4, 0);
        struct reactor_settings published = world.reactor->settings;
        for (uint32_t i = 1; i <= 3; i++) {
                published.edition++;
                published.pings_out_max = 10 * i;
                cores_publish_settings(world.cores, &published);
                turn_for(&world, NS_PER_MS);
                assert_int_equal(world.reactor->settings.pings_out_max, 10 * i);
        }
        world_fini(&world);
        epoch_unregister();
}

/* Linux does so while TCP is short of memory: it would never end, and each try costs. */
static void a_peer_whose_network_is_writable_and_takes_nothing_is_cut(void **state)
{
        (void)state;
        static uint8_t operation[4096];
        struct sim_settings sim = sim_settings_calm(4, SIM_KERNEL);
        struct world world;
        sim.refused_send = SIM_CHANCE_ONE;
        epoch_register();
        world_init(&world, &sim, 4, 0);
        struct lanes *lanes = &world.reactor->lanes;
        struct talker *talker = &talkers[0];
        talker->peer = sim_connect(world.io, 0);
        while (talker->of == NULL)
                turn_for(&world, NS_PER_MS);
        struct lane *lane = &talker->of->lane;
        memcpy(lane_reserve(lanes, lane, sizeof operation, 0), operation, sizeof operation);
        lane_commit(lanes, lane, sizeof operation, 0);
        turn_for(&world, NS_PER_MS);
        turn_for(&world, NS_PER_S / 2);
        assert_false(talker->has_ended);
        assert_true(io_statistics(world.io)->sends > 1000);
        turn_for(&world, 2 * NS_PER_S);
        assert_true(talker->has_ended);
        reactor_sample(world.reactor);
        assert_int_equal(counter_read(&world.reactor->counters, COUNT_DROPPED(LOSS_SLOW_CONSUMER)), 1);
        world_fini(&world);
        epoch_unregister();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(settings_are_taken_up_also_where_others_were_before),
                cmocka_unit_test(a_peer_whose_network_is_writable_and_takes_nothing_is_cut),
                cmocka_unit_test(a_reactor_ends_while_input_is_paused),
                cmocka_unit_test(a_peer_that_was_cut_reads_what_the_network_has_for_it),
                cmocka_unit_test(a_peer_is_given_up_while_the_network_has_its_bytes),
                cmocka_unit_test(a_peer_that_begins_more_than_half_of_the_memory_is_closed),
                cmocka_unit_test(a_peer_that_one_burst_leaves_behind_is_cut),
                cmocka_unit_test(held_input_is_taken_whole_and_in_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
