/* sim: keeps io.h's promises in both personalities, catches who breaks them, and replays from its seed.
 *
 * The programs under test are two small engines written straight on io.h: an echo server, and a sender that lends one
 * shared log to everybody. Both must be right on any backend, so they also show how io.h is meant to be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "io/sim.h"

#define CONNS_MAX 64
#define EVENTS_MAX 64

static const enum sim_mode modes[] = {SIM_KERNEL, SIM_TCP};

/* ---- an engine in small ---- */

/* A byte as a function of its place, so that a stream can be checked without being kept. */
static uint8_t byte_at(uint64_t stream, uint64_t offset)
{
        uint64_t mixed = (stream * 1000003 + offset) * UINT64_C(0x9e3779b97f4a7c15);
        return (uint8_t)(mixed >> 56);
}

#define BLOCK_BYTES 1500

struct block {
        struct block *next;
        uint8_t bytes[BLOCK_BYTES];
};

/* What waits to go out: blocks of bytes, of which released .. lent are with the network. Offsets are the stream's. */
struct conn {
        bool open, blocked, ended, closing, paused;
        io_id id;
        int error;
        struct block *first, *last;
        uint64_t first_offset; /* of the first block's first byte */
        uint64_t released, lent, end;
        uint32_t sends;
};

struct engine {
        struct io *io;
        struct conn conns[CONNS_MAX];
        struct random random;
        const uint8_t *log; /* the sender's: what everybody gets */
        uint64_t log_end;
        uint64_t received_bytes, closed_count, ended_count, accepted_count, connected_count, short_count,
                datagrams_count;
        int connect_error;
        bool woken, echo, keep_span;
        struct span span; /* kept too long on purpose */
};

static struct conn *engine_conn(struct engine *engine, io_id id)
{
        struct conn *conn = &engine->conns[io_id_index(id)];
        assert_true(conn->open);
        assert_true(conn->id == id);
        return conn;
}

static void conn_append(struct conn *conn, struct span span)
{
        for (size_t i = 0; i < span.size; i++) {
                uint64_t at = (conn->end - conn->first_offset) % BLOCK_BYTES;
                if (conn->last == NULL || (at == 0 && conn->end != conn->first_offset)) {
                        struct block *block = malloc(sizeof(*block));
                        assert_non_null(block);
                        block->next = NULL;
                        if (conn->last == NULL)
                                conn->first = block;
                        else
                                conn->last->next = block;
                        conn->last = block;
                }
                conn->last->bytes[at] = span.bytes[i];
                conn->end++;
        }
}

static void conn_free_block(struct conn *conn)
{
        struct block *block = conn->first;
        conn->first = block->next;
        if (conn->first == NULL)
                conn->last = NULL;
        memset(block, 0xEE, sizeof(*block)); /* whoever reads it still must notice */
        free(block);
}

/* Pieces of what was not lent yet, as many and as large as the traits and the dice allow. */
static void engine_send(struct engine *engine, struct conn *conn)
{
        const struct io_traits *traits = io_traits(engine->io);
        while (!conn->blocked && !conn->ended && !conn->closing && conn->sends < traits->sends_max) {
                struct span pieces[IO_PIECES_MAX];
                size_t count = 0, room = traits->lent_bytes_max - (conn->lent - conn->released);
                uint64_t end = engine->log != NULL ? engine->log_end : conn->end;
                while (count < IO_PIECES_MAX && conn->lent < end && room > 0) {
                        size_t size = end - conn->lent;
                        const uint8_t *bytes;
                        if (engine->log != NULL) {
                                bytes = engine->log + conn->lent;
                                size = 1 + random_below(&engine->random, size);
                        } else {
                                uint64_t skip = conn->lent - conn->first_offset;
                                struct block *block = conn->first;
                                for (; skip >= BLOCK_BYTES; skip -= BLOCK_BYTES)
                                        block = block->next;
                                bytes = block->bytes + skip;
                                size = size < BLOCK_BYTES - skip ? size : BLOCK_BYTES - skip;
                        }
                        size = size < room ? size : room;
                        pieces[count++] = span_of(bytes, size);
                        conn->lent += size;
                        room -= size;
                }
                if (count == 0)
                        return;
                conn->sends++;
                io_send(engine->io, conn->id, pieces, count);
        }
}

static void engine_released(struct engine *engine, struct conn *conn, const struct io_event *event)
{
        assert_true(event->bytes >= event->sent);
        assert_true(event->bytes <= conn->lent - conn->released);
        assert_true(event->sends <= conn->sends);
        conn->sends -= event->sends;
        conn->released += event->sent;
        if (event->sent < event->bytes) {
                assert_true(event->bytes == conn->lent - conn->released + event->sent);
                assert_int_equal(conn->sends, 0);
                conn->lent = conn->released;
                conn->blocked = true;
                engine->short_count++;
        }
        if (engine->log == NULL)
                while (conn->first != NULL && conn->released - conn->first_offset >= BLOCK_BYTES) {
                        conn_free_block(conn);
                        conn->first_offset += BLOCK_BYTES;
                }
}

static void engine_open(struct engine *engine, io_id id)
{
        struct conn *conn = &engine->conns[io_id_index(id)];
        assert_true(io_id_index(id) < CONNS_MAX);
        assert_false(conn->open);
        *conn = (struct conn){.open = true, .id = id};
}

static void engine_event(struct engine *engine, const struct io_event *event)
{
        if (event->kind == IO_WOKEN) {
                engine->woken = true;
                return;
        }
        if (event->kind == IO_ACCEPTED) {
                assert_true(span_starts_with(event->span, SPAN("10.")));
                engine->accepted_count++;
                engine_open(engine, event->id);
                return;
        }
        struct conn *conn = engine_conn(engine, event->id);
        switch (event->kind) {
        case IO_CONNECTED:
                engine->connected_count++;
                engine->connect_error = event->error;
                if (event->error != 0) {
                        conn->closing = true;
                        io_close(engine->io, conn->id, false);
                }
                break;
        case IO_RECEIVED:
                assert_false(conn->paused);
                assert_false(conn->closing);
                assert_false(conn->ended);
                assert_true(event->span.size > 0);
                engine->received_bytes += event->span.size;
                if (engine->keep_span)
                        engine->span = event->span;
                if (engine->echo)
                        conn_append(conn, event->span);
                break;
        case IO_RELEASED:
                engine_released(engine, conn, event);
                break;
        case IO_WRITABLE:
                assert_true(conn->blocked);
                assert_false(conn->closing);
                conn->blocked = false;
                break;
        case IO_ENDED:
                assert_false(conn->ended);
                assert_false(conn->closing);
                assert_true(event->error != 0 || !conn->paused);
                conn->ended = event->error != 0;
                conn->error = event->error;
                engine->ended_count++;
                /* An echo still owes what came before the peer's end; a broken connection is owed nothing. */
                if (event->error != 0 || !engine->echo) {
                        conn->closing = true;
                        io_close(engine->io, conn->id, false);
                } else {
                        conn->paused = true;
                }
                break;
        case IO_CLOSED:
                assert_true(conn->closing);
                assert_int_equal(conn->sends, 0);
                assert_true(conn->lent == conn->released);
                while (conn->first != NULL)
                        conn_free_block(conn);
                conn->open = false;
                engine->closed_count++;
                break;
        default:
                fail();
        }
}

