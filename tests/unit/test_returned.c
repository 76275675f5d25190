/* returned: a record that finds nobody goes back, and what becomes of it then: another member, a loss that is counted
 * because nobody has room to be asked, or "nobody" for whoever waits for an answer. The last
 * member has had all it wanted while more records lie in the mailbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/reactor.h"
#include "io/sim.h"

#define REACTORS_MAX 3
#define HEARD_BYTES 65536

struct world {
        struct cores *cores;
        struct io *io[REACTORS_MAX];
        struct reactor *reactors[REACTORS_MAX];
        struct epoch_reader *readers[REACTORS_MAX];
        size_t count;
};

static void world_init(struct world *world, size_t count)
{
        struct sim_settings sim = sim_settings_calm(1, SIM_KERNEL);
        struct cores_settings cores = {
                .count = (unsigned)count, .mailbox_bytes = 8192, .patterns_max = 100, .secret = "a secret of 16b"};
        struct reactor_settings settings = {
                .memory_bytes = (size_t)8 << 20,
                .lag_bytes_max = 1 << 20,
                .stall_ns_max = NS_PER_S,
                .handshake_ns = 100 * NS_PER_S,
                .ping_interval_ns = 100 * NS_PER_S,
                .pings_out_max = 20,
                .conns_max = 64,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 4000},
        };
        struct io_settings io = {.backend = IO_BACKEND_SIM, .conns_max = 128};
        char bound[IO_ADDRESS_BYTES_MAX];
        *world = (struct world){.count = count};
        assert_int_equal(cores_new(&world->cores, &cores), 0);
        for (size_t i = 0; i < count; i++) {
                assert_int_equal(
                        i == 0 ? sim_start(&world->io[0], &io, &sim) : sim_join(&world->io[i], world->io[0], &io), 0);
                epoch_register();
                settings.number = (unsigned)i;
                settings.seed = i + 1;
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
        for (size_t i = world->count; i-- > 0;) {
                epoch_switch(world->readers[i]);
                reactor_free(world->reactors[i]);
                epoch_unregister();
        }
        cores_free(world->cores);
}

static void turn(struct world *world, size_t number)
{
        struct epoch_reader *before = epoch_switch(world->readers[number]);
        reactor_turn(world->reactors[number], io_clock_ns(world->io[number]) + 100000);
        epoch_switch(before);
}

static void turn_all(struct world *world)
{
        for (int i = 0; i < 200; i++)
                for (size_t number = 0; number < world->count; number++)
                        turn(world, number);
}

static void say(struct sim_peer *peer, const char *text)
{
        sim_peer_write(peer, span_of_text(text));
}

/* A client on that reactor: which one takes a connection is chance. It has said `text`, and all is known everywhere. */
static struct sim_peer *come(struct world *world, size_t number, const char *text)
{
        for (;;) {
                struct sim_peer *peer = sim_connect(world->io[0], 0);
                turn_all(world);
                if (sim_peer_io(peer) != world->io[number]) {
                        sim_peer_close(peer);
                        continue;
                }
                say(peer, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n");
                say(peer, text);
                turn_all(world);
                return peer;
        }
}

static bool hears(struct sim_peer *peer, const char *text)
{
        static char heard[HEARD_BYTES];
        size_t size = sim_peer_read(peer, heard, sizeof heard);
        return memmem(heard, size, text, strlen(text)) != NULL;
}

/* Nobody else turns meanwhile, and nobody waits for them. */
static void turn_alone(struct world *world, size_t number, uint64_t ns)
{
        uint64_t until_ns = io_clock_ns(world->io[0]) + ns;
        for (size_t i = 0; i < world->count; i++)
                if (i != number)
                        sim_keep_away(world->io[i], until_ns + NS_PER_S);
        while (io_clock_ns(world->io[0]) < until_ns)
                turn(world, number);
}

/* Until it has found its way into the mailboxes: the publisher's reactor alone turns. */
static void publish(struct world *world, struct sim_peer *publisher, const char *text)
{
        say(publisher, text);
        turn_alone(world, 0, NS_PER_MS);
}

/* Mail lies there that its reactor does not fetch, until the publisher is held with an event as small as any. */
static void fill_mailbox(struct world *world, struct sim_peer *publisher)
{
        uint64_t held = counter_read(&world->reactors[0]->counters, COUNT_PUBLISHERS_HELD);
        for (int i = 0; i < 200; i++)
                say(publisher, "PUB full 0\r\n\r\n");
        turn_alone(world, 0, NS_PER_MS);
        assert_int_equal(counter_read(&world->reactors[0]->counters, COUNT_PUBLISHERS_HELD), held + 1);
}

static void who_asked_the_last_one_hears_that_nobody_is_left(void **state)
{
        (void)state;
        struct world world;
        world_init(&world, 2);
        struct sim_peer *asker = come(&world, 0, "SUB answers.* 7\r\nPING\r\n");
        struct sim_peer *responder = come(&world, 1, "SUB question 1\r\nUNSUB 1 1\r\nPING\r\n");
        assert_true(hears(asker, "PONG"));
        publish(&world, asker, "PUB question answers.1 2\r\nhi\r\nPUB question answers.2 2\r\nho\r\n");
        assert_false(hears(asker, "503"));
        turn_all(&world);
        assert_true(hears(responder, "MSG question 1 answers.1 2\r\nhi"));
        assert_true(hears(asker, "HMSG answers.2 7 16 16\r\nNATS/1.0 503"));
        world_fini(&world);
}

static void a_second_try_waits_for_nobody_and_is_counted_lost(void **state)
{
        (void)state;
        struct world world;
        world_init(&world, 3);
        struct sim_peer *publisher = come(&world, 0, "PING\r\n"), *filler = come(&world, 0, "PING\r\n");
        struct sim_peer *leaver = come(&world, 1, "SUB work workers 1\r\nUNSUB 1 1\r\nPING\r\n");
        struct sim_peer *other = come(&world, 2, "SUB work workers 1\r\nSUB full 2\r\nPING\r\n");
        /* So many that chance gives some to either member, and little enough for any mailbox. */
        for (int i = 0; i < 12; i++)
                publish(&world, publisher, "PUB work 1\r\nx\r\n");
        fill_mailbox(&world, filler);
        turn_alone(&world, 1, NS_PER_MS);
        turn_alone(&world, 0, NS_PER_MS);
        reactor_sample(world.reactors[0]);
        uint64_t lost = counter_read(&world.reactors[0]->counters, COUNT_DROPPED_OVER_LIMIT);
        assert_in_range(lost, 1, 10);
        turn_all(&world);
        assert_true(hears(leaver, "MSG work 1 1\r\nx"));
        assert_true(hears(other, "MSG work 1 1\r\nx"));
        world_fini(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_asked_the_last_one_hears_that_nobody_is_left),
                cmocka_unit_test(a_second_try_waits_for_nobody_and_is_counted_lost),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
