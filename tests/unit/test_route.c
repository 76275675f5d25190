/* route: requests that cross to other reactors, while those who were there for them leave; subscriptions of one client
 * while another takes or leaves thousands. Three reactors on the simulated network, which turn when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/reactor.h"
#include "io/sim.h"

#define REACTORS 3
#define REQUESTS 16
#define MANY 20000         /* far more than a mailbox holds */
#define WRITER_TURNS_MAX 4 /* of the matcher's writer, that a subscription may take whatever others do */

struct world {
        struct cores *cores;
        struct reactor *reactors[REACTORS];
        struct io *io[REACTORS];
        struct epoch_reader *readers[REACTORS];
};

static void turn(struct world *world, unsigned number)
{
        struct epoch_reader *before = epoch_switch(world->readers[number]);
        reactor_turn(world->reactors[number], io_clock_ns(world->io[number]) + NS_PER_MS);
        epoch_switch(before);
}

static void turn_all(struct world *world)
{
        for (unsigned turns = 0; turns < 100; turns++)
                turn(world, turns % REACTORS);
}

static void world_init(struct world *world, uint64_t seed)
{
        struct sim_settings sim = sim_settings_calm(seed, SIM_KERNEL);
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = 80};
        struct cores_settings cores_settings = {
                .count = REACTORS, .mailbox_bytes = 1 << 20, .patterns_max = 3 * MANY, .secret = "a secret of 16b"};
        struct reactor_settings settings = {.memory_bytes = (size_t)4 << 20,
                                            .lag_bytes_max = 1 << 20,
                                            .stall_ns_max = 10 * NS_PER_S,
                                            .handshake_ns = 100 * NS_PER_S,
                                            .quiet_ns = NS_PER_MS,
                                            .ping_interval_ns = 100 * NS_PER_S,
                                            .pings_out_max = 2,
                                            .conns_max = 8,
                                            .cache_lines = 1024,
                                            .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20}};
        char bound[IO_ADDRESS_BYTES_MAX];
        assert_int_equal(cores_new(&world->cores, &cores_settings), 0);
        for (unsigned i = 0; i < REACTORS; i++) {
                assert_int_equal(i == 0 ? sim_start(&world->io[i], &io_settings, &sim)
                                        : sim_join(&world->io[i], world->io[0], &io_settings),
                                 0);
                epoch_register();
                settings.number = i;
                settings.seed = seed + i;
                assert_int_equal(reactor_new(&world->reactors[i], &settings, world->cores, world->io[i]), 0);
                assert_int_equal(reactor_listen_shared(world->reactors[i], "10.0.0.1:4222",
                                                       i == 0 ? IO_SHARED_FIRST : IO_SHARED_JOINS, &session_protocol,
                                                       bound),
                                 0);
                world->readers[i] = epoch_switch(NULL);
        }
}

static void world_fini(struct world *world)
{
        for (unsigned i = REACTORS; i-- > 0;) {
                epoch_switch(world->readers[i]);
                reactor_free(world->reactors[i]);
                epoch_unregister();
        }
        cores_free(world->cores);
}

/* A client of this reactor. Where a connection lands is the network's choice. */
static struct sim_peer *client(struct world *world, unsigned reactor, const char *says)
{
        struct sim_peer *peer;
        for (;;) {
                peer = sim_connect(world->io[0], 0);
                turn_all(world);
                if (sim_peer_io(peer) == world->io[reactor])
                        break;
                sim_peer_shutdown(peer);
                turn_all(world);
        }
        sim_peer_write(peer, SPAN("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n"));
        sim_peer_write(peer, span_of_text(says));
        turn_all(world);
        return peer;
}

static unsigned count_in(struct sim_peer *peer, const char *text)
{
        static char heard[1 << 16];
        size_t size = sim_peer_read(peer, heard, sizeof heard - 1);
        unsigned count = 0;
        heard[size] = '\0';
        for (const char *at = heard; (at = strstr(at, text)) != NULL; at++)
                count++;
        return count;
}

/* Both groups of a reactor lose their member to the first request. What comes back then goes to the first group's other
 * member here, while a third reactor gives back what it was asked for the second group. */
static void ask_two_groups(uint64_t seed)
{
        struct world world;
        char request[64];
        world_init(&world, seed);
        struct sim_peer *asker = client(&world, 0, "SUB _INBOX.> 1\r\n");
        struct sim_peer *stays = client(&world, 0, "SUB ask a 1\r\n");
        struct sim_peer *leaves = client(&world, 1, "SUB ask a 1\r\nUNSUB 1 1\r\nSUB ask b 2\r\nUNSUB 2 1\r\n");
        struct sim_peer *leaves_too = client(&world, 2, "SUB ask b 2\r\nUNSUB 2 1\r\n");
        for (unsigned i = 0; i < REQUESTS; i++) {
                snprintf(request, sizeof request, "PUB ask _INBOX.%u 0\r\n\r\n", i);
                sim_peer_write(asker, span_of_text(request));
        }
        while (counter_read(&world.reactors[0]->counters, COUNT_EVENTS_RECEIVED) < REQUESTS)
                turn(&world, 0);
        turn(&world, 1);
        turn(&world, 0);
        turn(&world, 2);
        turn_all(&world);
        assert_int_equal(count_in(leaves, "MSG ask 1 ") + count_in(stays, "MSG ask 1 "), REQUESTS);
        assert_int_equal(count_in(leaves_too, "MSG ask 2 "), 1);
        assert_int_equal(count_in(asker, " 503\r\n"), 0);
        world_fini(&world);
}