/* One turn: events, then sends. Returns how many events there were. */
static int engine_turn(struct engine *engine, uint64_t deadline_ns)
{
        struct io_event events[EVENTS_MAX];
        int count = io_poll(engine->io, events, EVENTS_MAX, deadline_ns);
        bool others = false;
        for (int i = 0; i < count; i++) {
                if (io_traits(engine->io)->lent_bytes_max == SIZE_MAX && events[i].kind == IO_RELEASED)
                        assert_false(others);
                others |= events[i].kind == IO_RECEIVED;
                engine_event(engine, &events[i]);
        }
        for (size_t i = 0; i < CONNS_MAX; i++) {
                struct conn *conn = &engine->conns[i];
                if (!conn->open || conn->closing)
                        continue;
                engine_send(engine, conn);
                if (conn->paused && conn->released == conn->end && engine->echo) {
                        conn->closing = true; /* all that was owed is gone */
                        io_close(engine->io, conn->id, false);
                }
        }
        return count;
}

/* Turns until nothing happens any more. */
static void engine_run(struct engine *engine)
{
        for (int turns = 0; turns < 1000000; turns++) {
                engine_turn(engine, UINT64_MAX);
                if (sim_is_idle(engine->io))
                        return;
        }
        fail();
}

static void engine_start(struct engine *engine, const struct sim_settings *settings)
{
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = CONNS_MAX};
        char bound[IO_ADDRESS_BYTES_MAX];
        *engine = (struct engine){.echo = true};
        random_init(&engine->random, settings->seed);
        assert_int_equal(sim_start(&engine->io, &io_settings, settings), 0);
        assert_int_equal(io_listen_shared(engine->io, "127.0.0.1:0", IO_SHARED_FIRST, 7, bound), 0);
}

/* Another engine on the network of `first`, which listens as it does. */
static void engine_join(struct engine *engine, struct engine *first, uint64_t seed)
{
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = CONNS_MAX};
        char bound[IO_ADDRESS_BYTES_MAX];
        *engine = (struct engine){.echo = true};
        random_init(&engine->random, seed);
        assert_int_equal(sim_join(&engine->io, first->io, &io_settings), 0);
        assert_int_equal(io_listen_shared(engine->io, "127.0.0.1:40000", IO_SHARED_JOINS, 7, bound), 0);
}

static void engine_stop(struct engine *engine)
{
        io_stop(engine->io); /* until then, what is lent must stay */
        for (size_t i = 0; i < CONNS_MAX; i++)
                if (engine->conns[i].open)
                        while (engine->conns[i].first != NULL)
                                conn_free_block(&engine->conns[i]);
}

/* ---- the world in small ---- */

static void peer_write_pattern(struct sim_peer *peer, uint64_t stream, uint64_t offset, size_t size)
{
        uint8_t bytes[8192];
        assert_true(size <= sizeof(bytes));
        for (size_t i = 0; i < size; i++)
                bytes[i] = byte_at(stream, offset + i);
        sim_peer_write(peer, span_of(bytes, size));
}

/* Reads all there is and compares it with the stream from `offset` on. Returns the offset behind it. */
static uint64_t peer_check_pattern(struct sim_peer *peer, uint64_t stream, uint64_t offset)
{
        uint8_t bytes[4096];
        for (size_t count; (count = sim_peer_read(peer, bytes, sizeof(bytes))) > 0; offset += count)
                for (size_t i = 0; i < count; i++)
                        assert_int_equal(bytes[i], byte_at(stream, offset + i));
        return offset;
}

/* ---- tests ---- */

static void an_echo_comes_back_whole_in_both_personalities(void **state)
{
        (void)state;
        for (size_t m = 0; m < 2; m++) {
                struct sim_settings settings = sim_settings_calm(1, modes[m]);
                struct engine engine;
                engine_start(&engine, &settings);
                struct sim_peer *peer = sim_connect(engine.io, 7);
                for (uint64_t i = 0; i < 40; i++)
                        peer_write_pattern(peer, 3, i * 8000, 8000);
                sim_peer_shutdown(peer);
                engine_run(&engine);
                assert_int_equal(peer_check_pattern(peer, 3, 0), 40 * 8000);
                assert_true(sim_peer_is_ended(peer));
                assert_true(sim_peer_is_closed(peer));
                assert_false(sim_peer_is_broken(peer));
                assert_int_equal(engine.received_bytes, 40 * 8000);
                assert_int_equal(sim_lent_bytes(engine.io), 0);
                assert_int_equal(sim_ids_count(engine.io), 0);
                engine_stop(&engine);
        }
}

/* One seed of a rough world: peers come, write, stall, shut down, reset; every echo is an exact prefix, and the whole
 * where nothing broke. Returns the trace hash. */
