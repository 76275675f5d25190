/* registry: who may share a cohort, at the moments that timing alone would rarely bring about. On the simulated
 * network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/reactor.h"
#include "io/sim.h"

static void turn_for(struct reactor *reactor, uint64_t ns)
{
        uint64_t until_ns = io_now_ns(reactor->io) + ns;
        while (io_now_ns(reactor->io) < until_ns)
                reactor_turn(reactor, until_ns);
}

/* Connects a client that subscribes to "a" as everybody else here. */
static struct session *session_that_subscribes(struct reactor *reactor, struct io *io)
{
        struct sim_peer *client = sim_connect(io, 0);
        sim_peer_write(client, SPAN("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n"));
        turn_for(reactor, 5 * NS_PER_MS);
        struct peer *peer = reactor->by_index[io_id_index(sim_peer_id(client))];
        assert_non_null(peer);
        return session_of(peer);
}

static void nobody_joins_a_session_that_was_cut_in_this_turn(void **state)
{
        (void)state;
        struct sim_settings sim = sim_settings_calm(1, SIM_KERNEL);
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = 80};
        struct cores_settings cores_settings = {.count = 1, .patterns_max = 1000, .secret = "a secret of 16b"};
        struct reactor_settings settings = {.memory_bytes = (size_t)4 << 20,
                                            .lag_bytes_max = 1 << 20,
                                            .stall_ns_max = 10 * NS_PER_S,
                                            .handshake_ns = 10 * NS_PER_S,
                                            .quiet_ns = NS_PER_MS,
                                            .ping_interval_ns = 100 * NS_PER_S,
                                            .pings_out_max = 2,
                                            .conns_max = 8,
                                            .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
                                            .seed = 1};
        struct cores *cores;
        struct reactor *reactor;
        struct io *io;
        char bound[IO_ADDRESS_BYTES_MAX];
        log_set_level(LOG_LEVEL_ERROR);
        epoch_register();
        assert_int_equal(sim_start(&io, &io_settings, &sim), 0);
        assert_int_equal(cores_new(&cores, &cores_settings), 0);
        assert_int_equal(reactor_new(&reactor, &settings, cores, io), 0);
        assert_int_equal(reactor_listen(reactor, "10.0.0.1:4222", &session_protocol, bound), 0);

        struct session *first = session_that_subscribes(reactor, io);
        assert_non_null(first->cohort);
        assert_ptr_equal(first->cohort->waiting, first);
        reactor->settings.quiet_ns = 1000 * NS_PER_S; /* the second one enters when this test says so */
        struct session *second = session_that_subscribes(reactor, io);
        assert_null(second->cohort);

        lane_cut(&reactor->lanes, &first->peer.lane, LOSS_SLOW_CONSUMER);
        assert_false(registry_enter(reactor, second));
        assert_null(second->cohort);
        turn_for(reactor, NS_PER_MS); /* the first one's session is told, and leaves */
        assert_true(registry_enter(reactor, second));
        assert_ptr_equal(second->cohort->waiting, second);

        reactor_free(reactor);
        cores_free(cores);
        epoch_unregister();
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_joins_a_session_that_was_cut_in_this_turn)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