static void a_request_that_somebody_has_had_is_not_told_to_have_no_responders(void **state)
{
        (void)state;
        log_set_level(LOG_LEVEL_ERROR);
        for (uint64_t seed = 1; seed <= 20; seed++)
                ask_two_groups(seed);
}

/* ---- among thousands ---- */

static void say_many(struct sim_peer *peer, const char *format)
{
        char line[64];
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(line, sizeof line, format, i, i); /* the second is not always asked for */
                sim_peer_write(peer, span_of_text(line));
        }
}

/* The writer's core is busy: it turns once while reactor 1 turns some times. */
static void turn_unevenly(struct world *world)
{
        turn(world, 0);
        for (unsigned i = 0; i < 16; i++)
                turn(world, 1);
}

/* In how many turns of the writer a client of reactor 1 has subscribed and hears itself. */
static unsigned turns_to_subscribe(struct world *world, struct sim_peer *peer)
{
        static const char heard[] = "MSG mine 1 2\r\nhi\r\nPONG\r\n";
        const struct session *session = session_of(reactor_find(world->reactors[1], sim_peer_id(peer)));
        uint64_t before_ns = session->input_ns;
        unsigned turns = 0;
        sim_peer_write(peer, SPAN("SUB mine 1\r\nPUB mine 2\r\nhi\r\nPING\r\n"));
        while (session->input_ns == before_ns)
                turn_unevenly(world);
        for (; sim_peer_readable_bytes(peer) < sizeof heard - 1; turns++)
                turn_unevenly(world);
        assert_int_equal(count_in(peer, heard), 1);
        return turns;
}

static unsigned subscriptions_count(const struct world *world)
{
        return world->reactors[1]->routes.subscriptions_count;
}

static void until_subscriptions_are(struct world *world, unsigned count)
{
        for (unsigned turns = 0; subscriptions_count(world) != count; turns++) {
                assert_true(turns < 10 * MANY);
                turn_unevenly(world);
        }
}

static void a_subscription_does_not_wait_for_all_that_another_client_leaves_behind(void **state)
{
        struct world world;
        (void)state;
        world_init(&world, 1);
        struct sim_peer *leaver = client(&world, 1, ""), *stays = client(&world, 1, "");
        say_many(leaver, "SUB many.%u %u\r\n");
        until_subscriptions_are(&world, MANY);
        turn_all(&world);
        count_in(stays, "INFO");
        sim_peer_shutdown(leaver);
        while (subscriptions_count(&world) == MANY)
                turn_unevenly(&world);
        assert_in_range(turns_to_subscribe(&world, stays), 0, WRITER_TURNS_MAX);
        assert_true(subscriptions_count(&world) > MANY / 4); /* it was still leaving */
        until_subscriptions_are(&world, 1);
        world_fini(&world);
}

static void a_subscription_does_not_wait_for_all_that_another_client_subscribes_to(void **state)
{
        struct world world;
        (void)state;
        world_init(&world, 1);
        struct sim_peer *greedy = client(&world, 1, ""), *modest = client(&world, 1, "");
        count_in(modest, "INFO");
        say_many(greedy, "SUB many.%u %u\r\n");
        /* A buffer full of them has come before they are looked at. */
        for (unsigned turns = 0; turns < 1000; turns++)
                turn(&world, 0);
        for (unsigned turns = 0; turns < 16; turns++)
                turn(&world, 1);
        assert_in_range(turns_to_subscribe(&world, modest), 0, WRITER_TURNS_MAX);
        assert_true(subscriptions_count(&world) < MANY); /* it was still at it */
        until_subscriptions_are(&world, MANY + 1);
        world_fini(&world);
}

static void a_subscription_does_not_wait_for_all_that_another_client_unsubscribes_from(void **state)
{
        struct world world;
        (void)state;
        world_init(&world, 1);
        struct sim_peer *fickle = client(&world, 1, ""), *modest = client(&world, 1, "");
        say_many(fickle, "SUB many.%u %u\r\n");
        until_subscriptions_are(&world, MANY);
        turn_all(&world);
        count_in(modest, "INFO");
        say_many(fickle, "UNSUB %u\r\n");
        while (subscriptions_count(&world) > MANY / 4 * 3)
                turn_unevenly(&world);
        assert_in_range(turns_to_subscribe(&world, modest), 0, WRITER_TURNS_MAX);
        assert_true(subscriptions_count(&world) > 1);
        until_subscriptions_are(&world, 1);
        world_fini(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_that_somebody_has_had_is_not_told_to_have_no_responders),
                cmocka_unit_test(a_subscription_does_not_wait_for_all_that_another_client_leaves_behind),
                cmocka_unit_test(a_subscription_does_not_wait_for_all_that_another_client_subscribes_to),
                cmocka_unit_test(a_subscription_does_not_wait_for_all_that_another_client_unsubscribes_from)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