static uint64_t rough_echo(uint64_t seed, enum sim_mode mode)
{
        struct sim_settings settings = sim_settings_rough(seed, mode);
        struct engine engine;
        struct random random;
        struct sim_peer *peers[12];
        uint64_t written[array_count(peers)] = {0}, read[array_count(peers)] = {0};
        bool shut[array_count(peers)] = {false};
        random_init(&random, seed ^ 77);
        engine_start(&engine, &settings);
        for (size_t i = 0; i < array_count(peers); i++)
                peers[i] = sim_connect(engine.io, 7);
        for (unsigned turn = 0; turn < 60; turn++) {
                size_t i = random_below(&random, array_count(peers));
                switch (random_below(&random, 16)) {
                case 0:
                        sim_peer_stall(peers[i]);
                        break;
                case 1:
                        sim_peer_resume(peers[i]);
                        break;
                case 2:
                        if (random_chance(&random, 1, 4) && !shut[i]) {
                                sim_peer_shutdown(peers[i]);
                                shut[i] = true;
                        }
                        break;
                case 3:
                        if (random_chance(&random, 1, 8))
                                sim_peer_reset(peers[i]);
                        break;
                default:
                        if (!shut[i] && !sim_peer_is_broken(peers[i])) {
                                size_t size = 1 + random_below(&random, random_chance(&random, 1, 4) ? 8000 : 100);
                                peer_write_pattern(peers[i], i, written[i], size);
                                written[i] += size;
                        }
                }
                engine_turn(&engine, io_now_ns(engine.io) + random_below(&random, 200000));
                read[i] = peer_check_pattern(peers[i], i, read[i]);
        }
        for (size_t i = 0; i < array_count(peers); i++) {
                sim_peer_resume(peers[i]);
                if (!shut[i])
                        sim_peer_shutdown(peers[i]);
        }
        engine_run(&engine);
        for (size_t i = 0; i < array_count(peers); i++) {
                read[i] = peer_check_pattern(peers[i], i, read[i]);
                assert_true(sim_peer_is_broken(peers[i]) || read[i] == written[i]);
                assert_true(sim_peer_is_broken(peers[i]) || sim_peer_is_ended(peers[i]));
                assert_true(read[i] <= written[i]);
        }
        assert_int_equal(sim_lent_bytes(engine.io), 0);
        assert_int_equal(sim_ids_count(engine.io), 0);
        uint64_t hash = sim_trace_hash(engine.io);
        engine_stop(&engine);
        return hash;
}

static void five_hundred_rough_seeds_echo_exactly(void **state)
{
        (void)state;
        for (uint64_t seed = 0; seed < 250; seed++)
                for (size_t m = 0; m < 2; m++)
                        rough_echo(seed, modes[m]);
}

static void a_seed_replays_and_another_differs(void **state)
{
        (void)state;
        for (size_t m = 0; m < 2; m++)
                for (uint64_t seed = 1000; seed < 1010; seed++) {
                        uint64_t hash = rough_echo(seed, modes[m]);
                        assert_true(hash == rough_echo(seed, modes[m]));
                        assert_true(hash != rough_echo(seed + 1, modes[m]));
                        assert_true(hash != rough_echo(seed, modes[1 - m]));
                }
}

static void a_shared_log_reaches_everybody_whole(void **state)
{
        (void)state;
        static uint8_t log[300000];
        for (size_t i = 0; i < sizeof(log); i++)
                log[i] = byte_at(5, i);
        for (uint64_t seed = 0; seed < 20; seed++)
                for (size_t m = 0; m < 2; m++) {
                        struct sim_settings settings = sim_settings_rough(seed, modes[m]);
                        struct engine engine;
                        struct sim_peer *peers[20];
                        settings.reset = 0;
                        engine_start(&engine, &settings);
                        engine.echo = false;
                        engine.log = log;
                        for (size_t i = 0; i < array_count(peers); i++)
                                peers[i] = sim_connect(engine.io, 7);
                        sim_peer_stall(peers[0]);
                        for (engine.log_end = 0; engine.log_end < sizeof(log); engine.log_end += 10000)
                                engine_turn(&engine, io_now_ns(engine.io) + 50000);
                        engine_run(&engine);
                        for (size_t i = 1; i < array_count(peers); i++)
                                assert_int_equal(peer_check_pattern(peers[i], 5, 0), sizeof(log));
                        /* The stalled one has cost itself only; what it did not take is still lent on our TCP. */
                        assert_true(sim_peer_readable_bytes(peers[0]) <= sizeof(log));
                        sim_peer_resume(peers[0]);
                        engine_run(&engine);
                        assert_int_equal(peer_check_pattern(peers[0], 5, 0), sizeof(log));
                        assert_int_equal(sim_lent_bytes(engine.io), 0);
                        engine_stop(&engine);
                }
}

static void a_stalled_peer_fills_its_window_and_no_more(void **state)
{
        (void)state;
        static uint8_t log[1 << 20];
        for (size_t i = 0; i < sizeof(log); i++)
                log[i] = byte_at(6, i);
        for (size_t m = 0; m < 2; m++) {
                struct sim_settings settings = sim_settings_calm(1, modes[m]);
                struct engine engine;
                settings.window_bytes = 10000;
                settings.send_buffer_bytes = 20000;
                settings.lent_bytes_max = 30000;
                engine_start(&engine, &settings);
                engine.echo = false;
                engine.log = log;
                engine.log_end = sizeof(log);
                struct sim_peer *peer = sim_connect(engine.io, 7);
                sim_peer_stall(peer);
                engine_run(&engine);
                assert_int_equal(sim_peer_readable_bytes(peer), 0);
                if (modes[m] == SIM_KERNEL) {
                        assert_int_equal(sim_lent_bytes(engine.io), 0);
                        assert_int_equal(engine.conns[0].released, 30000);
                        assert_true(engine.conns[0].blocked);
                        assert_true(engine.short_count > 0);
                } else {
                        assert_int_equal(engine.conns[0].released, 10000);
                        assert_true(sim_lent_bytes(engine.io) > 0);
                        assert_true(sim_lent_bytes(engine.io) <= 30000);
                }
                sim_peer_resume(peer);
                engine_run(&engine);
                assert_int_equal(peer_check_pattern(peer, 6, 0), sizeof(log));
                engine_stop(&engine);
        }
}

static void short_sends_come_back_and_are_sent_again(void **state)
{
        (void)state;
        static uint8_t log[100000];
        for (size_t i = 0; i < sizeof(log); i++)
                log[i] = byte_at(8, i);
        struct sim_settings settings = sim_settings_calm(4, SIM_KERNEL);
        struct engine engine;
        settings.short_send = SIM_CHANCE_ONE / 2;
        settings.send_buffer_bytes = 10000;
        engine_start(&engine, &settings);
        engine.echo = false;
        engine.log = log;
        engine.log_end = sizeof(log);
        struct sim_peer *peer = sim_connect(engine.io, 7);
        engine_run(&engine);
        assert_int_equal(peer_check_pattern(peer, 8, 0), sizeof(log));
        assert_true(engine.short_count > 2);
        assert_int_equal(io_statistics(engine.io)->sends_short, engine.short_count);
        engine_stop(&engine);
}

