/* fuzz_engine: a whole reactor on a calm simulated network, spoken to by the fuzzer: three clients and one who asks the
 * admin address. Whatever they say, and however they stall, leave and come again, what the engine says is NATS and
 * HTTP, its accounts add up after every turn, and when all have left its memory has come back.
 *
 *      op    a byte: two low bits: who; the rest:
 *            up to half of all: say the next bytes, as many as the byte behind tells; else say one of the phrases, let
 * the engine turn, stall, go on reading, end, break off (and come again with the next words) */
#include <stdio.h>

#include "engine/cli/adminlink.h"
#include "engine/cli/incoming.h"
#include "engine/reactor.h"
#include "io/sim.h"
#include "io/wire/json.h"
#include "tests/fuzz/fuzz.h"

#define CLIENTS 4
#define ADMIN 3
#define HEARD_BYTES_MAX ((size_t)1 << 20)
#define TURNS_MAX 20000

struct client {
        struct sim_peer *peer;
        bool is_shut;
        uint8_t *heard;
        size_t heard_bytes;
};

static struct client clients[CLIENTS];

static const char *const phrases[] = {
        "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n",
        "CONNECT {\"echo\":false,\"verbose\":true}\r\n",
        "SUB a.> 1\r\n",
        "SUB a.* workers 2\r\n",
        "SUB > 3\r\nPING\r\n",
        "UNSUB 1\r\n",
        "UNSUB 2 3\r\n",
        "PUB a.b 5\r\nhello\r\n",
        "PUB a.b _INBOX.1 0\r\n\r\n",
        "HPUB a.c 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        "PING\r\n",
        "PONG\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /connections?sort=pending&limit=7 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /explain?subject=a.b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /connz?subs=detail&sort=pending HTTP/1.1\r\nHost: [::1]:8222\r\n\r\n",
        "GET /losses?limit=3 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /cohorts HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /varz HTTP/1.0\r\n\r\n",
        "GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /reload HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\n\r\n",
        "POST /drain HTTP/1.1\r\nHost: localhost\r\nSpate-Admin: yes\r\n\r\n",
};

/* Large enough to fall behind with. */
static void say_much(struct client *client)
{
        static uint8_t much[20000];
        static const char head[] = "PUB a.b 19950\r\n";
        if (much[0] == 0) {
                memset(much, 'x', sizeof much);
                memcpy(much, head, sizeof head - 1);
                memcpy(much + sizeof head - 1 + 19950, "\r\n", 2);
        }
        sim_peer_write(client->peer, span_of(much, sizeof head - 1 + 19950 + 2));
}

/* ---- what is heard ---- */

static size_t hear_http(struct span heard)
{
        int status;
        struct span body;
        struct span first = span_of(heard.bytes, heard.size < 2048 ? heard.size : 2048);
        const uint8_t *end = memmem(first.bytes, first.size, "\r\n\r\n", 4);
        int whole = adminlink_body(heard, false, &status, &body);
        assert(whole >= 0);
        if (end == NULL)
                return 0;
        assert(status == 200 || status == 202 || (status >= 400 && status <= 503));
        if (whole == 0)
                return 0;
        assert(body.size == 0 || body.bytes[0] != '{' || json_is_valid(body));
        return (size_t)(body.bytes - heard.bytes) + body.size;
}

static size_t hear_nats(struct span heard)
{
        struct incoming operation;
        ssize_t taken = incoming_decode(heard, &operation);
        assert(taken >= 0);
        return (size_t)taken;
}

static void hear(struct client *client, bool is_admin, bool may_head)
{
        size_t got, taken = 0, one;
        while ((got = sim_peer_read(client->peer, client->heard + client->heard_bytes,
                                    HEARD_BYTES_MAX - client->heard_bytes)) > 0)
                client->heard_bytes += got;
        struct span heard = span_of(client->heard, client->heard_bytes);
        if (is_admin && may_head) {
                client->heard_bytes = 0; /* where bodies end cannot be known */
                return;
        }
        while (taken < heard.size &&
               (one = is_admin ? hear_http(span_skip(heard, taken)) : hear_nats(span_skip(heard, taken))) > 0)
                taken += one;
        client->heard_bytes -= taken;
        memmove(client->heard, client->heard + taken, client->heard_bytes);
        assert(client->heard_bytes < HEARD_BYTES_MAX);
}

/* ---- the engine ---- */

static void check_accounts(const struct reactor *reactor)
{
        const struct lanes *lanes = &reactor->lanes;
        struct account sum = lanes->closed, account;
        uint64_t pending, pending_sum = 0;
        for (uint32_t i = 0; i < reactor->by_index_count; i++) {
                if (reactor->by_index[i] == NULL)
                        continue;
                lane_account(&reactor->by_index[i]->lane, &account, &pending);
                assert(account.matched == account.released + account_dropped(&account) + pending);
                account_add(&sum, &account);
                pending_sum += pending;
        }
        assert(sum.matched == lanes->account.matched);
        assert(sum.matched == sum.released + account_dropped(&sum) + pending_sum);
}

static void turn(struct reactor *reactor, uint64_t ns)
{
        reactor_turn(reactor, io_now_ns(reactor->io) + ns);
        check_accounts(reactor);
}