static void a_reset_ends_the_connection_and_gives_all_back(void **state)
{
        (void)state;
        static uint8_t log[200000];
        for (size_t m = 0; m < 2; m++) {
                struct sim_settings settings = sim_settings_calm(2, modes[m]);
                struct engine engine;
                engine_start(&engine, &settings);
                engine.echo = false;
                engine.log = log;
                engine.log_end = sizeof(log);
                struct sim_peer *peer = sim_connect(engine.io, 7);
                sim_peer_stall(peer);
                engine_run(&engine);
                sim_peer_reset(peer);
                engine_run(&engine);
                assert_true(sim_peer_is_broken(peer));
                assert_true(sim_peer_is_closed(peer));
                assert_true(engine.conns[0].error < 0);
                assert_int_equal(engine.ended_count, 1);
                assert_int_equal(engine.closed_count, 1);
                assert_int_equal(sim_lent_bytes(engine.io), 0);
                engine_stop(&engine);
        }
}

static void who_is_refused_by_chance_never_reaches_the_engine(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(6, SIM_KERNEL);
        struct engine engine;
        struct sim_peer *peers[20];
        size_t refused = 0;
        settings.refuse = SIM_CHANCE_ONE / 2;
        engine_start(&engine, &settings);
        for (size_t i = 0; i < array_count(peers); i++)
                peers[i] = sim_connect(engine.io, 7);
        engine_run(&engine);
        for (size_t i = 0; i < array_count(peers); i++) {
                refused += sim_peer_is_broken(peers[i]);
                assert_int_equal(sim_peer_is_broken(peers[i]), sim_peer_id(peers[i]) == 0);
        }
        assert_in_range(refused, 1, array_count(peers) - 1);
        assert_int_equal(sim_ids_count(engine.io), array_count(peers) - refused);
        engine_stop(&engine);
}

static void the_clock_jumps_where_the_machine_was_asleep(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(6, SIM_KERNEL);
        struct engine engine;
        settings.jump = SIM_CHANCE_ONE / 4;
        settings.jump_max_ns = 3600 * NS_PER_S;
        engine_start(&engine, &settings);
        uint64_t longest_ns = 0;
        for (int i = 0; i < 100; i++) {
                uint64_t before_ns = io_clock_ns(engine.io);
                engine_turn(&engine, 0);
                uint64_t took_ns = io_clock_ns(engine.io) - before_ns;
                longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
        }
        assert_in_range(longest_ns, 60 * NS_PER_S, 3600 * NS_PER_S + settings.turn_max_ns);
        engine_stop(&engine);
}

/* What is kept for a failure is what the whole trace would have ended with. */
static void the_last_steps_are_kept_without_a_trace(void **state)
{
        (void)state;
        char *whole = NULL, *kept = NULL;
        size_t whole_bytes, kept_bytes;
        struct sim_settings settings = sim_settings_calm(6, SIM_KERNEL);
        struct engine engine;
        settings.trace = open_memstream(&whole, &whole_bytes);
        engine_start(&engine, &settings);
        struct sim_peer *peer = sim_connect(engine.io, 7);
        peer_write_pattern(peer, 1, 0, 3000);
        engine_run(&engine);
        sim_note(engine.io, "a note", 4, 5, 6);
        FILE *to = open_memstream(&kept, &kept_bytes);
        sim_trace_last(engine.io, 10, to);
        fclose(to);
        fflush(settings.trace);
        assert_true(whole_bytes > kept_bytes && kept_bytes > 100);
        assert_string_equal(whole + whole_bytes - kept_bytes, kept);
        assert_non_null(strstr(kept, "a note conn 4 5 6\n"));
        struct span inbox = sim_peer_peek(peer);
        assert_int_equal(inbox.size, 3000);
        assert_int_equal(inbox.bytes[7], byte_at(1, 7));
        sim_peer_drop(peer, 2990);
        assert_int_equal(peer_check_pattern(peer, 1, 2990), 3000);
        engine_stop(&engine);
        fclose(settings.trace);
        free(whole);
        free(kept);
}

static void a_closing_engine_is_seen_as_end_or_as_reset(void **state)
{
        (void)state;
        for (size_t m = 0; m < 2; m++)
                for (int reset = 0; reset < 2; reset++) {
                        struct sim_settings settings = sim_settings_calm(2, modes[m]);
                        struct engine engine;
                        engine_start(&engine, &settings);
                        struct sim_peer *peer = sim_connect(engine.io, 7);
                        engine_run(&engine);
                        peer_write_pattern(peer, 1, 0, 100);
                        while (engine.conns[0].end == 0)
                                engine_turn(&engine, UINT64_MAX);
                        engine.conns[0].closing = true;
                        io_close(engine.io, sim_peer_id(peer), reset != 0);
                        engine_run(&engine);
                        assert_true(sim_peer_is_broken(peer) == (reset != 0));
                        assert_true(sim_peer_is_ended(peer) == (reset == 0));
                        assert_true(sim_peer_is_closed(peer));
                        if (reset == 0)
                                assert_int_equal(peer_check_pattern(peer, 1, 0), 100);
                        io_close(engine.io, sim_peer_id(peer), true); /* a dead id is ignored */
                        engine_stop(&engine);
                }
}

static void a_paused_connection_holds_its_peer_back(void **state)
{
        (void)state;
        for (size_t m = 0; m < 2; m++) {
                struct sim_settings settings = sim_settings_calm(2, modes[m]);
                struct engine engine;
                settings.window_bytes = 10000;
                engine_start(&engine, &settings);
                engine.echo = false;
                struct sim_peer *peer = sim_connect(engine.io, 7);
                engine_run(&engine);
                engine.conns[0].paused = true;
                io_pause(engine.io, sim_peer_id(peer));
                for (uint64_t i = 0; i < 10; i++)
                        peer_write_pattern(peer, 1, 0, 8000);
                sim_peer_shutdown(peer);
                engine_run(&engine);
                assert_int_equal(engine.received_bytes, 0);
                assert_int_equal(engine.ended_count, 0);
                assert_int_equal(sim_peer_unsent_bytes(peer), 70000);
                engine.conns[0].paused = false;
                io_resume(engine.io, sim_peer_id(peer));
                engine_run(&engine);
                assert_int_equal(engine.received_bytes, 80000);
                assert_int_equal(engine.ended_count, 1);
                engine_stop(&engine);
        }
}

static void a_closed_peer_answers_with_a_reset(void **state)
{
        (void)state;
        static uint8_t log[200000];
        struct sim_settings settings = sim_settings_calm(2, SIM_TCP);
        struct engine engine;
        engine_start(&engine, &settings);
        struct sim_peer *peer = sim_connect(engine.io, 7);
        engine_run(&engine);
        sim_peer_close(peer);
        engine.log = log;
        engine.log_end = sizeof(log);
        engine_run(&engine);
        assert_true(sim_peer_is_broken(peer));
        assert_int_equal(sim_lent_bytes(engine.io), 0);
        engine_stop(&engine);
}

static void connections_go_out_to_who_answers_only(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(2, SIM_KERNEL);
        struct engine engine;
        io_id id;
        engine_start(&engine, &settings);
        assert_int_equal(io_connect(engine.io, "", &id), -EINVAL);
        assert_int_equal(io_connect(engine.io, "10.9.9.9:1", &id), 0);
        engine_open(&engine, id);
        engine_run(&engine);
        assert_int_equal(engine.connect_error, -ECONNREFUSED);
        assert_int_equal(engine.closed_count, 1);
        assert_null(sim_answered(engine.io));

        sim_answer(engine.io, "10.9.9.9:1");
        assert_int_equal(io_connect(engine.io, "10.9.9.9:1", &id), 0);
        engine_open(&engine, id);
        engine_run(&engine);
        assert_int_equal(engine.connect_error, 0);
        struct sim_peer *peer = sim_answered(engine.io);
        assert_non_null(peer);
        assert_null(sim_answered(engine.io));
        peer_write_pattern(peer, 1, 0, 1000);
        engine_run(&engine);
        assert_int_equal(peer_check_pattern(peer, 1, 0), 1000);
        engine_stop(&engine);
}

static void a_full_or_deaf_engine_refuses(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(2, SIM_KERNEL);
        struct engine engine;
        char bound[IO_ADDRESS_BYTES_MAX];
        struct sim_peer *peers[CONNS_MAX + 1];
        engine_start(&engine, &settings);
        assert_int_equal(io_listen(engine.io, "unix:/run/x", 8, bound), 0);
        assert_string_equal(bound, "unix:/run/x");
        assert_int_equal(io_listen(engine.io, "unix:/run/x", 9, bound), -EADDRINUSE);
        assert_int_equal(io_listen(engine.io, "", 9, bound), -EINVAL);
        for (size_t i = 0; i < array_count(peers); i++)
                peers[i] = sim_connect(engine.io, 8);
        engine_run(&engine);
        size_t refused = 0;
        for (size_t i = 0; i < array_count(peers); i++)
                refused += sim_peer_is_broken(peers[i]);
        assert_int_equal(refused, 1);
        assert_int_equal(io_statistics(engine.io)->accepts_refused, 1);
        sim_peer_shutdown(peers[0]);
        engine_run(&engine);
        io_stop_listening(engine.io);
        struct sim_peer *late = sim_connect(engine.io, 8);
        engine_run(&engine);
        assert_true(sim_peer_is_broken(late));
        engine_stop(&engine);
}

static void datagrams_go_both_ways(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(2, SIM_KERNEL);
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM};
        struct io *io;
        struct io_event events[EVENTS_MAX];
        io_id id;
        char bound[IO_ADDRESS_BYTES_MAX], text[IO_ADDRESS_BYTES_MAX];
        uint8_t bytes[16];
        assert_int_equal(sim_start(&io, &io_settings, &settings), 0);
        assert_int_equal(io_datagram_open(io, "127.0.0.1:0", &id, bound), 0);
        sim_datagram_write(io, id, "10.0.0.1:99", SPAN("ping"));
        sim_datagram_write(io, id, "[fd00::1]:98", SPAN(""));
        int got = 0;
        for (int turns = 0; turns < 5; turns++) {
                int count = io_poll(io, events, EVENTS_MAX, UINT64_MAX);
                for (int i = 0; i < count; i++, got++) {
                        assert_int_equal(events[i].kind, IO_DATAGRAM);
                        assert_true(events[i].id == id);
                        io_address_text(events[i].from, text);
                        assert_string_equal(text, events[i].span.size == 4 ? "10.0.0.1:99" : "[fd00::1]:98");
                        assert_true(io_datagram_send(io, id, events[i].from, SPAN("pong")));
                }
        }
        assert_int_equal(got, 2);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(sim_datagram_read(io, bytes, sizeof(bytes), text), 4);
                assert_memory_equal(bytes, "pong", 4);
        }
        assert_int_equal(sim_datagram_read(io, bytes, sizeof(bytes), text), -1);
        io_close(io, id, false);
        assert_int_equal(io_poll(io, events, EVENTS_MAX, UINT64_MAX), 1);
        assert_int_equal(events[0].kind, IO_CLOSED);
        assert_int_equal(sim_ids_count(io), 0);
        io_stop(io);
}

static void note_call(void *context)
{
        *(uint64_t *)context = 1;
}

static void virtual_time_goes_to_what_happens_next(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(2, SIM_KERNEL);
        struct engine engine;
        uint64_t called = 0;
        engine_start(&engine, &settings);
        uint64_t start_ns = io_now_ns(engine.io);
        assert_int_equal(engine_turn(&engine, UINT64_MAX), 0);
        assert_true(sim_is_idle(engine.io));
        assert_int_equal(engine_turn(&engine, start_ns + NS_PER_S), 0);
        assert_false(sim_is_idle(engine.io));
        assert_int_equal(io_now_ns(engine.io), start_ns + NS_PER_S);
        sim_call_at(engine.io, start_ns + 2 * NS_PER_S, note_call, &called);
        assert_int_equal(sim_next_ns(engine.io), start_ns + 2 * NS_PER_S);
        engine_turn(&engine, start_ns + NS_PER_S + NS_PER_MS);
        assert_int_equal(called, 0);
        engine_turn(&engine, start_ns + 3 * NS_PER_S);
        assert_int_equal(called, 1);
        uint64_t before_ns = io_now_ns(engine.io);
        engine_turn(&engine, 0);
        assert_true(io_now_ns(engine.io) > before_ns);
        assert_true(io_now_ns(engine.io) <= before_ns + settings.turn_max_ns);
        io_wake(engine.io);
        assert_int_equal(engine_turn(&engine, UINT64_MAX), 1);
        assert_true(engine.woken);
        engine_stop(&engine);
}

static void a_received_span_is_garbage_after_the_next_poll(void **state)
{
        (void)state;
#if !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
        print_message("skipped: the address sanitizer takes care of it\n");
        skip();
#endif
#endif
        struct sim_settings settings = sim_settings_calm(2, SIM_KERNEL);
        struct engine engine;
        engine_start(&engine, &settings);
        engine.keep_span = true;
        struct sim_peer *peer = sim_connect(engine.io, 7);
        sim_peer_write(peer, SPAN("hello"));
        while (engine.span.size == 0)
                engine_turn(&engine, UINT64_MAX);
        assert_memory_equal(engine.span.bytes, "hello", 5);
        engine_turn(&engine, 0);
        assert_int_equal(engine.span.bytes[0], 0xDD);
        assert_int_equal(engine.span.bytes[4], 0xDD);
        engine_stop(&engine);
#else
        print_message("skipped: the address sanitizer takes care of it\n");
        skip();
#endif
}