static struct reactor *reactor_make(struct cores **cores)
{
        static struct lag_rules lag;
        static char error[OPTIONS_ERROR_BYTES];
        static const struct lag slow = {.policy = LAG_DISCONNECT, .limit_bytes = 64 << 10};
        struct sim_settings sim = sim_settings_calm(1, SIM_KERNEL);
        struct io_settings io_settings = {.backend = IO_BACKEND_SIM, .conns_max = 64};
        struct cores_settings cores_settings = {.count = 1, .patterns_max = 100, .secret = "a secret of 16b"};
        char bound[IO_ADDRESS_BYTES_MAX];
        struct reactor *reactor;
        struct io *io;
        int failed = lag_rules_init(&lag, slow, 1 << 20, "a.b=drop-oldest,a.c=conflate,a.*=block", "", error);
        assert(failed == 0);
        struct reactor_settings settings = {
                .memory_bytes = (size_t)8 << 20,
                .lag_bytes_max = 64 << 10,
                .stall_ns_max = NS_PER_S,
                .handshake_ns = 5 * NS_PER_S,
                .quiet_ns = NS_PER_MS,
                .ping_interval_ns = 2 * NS_PER_S,
                .pings_out_max = 2,
                .conns_max = 8,
                .subscriptions_max = 20,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 16},
                .lag = &lag,
                .block_ns = NS_PER_S / 10,
                .seed = 1,
        };
        failed = sim_start(&io, &io_settings, &sim);
        assert(failed == 0);
        failed = cores_new(cores, &cores_settings);
        assert(failed == 0);
        failed = reactor_new(&reactor, &settings, *cores, io);
        assert(failed == 0);
        failed = reactor_listen(reactor, "10.0.0.1:4222", &session_protocol, bound);
        assert(failed == 0);
        failed = reactor_listen(reactor, "10.0.0.1:8222", &admin_protocol, bound);
        assert(failed == 0);
        return reactor;
}

/* Who has left comes again. */
static void come(struct client *client, struct io *io, bool is_admin)
{
        bool is_gone = client->peer == NULL || client->is_shut || sim_peer_is_ended(client->peer) ||
                       sim_peer_is_broken(client->peer);
        if (!is_gone)
                return;
        if (client->peer != NULL)
                sim_peer_close(client->peer);
        client->peer = sim_connect(io, is_admin ? 1 : 0);
        client->is_shut = false;
        client->heard_bytes = 0;
}

static void leave(struct reactor *reactor, bool may_head)
{
        for (size_t i = 0; i < CLIENTS; i++)
                if (clients[i].peer != NULL) {
                        sim_peer_resume(clients[i].peer);
                        if (!clients[i].is_shut && !sim_peer_is_broken(clients[i].peer))
                                sim_peer_shutdown(clients[i].peer);
                }
        for (unsigned turns = 0; reactor->peers_count > 0; turns++) {
                assert(turns < TURNS_MAX);
                turn(reactor, NS_PER_MS);
                for (size_t i = 0; i < CLIENTS; i++)
                        if (clients[i].peer != NULL)
                                hear(&clients[i], i == ADMIN, may_head);
        }
        assert(reactor->kept_bytes == 0);
        assert(reactor->lanes.memory.taken_bytes == 0);
        assert(reactor->routes.subscriptions_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static bool is_registered;
        struct span input = span_of(data, size);
        struct cores *cores;
        if (!is_registered)
                epoch_register();
        is_registered = true;
        log_set_level(LOG_LEVEL_ERROR);
        struct reactor *reactor = reactor_make(&cores);
        /* HEAD has answers without bodies: what follows them cannot be told from one. */
        bool may_head = memmem(data, size, "HEAD", 4) != NULL;
        for (size_t i = 0; i < CLIENTS; i++) {
                uint8_t *heard = clients[i].heard != NULL ? clients[i].heard : malloc(HEARD_BYTES_MAX);
                clients[i] = (struct client){.heard = heard};
        }
        for (unsigned steps = 0; input.size > 0 && steps < 500; steps++) {
                uint8_t op = fuzz_byte(&input);
                struct client *client = &clients[op & 3];
                bool is_admin = client == &clients[ADMIN];
                unsigned action = op >> 2;
                come(client, reactor->io, is_admin);
                if (action < 32) {
                        sim_peer_write(client->peer, fuzz_bytes(&input, fuzz_byte(&input)));
                } else if (action < 32 + array_count(phrases)) {
                        may_head |= phrases[action - 32][0] == 'H' && phrases[action - 32][1] == 'E';
                        sim_peer_write(client->peer, span_of_text(phrases[action - 32]));
                } else if (action == 57) {
                        say_much(client);
                } else if (action == 58) {
                        sim_peer_stall(client->peer);
                } else if (action == 59) {
                        sim_peer_resume(client->peer);
                } else if (action == 60) {
                        client->is_shut = true;
                        sim_peer_shutdown(client->peer);
                } else if (action == 61) {
                        sim_peer_reset(client->peer);
                } else {
                        turn(reactor, action == 62 ? NS_PER_MS : NS_PER_S);
                }
                turn(reactor, 50000);
                for (size_t i = 0; i < CLIENTS; i++)
                        if (clients[i].peer != NULL)
                                hear(&clients[i], i == ADMIN, may_head);
        }
        leave(reactor, may_head);
        reactor_free(reactor);
        cores_free(cores);
        return 0;
}