/* ---- many reactors ---- */

static void reactors_that_listen_as_one_share_the_connections(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(3, SIM_KERNEL);
        struct engine engines[3];
        struct sim_peer *peers[60];
        char bound[IO_ADDRESS_BYTES_MAX];
        engine_start(&engines[0], &settings);
        engine_join(&engines[1], &engines[0], 1);
        engine_join(&engines[2], &engines[0], 2);
        static const enum io_sharing sharings[] = {IO_ALONE, IO_SHARED_FIRST, IO_SHARED_JOINS};
        for (size_t i = 0; i < array_count(sharings); i++)
                assert_int_equal(io_listen_shared(engines[1].io, "127.0.0.1:40000", sharings[i], 8, bound),
                                 -EADDRINUSE);
        assert_int_equal(io_listen_shared(engines[1].io, "unix:/run/x", IO_SHARED_FIRST, 8, bound), -EOPNOTSUPP);
        assert_int_equal(io_listen(engines[1].io, "10.0.0.1:1", 8, bound), 0);
        assert_int_equal(io_listen_shared(engines[2].io, "10.0.0.1:1", IO_SHARED_JOINS, 8, bound), -EADDRINUSE);
        for (size_t i = 0; i < array_count(peers); i++) {
                peers[i] = sim_connect(engines[0].io, 7);
                assert_null(sim_peer_io(peers[i]));
        }
        struct sim_peer *only = sim_connect(engines[0].io, 8);
        for (int round = 0; round < 100; round++)
                for (size_t e = 0; e < 3; e++)
                        engine_turn(&engines[e], UINT64_MAX);
        assert_true(sim_is_idle(engines[0].io));
        assert_ptr_equal(sim_peer_io(only), engines[1].io);
        size_t counts[3] = {0};
        for (size_t i = 0; i < array_count(peers); i++)
                for (size_t e = 0; e < 3; e++)
                        counts[e] += sim_peer_io(peers[i]) == engines[e].io;
        assert_int_equal(counts[0] + counts[1] + counts[2], array_count(peers));
        for (size_t e = 0; e < 3; e++) {
                assert_true(counts[e] > 5);
                assert_int_equal(engines[e].accepted_count, counts[e] + (e == 1));
                assert_int_equal(io_statistics(engines[e].io)->accepts, engines[e].accepted_count);
        }
        assert_int_equal(sim_ids_count(engines[0].io), array_count(peers) + 1);

        /* Who listens no more gets none, and a stopped reactor's connections break. */
        io_stop_listening(engines[0].io);
        engine_stop(&engines[2]);
        for (size_t i = 0; i < 10; i++)
                sim_connect(engines[0].io, 7);
        for (int round = 0; round < 100; round++)
                for (size_t e = 0; e < 2; e++)
                        engine_turn(&engines[e], UINT64_MAX);
        assert_int_equal(engines[0].accepted_count, counts[0]);
        assert_int_equal(engines[1].accepted_count, counts[1] + 1 + 10);
        size_t broken_count = 0;
        for (size_t i = 0; i < array_count(peers); i++)
                broken_count += sim_peer_is_broken(peers[i]);
        assert_int_equal(broken_count, counts[2]);
        engine_stop(&engines[1]);
        engine_stop(&engines[0]);
}

static void the_clock_waits_for_the_reactor_that_is_not_asleep(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(3, SIM_KERNEL);
        struct engine one, two;
        engine_start(&one, &settings);
        uint64_t start_ns = io_now_ns(one.io), turns_ns = 0;
        engine_join(&two, &one, 1);
        /* Who never polled has not started, and is not waited for. */
        assert_int_equal(engine_turn(&one, start_ns + NS_PER_MS), 0);
        assert_int_equal(io_now_ns(one.io), start_ns + NS_PER_MS);
        /* Of two who sleep the first deadline counts, whoever is asked. */
        assert_int_equal(engine_turn(&two, start_ns + 2 * NS_PER_MS), 0);
        turns_ns += settings.turn_max_ns;
        assert_true(io_clock_ns(two.io) <= start_ns + NS_PER_MS + turns_ns); /* one's has come: it is not asleep */
        assert_int_equal(engine_turn(&one, start_ns + 9 * NS_PER_MS), 0);
        assert_int_equal(io_clock_ns(one.io), start_ns + 2 * NS_PER_MS);
        assert_int_equal(engine_turn(&two, start_ns + 5 * NS_PER_MS), 0);
        assert_int_equal(io_clock_ns(one.io), start_ns + 5 * NS_PER_MS);
        /* Who is woken is waited for, and told. */
        io_wake(two.io);
        assert_int_equal(engine_turn(&one, UINT64_MAX), 0);
        assert_true(io_clock_ns(one.io) <= start_ns + 5 * NS_PER_MS + turns_ns);
        assert_false(two.woken);
        assert_int_equal(engine_turn(&two, UINT64_MAX), 1);
        assert_true(two.woken);
        /* Having done something it may have more to do, until a poll finds nothing. */
        assert_int_equal(engine_turn(&one, UINT64_MAX), 0);
        assert_false(sim_is_idle(one.io));
        assert_int_equal(engine_turn(&two, start_ns + 8 * NS_PER_MS), 0);
        /* Who is kept away is not, but for what comes to pass then. */
        uint64_t now_ns = io_clock_ns(one.io);
        io_wake(two.io);
        sim_keep_away(two.io, now_ns + 10 * NS_PER_MS);
        assert_int_equal(engine_turn(&one, now_ns + 4 * NS_PER_MS), 0);
        assert_int_equal(io_clock_ns(one.io), now_ns + 4 * NS_PER_MS);
        assert_int_equal(engine_turn(&one, now_ns + 40 * NS_PER_MS), 0);
        assert_int_equal(io_clock_ns(one.io), now_ns + 10 * NS_PER_MS);
        assert_int_equal(engine_turn(&two, UINT64_MAX), 1);
        engine_turn(&one, UINT64_MAX);
        engine_turn(&two, UINT64_MAX);
        assert_true(sim_is_idle(one.io));
        engine_stop(&one);
        engine_stop(&two);
}

struct wakers {
        struct engine engines[2];
        unsigned turns_inside;
        bool is_refused;
};

static bool wake_the_other(void *context)
{
        struct wakers *wakers = context;
        if (wakers->is_refused)
                return false;
        wakers->turns_inside++;
        engine_turn(&wakers->engines[1], UINT64_MAX);
        if (wakers->turns_inside == 3)
                io_wake(wakers->engines[0].io);
        return true;
}

static void a_reactor_can_sleep_while_another_turns_and_wakes_it(void **state)
{
        (void)state;
        struct sim_settings settings = sim_settings_calm(3, SIM_KERNEL);
        struct wakers wakers = {.turns_inside = 0};
        struct engine *engines = wakers.engines;
        engine_start(&engines[0], &settings);
        engine_join(&engines[1], &engines[0], 1);
        sim_on_sleep(engines[0].io, wake_the_other, &wakers);
        io_wake(engines[1].io);
        engine_turn(&engines[1], 0);
        struct sim_peer *peer = sim_connect(engines[0].io, 7);
        while (sim_peer_io(peer) == NULL)
                engine_turn(&engines[1], 0);
        assert_ptr_equal(sim_peer_io(peer), engines[1].io); /* so says the seed */
        wakers.turns_inside = 0;
        /* The peer's words reach the other, whose turns are inside our sleep. */
        sim_peer_write(peer, SPAN("hello"));
        assert_int_equal(engine_turn(&engines[0], UINT64_MAX), 1);
        assert_true(engines[0].woken);
        assert_int_equal(wakers.turns_inside, 3);
        assert_int_equal(engines[1].received_bytes, 5);
        wakers.is_refused = true;
        uint64_t now_ns = io_clock_ns(engines[0].io);
        io_wake(engines[1].io);
        assert_int_equal(engine_turn(&engines[0], UINT64_MAX), 0);
        assert_true(io_clock_ns(engines[0].io) <= now_ns + settings.turn_max_ns);
        engine_stop(&engines[0]);
        engine_stop(&engines[1]);
}

/* As rough_echo(), with several reactors that turn as it comes, pause, and are stopped in the middle. */
static uint64_t rough_crowd(uint64_t seed, enum sim_mode mode)
{
        struct sim_settings settings = sim_settings_rough(seed, mode);
        struct engine engines[4];
        struct random random;
        struct sim_peer *peers[16];
        uint64_t written[array_count(peers)] = {0}, read[array_count(peers)] = {0};
        random_init(&random, seed ^ 99);
        size_t count = 2 + random_below(&random, array_count(engines) - 1);
        engine_start(&engines[0], &settings);
        for (size_t e = 1; e < count; e++)
                engine_join(&engines[e], &engines[0], seed + e);
        for (size_t i = 0; i < array_count(peers); i++)
                peers[i] = sim_connect(engines[0].io, 7);
        for (unsigned turn = 0; turn < 200; turn++) {
                size_t i = random_below(&random, array_count(peers)), e = random_below(&random, count);
                if (turn == 150 && random_chance(&random, 1, 2))
                        engine_stop(&engines[--count]);
                else if (random_chance(&random, 1, 2) && !sim_peer_is_broken(peers[i])) {
                        size_t size = 1 + random_below(&random, random_chance(&random, 1, 4) ? 8000 : 100);
                        peer_write_pattern(peers[i], i, written[i], size);
                        written[i] += size;
                } else if (random_chance(&random, 1, 20) && e < count) {
                        sim_keep_away(engines[e].io, io_clock_ns(engines[e].io) + random_below(&random, 5000000));
                } else if (e < count) {
                        engine_turn(&engines[e], io_clock_ns(engines[e].io) + random_below(&random, 200000));
                }
                read[i] = peer_check_pattern(peers[i], i, read[i]);
        }
        for (size_t i = 0; i < array_count(peers); i++) {
                sim_peer_resume(peers[i]);
                sim_peer_shutdown(peers[i]);
        }
        for (int turns = 0; !sim_is_idle(engines[0].io); turns++) {
                assert_true(turns < 1000000);
                for (size_t e = 0; e < count; e++)
                        engine_turn(&engines[e], UINT64_MAX);
        }
        for (size_t i = 0; i < array_count(peers); i++) {
                read[i] = peer_check_pattern(peers[i], i, read[i]);
                assert_true(sim_peer_is_broken(peers[i]) || read[i] == written[i]);
                assert_true(sim_peer_is_broken(peers[i]) || sim_peer_is_ended(peers[i]));
                assert_true(read[i] <= written[i]);
        }
        assert_int_equal(sim_lent_bytes(engines[0].io), 0);
        assert_int_equal(sim_ids_count(engines[0].io), 0);
        uint64_t hash = sim_trace_hash(engines[0].io);
        for (size_t e = 0; e < count; e++)
                engine_stop(&engines[e]);
        return hash;
}

static void two_hundred_rough_seeds_echo_exactly_from_many_reactors(void **state)
{
        (void)state;
        for (uint64_t seed = 0; seed < 100; seed++)
                for (size_t m = 0; m < 2; m++) {
                        uint64_t hash = rough_crowd(seed, modes[m]);
                        if (seed % 20 == 0) {
                                assert_true(hash == rough_crowd(seed, modes[m]));
                                assert_true(hash != rough_crowd(seed + 1, modes[m]));
                        }
                }
}

/* ---- what must abort ---- */

/* Runs `crime` in a child with a connected engine; it must abort and say `words` on standard error. */
static void must_abort(void (*crime)(struct engine *engine, struct sim_peer *peer), enum sim_mode mode,
                       const char *words)
{
        int pipes[2];
        char text[4096] = "";
        size_t size = 0;
        int status;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                struct sim_settings settings = sim_settings_calm(31, mode);
                struct engine engine;
                signal(SIGABRT, SIG_DFL); /* not cmocka's handler */
                dup2(pipes[1], STDERR_FILENO);
                settings.retransmit = SIM_CHANCE_ONE;
                engine_start(&engine, &settings);
                struct sim_peer *peer = sim_connect(engine.io, 7);
                engine_run(&engine);
                crime(&engine, peer);
                _exit(0);
        }
        close(pipes[1]);
        for (ssize_t count; (count = read(pipes[0], text + size, sizeof(text) - 1 - size)) > 0; size += (size_t)count)
                text[size + (size_t)count] = '\0';
        close(pipes[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, "sim: seed 31, step "));
        if (strstr(text, words) == NULL)
                fail_msg("'%s' is not in '%s'", words, text);
}

static uint8_t lent_bytes[100000];

static void send_lent(struct engine *engine, struct sim_peer *peer, size_t size)
{
        struct span piece = span_of(lent_bytes, size);
        io_send(engine->io, sim_peer_id(peer), &piece, 1);
}

static void poll_only(struct engine *engine)
{
        struct io_event events[EVENTS_MAX];
        for (int i = 0; i < 50; i++)
                io_poll(engine->io, events, EVENTS_MAX, UINT64_MAX);
}

static void overwrite_before_poll(struct engine *engine, struct sim_peer *peer)
{
        send_lent(engine, peer, 100);
        lent_bytes[50] ^= 1;
        poll_only(engine);
}

static void overwrite_a_byte_that_was_sent(struct engine *engine, struct sim_peer *peer)
{
        struct io_event events[EVENTS_MAX];
        send_lent(engine, peer, 100);
        while (sim_peer_readable_bytes(peer) < 100)
                assert_int_equal(io_poll(engine->io, events, EVENTS_MAX, io_now_ns(engine->io) + 1000), 0);
        lent_bytes[99] ^= 1;
        poll_only(engine);
}

static void send_twice(struct engine *engine, struct sim_peer *peer)
{
        send_lent(engine, peer, 100);
        send_lent(engine, peer, 100);
}

static void send_nine_times(struct engine *engine, struct sim_peer *peer)
{
        for (int i = 0; i < 9; i++)
                send_lent(engine, peer, 1);
}

static void send_past_the_cap(struct engine *engine, struct sim_peer *peer)
{
        for (int i = 0; i < 3; i++)
                send_lent(engine, peer, 100000);
}

static void send_nothing(struct engine *engine, struct sim_peer *peer)
{
        io_send(engine->io, sim_peer_id(peer), NULL, 0);
}

static void send_an_empty_piece(struct engine *engine, struct sim_peer *peer)
{
        struct span pieces[2] = {SPAN("x"), SPAN("")};
        io_send(engine->io, sim_peer_id(peer), pieces, 2);
}

static void send_after_shutdown(struct engine *engine, struct sim_peer *peer)
{
        io_shutdown(engine->io, sim_peer_id(peer));
        send_lent(engine, peer, 1);
}

static void send_after_close(struct engine *engine, struct sim_peer *peer)
{
        io_close(engine->io, sim_peer_id(peer), false);
        send_lent(engine, peer, 1);
}

static void send_while_blocked(struct engine *engine, struct sim_peer *peer)
{
        struct io_event events[EVENTS_MAX];
        sim_peer_stall(peer);
        for (;;) {
                send_lent(engine, peer, 100000);
                io_poll(engine->io, events, EVENTS_MAX, UINT64_MAX);
        }
}

static void send_to_nobody(struct engine *engine, struct sim_peer *peer)
{
        struct span piece = SPAN("x");
        io_send(engine->io, sim_peer_id(peer) + 1, &piece, 1);
}

static void the_checker_catches_an_overwritten_lent_byte(void **state)
{
        (void)state;
        must_abort(overwrite_before_poll, SIM_KERNEL,
                   "a lent byte changed, seen at io_poll: piece 0 of 1, byte 50 of 100");
        must_abort(overwrite_before_poll, SIM_TCP,
                   "a lent byte changed, seen at sending: piece 0 of 1, byte 50 of 100");
        must_abort(overwrite_a_byte_that_was_sent, SIM_TCP, "a lent byte changed, seen at ");
}

static void the_checker_catches_what_io_forbids(void **state)
{
        (void)state;
        must_abort(send_twice, SIM_KERNEL, "io_send with 1 sends unreleased (at most 1)");
        must_abort(send_nine_times, SIM_TCP, "io_send with 8 sends unreleased (at most 8)");
        must_abort(send_past_the_cap, SIM_TCP, "io_send of 100000 bytes with 200000 lent (at most 262144)");
#ifndef SPATE_SLOW_ASSERTS /* with them io_send() itself is first, and knows no seed */
        must_abort(send_nothing, SIM_KERNEL, "io_send with 0 pieces");
#else
        (void)send_nothing;
#endif
        must_abort(send_an_empty_piece, SIM_KERNEL, "io_send with an empty piece (1 of 2)");
        must_abort(send_after_shutdown, SIM_KERNEL, "io_send after io_shutdown");
        must_abort(send_after_close, SIM_TCP, "io_send after io_close");
        must_abort(send_while_blocked, SIM_KERNEL, "io_send between a short IO_RELEASED and its IO_WRITABLE");
        must_abort(send_to_nobody, SIM_KERNEL, "io_send with an id that was never given out");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_echo_comes_back_whole_in_both_personalities),
                cmocka_unit_test(five_hundred_rough_seeds_echo_exactly),
                cmocka_unit_test(a_seed_replays_and_another_differs),
                cmocka_unit_test(a_shared_log_reaches_everybody_whole),
                cmocka_unit_test(a_stalled_peer_fills_its_window_and_no_more),
                cmocka_unit_test(short_sends_come_back_and_are_sent_again),
                cmocka_unit_test(a_reset_ends_the_connection_and_gives_all_back),
                cmocka_unit_test(who_is_refused_by_chance_never_reaches_the_engine),
                cmocka_unit_test(the_clock_jumps_where_the_machine_was_asleep),
                cmocka_unit_test(the_last_steps_are_kept_without_a_trace),
                cmocka_unit_test(a_closing_engine_is_seen_as_end_or_as_reset),
                cmocka_unit_test(a_paused_connection_holds_its_peer_back),
                cmocka_unit_test(a_closed_peer_answers_with_a_reset),
                cmocka_unit_test(connections_go_out_to_who_answers_only),
                cmocka_unit_test(a_full_or_deaf_engine_refuses),
                cmocka_unit_test(datagrams_go_both_ways),
                cmocka_unit_test(virtual_time_goes_to_what_happens_next),
                cmocka_unit_test(a_received_span_is_garbage_after_the_next_poll),
                cmocka_unit_test(reactors_that_listen_as_one_share_the_connections),
                cmocka_unit_test(the_clock_waits_for_the_reactor_that_is_not_asleep),
                cmocka_unit_test(a_reactor_can_sleep_while_another_turns_and_wakes_it),
                cmocka_unit_test(two_hundred_rough_seeds_echo_exactly_from_many_reactors),
                cmocka_unit_test(the_checker_catches_an_overwritten_lent_byte),
                cmocka_unit_test(the_checker_catches_what_io_forbids),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
