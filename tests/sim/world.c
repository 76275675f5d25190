/* world: see the header. */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/askers.h"
#include "tests/sim/checker.h"
#include "tests/sim/clients.h"
#include "tests/sim/host.h"
#include "tests/sim/rights.h"
#include "tests/sim/twists.h"

#define ROUNDS_MAX 20000
#define SETTLE_TURNS_MAX 300000
#define SETTLED_TURNS 64 /* in so many each reactor has one */

static struct world simulated;

const struct world *world_now(void)
{
        return &simulated;
}

uint64_t world_counter(const struct world *world, enum counter_id id)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < world->reactors_count; i++)
                sum += counter_read(&world->reactors[i]->counters, id);
        return sum;
}

static uint32_t peers_count(const struct world *world)
{
        uint32_t count = 0;
        for (size_t i = 0; i < world->reactors_count; i++)
                count += world->reactors[i]->peers_count;
        return count;
}

/* Changes with every connection that ends, and with every pattern and subscription. */
static uint64_t things_count(const struct world *world)
{
        uint64_t subscriptions_count = 0;
        for (size_t i = 0; i < world->reactors_count; i++)
                subscriptions_count += world->reactors[i]->routes.subscriptions_count;
        return subscriptions_count * UINT64_C(0x9e3779b97f4a7c15) + peers_count(world) +
               (match_patterns_count(world->cores->table) << 16) + (world_counter(world, COUNT_CLOSED_BROKEN) << 40);
}

/* ---- turns ---- */

/* One turn of one reactor, as the reader of published data that it is. */
static void turn_reactor(struct world *world, size_t number, uint64_t ns)
{
        struct epoch_reader *before = epoch_switch(world->readers[number]);
        bool was_engine = host_let_engine(true);
        uint64_t allocations = host_allocations();
        reactor_turn(world->reactors[number], io_clock_ns(world->io[number]) + ns);
        host_let_engine(was_engine);
        epoch_switch(before);
        /* Who leaves has his patterns withdrawn, which makes programs anew. */
        world->is_quiet &= world->quiet_count == things_count(world);
        must(!world->is_quiet || host_allocations() == allocations,
             "reactor %zu asked the heap for memory (from 0x%llx) while nothing but events came", number,
             (unsigned long long)host_last_caller());
        checker_check_accounts(world->reactors[number]);
}

/* One that has its core and is not `asleep`; REACTORS_MAX: none. */
static size_t draw_reactor(struct world *world, size_t asleep)
{
        size_t first = random_below(&world->random, world->reactors_count);
        for (size_t i = 0; i < world->reactors_count; i++) {
                size_t number = (first + i) % world->reactors_count;
                if (number != asleep && world->away_until_ns[number] <= io_clock_ns(world->io[0]))
                        return number;
        }
        return REACTORS_MAX;
}

/* Whose turn it is sleeps: the others go on, and may wake it. */
static bool let_others(void *context)
{
        struct world *world = context;
        size_t number = draw_reactor(world, world->asleep);
        const struct bell *bell = &world->cores->core[world->asleep].bell;
        must(world->reactors_count == 1 || atomic_load(&bell->is_asleep), "reactor %zu sleeps where no bell wakes it",
             world->asleep);
        for (size_t i = 0; i < world->reactors_count; i++) {
                const struct mailbox *mailbox = world->reactors[world->asleep]->in[i];
                must(mailbox == NULL || mailbox_is_empty(mailbox), "reactor %zu sleeps on mail of reactor %zu",
                     world->asleep, i);
        }
        if (number == REACTORS_MAX)
                return false;
        turn_reactor(world, number, random_below(&world->random, world->turn_ns + 1));
        return true;
}

/* Its core is somebody else's for so long. */
static void keep_away(struct world *world, size_t number, uint64_t ns)
{
        world->away_until_ns[number] = io_clock_ns(world->io[0]) + ns;
        sim_keep_away(world->io[number], world->away_until_ns[number]);
}

/* The draws of each turn, and of each act, are its own: what was left out before changes none of them. */
static void draw_anew(struct world *world, uint64_t kind, uint64_t number)
{
        random_init(&world->random, world->sim_case.seed * UINT64_C(0x9e3779b97f4a7c15) + (kind << 56) + number);
}

static void turn(struct world *world, uint64_t ns_max)
{
        draw_anew(world, 1, world->turns_count++);
        uint64_t ns = random_below(&world->random, ns_max);
        if (random_chance(&world->random, 1, 50) && world->reactors_count > 1 && !world->is_settling &&
            world_has(world, TWIST_AWAY)) {
                size_t away = random_below(&world->random, world->reactors_count);
                keep_away(world, away, random_below(&world->random, 5 * NS_PER_MS));
        }
        size_t number = draw_reactor(world, REACTORS_MAX);
        if (number == REACTORS_MAX)
                number = 0; /* all are away, but somebody must move the clock */
        world->asleep = number;
        world->turn_ns = ns;
        turn_reactor(world, number, ns);
        rights_follow(world);
        world->step++;
        clients_hear(world);
        askers_hear(world);
}

/* ---- the world's life ---- */

/* All reactors listen on one address; none turns before all are made. */
static void start(struct world *world, FILE *trace)
{
        struct cores_settings cores = twists_draw(world);
        struct io_settings io = {.backend = IO_BACKEND_SIM, .conns_max = CLIENTS_MAX + 64};
        struct reactor_settings settings = world->settings[0];
        char bound[IO_ADDRESS_BYTES_MAX];
        world->network.trace = trace;
        must(cores_new(&world->cores, &cores) == 0, "no memory");
        rights_start(world);
        settings.auth = world->rights.auth;
        world->settings[0] = settings;
        for (size_t i = 0; i < world->reactors_count; i++) {
                int error = i == 0 ? sim_start(&world->io[i], &io, &world->network)
                                   : sim_join(&world->io[i], world->io[0], &io);
                must(error == 0, "no memory");
                host_set_clock(world->io[0]);
                epoch_register();
                settings.number = (unsigned)i;
                settings.seed = world->sim_case.seed + 1 + i * 1000003;
                must(reactor_new(&world->reactors[i], &settings, world->cores, world->io[i]) == 0, "no memory");
                enum io_sharing sharing = i == 0 ? IO_SHARED_FIRST : IO_SHARED_JOINS;
                must(reactor_listen_shared(world->reactors[i], "10.0.0.1:4222", sharing, &session_protocol, bound) == 0,
                     "cannot listen");
                world->readers[i] = epoch_switch(NULL);
                uint64_t late_ns = random_below(&world->plan, 20 * NS_PER_MS);
                if (random_chance(&world->plan, 1, 4) && i > 0 && world_has(world, TWIST_LATE_START))
                        world->away_until_ns[i] = io_now_ns(world->io[0]) + late_ns;
        }
        must(reactor_listen(world->reactors[0], "10.0.0.1:8222", &admin_protocol, bound) == 0, "cannot listen");
        if (random_chance(&world->plan, 3, 4) && world_has(world, TWIST_SLEEP))
                sim_on_sleep(world->io[0], let_others, world);
}

static void stop(struct world *world)
{
        struct epoch_reader *before = epoch_switch(world->readers[0]);
        rights_stop(world);
        epoch_switch(before);
        for (size_t i = world->reactors_count; i-- > 0;) {
                epoch_switch(world->readers[i]);
                if (i == 0) {
                        host_set_clock(NULL);
                        world->io[0] = NULL;
                }
                reactor_free(world->reactors[i]);
                world->reactors[i] = NULL;
                epoch_unregister();
        }
        rights_end(world);
        cores_free(world->cores);
        clients_free(world);
}

static void act(struct world *world)
{
        if (case_skips(&world->sim_case, world->acts_count)) {
                world->acts_count++;
                return;
        }
        draw_anew(world, 2, world->acts_count++);
        size_t here = 0;
        for (size_t i = 0; i < world->clients_count; i++)
                here += !world->clients[i].is_over;
        uint64_t choice = random_below(&world->random, 1024);
        size_t index = random_below(&world->random, world->clients_count);
        bool joins = choice < 8 && world_has(world, TWIST_JOIN);
        if (joins || (here < 4 && choice < 128))
                clients_join(world);
        else if (choice >= 1024 - world->reload_in_1024)
                twists_reload(world);
        else if (choice >= 1000)
                askers_ask(world);
        else
                clients_act(world, index);
}

static void acts(struct world *world)
{
        draw_anew(world, 6, world->rounds);
        for (uint64_t i = random_below(&world->random, 6); i > 0; i--)
                act(world);
}

static void resume_all(struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++)
                if (sim_peer_is_stalled(world->clients[i].peer))
                        sim_peer_resume(world->clients[i].peer);
        askers_resume(world);
}

/* Everything that is still under way arrives, everybody who lives has heard a PONG behind his last word. */
static void settle(struct world *world)
{
        world->is_settling = true;
        for (size_t i = 0; i < world->clients_count; i++)
                if (!world->clients[i].is_over)
                        clients_ping(world, i);
        uint64_t settled_ns = 0; /* late acknowledgements take their time, and every reactor has to see them */
        int settled_turns = 0;
        for (int turns = 0; turns < SETTLE_TURNS_MAX; turns++) {
                resume_all(world);
                turn(world, 5 * NS_PER_MS);
                bool is_settled = clients_have_heard(world) && askers_have_heard(world);
                settled_turns++;
                if (!is_settled || settled_ns == 0) {
                        settled_ns = io_clock_ns(world->io[0]);
                        settled_turns = 0;
                }
                if (settled_turns > SETTLED_TURNS && io_clock_ns(world->io[0]) >= settled_ns + 250 * NS_PER_MS) {
                        world->is_settling = false;
                        return;
                }
        }
        must(false, "not settled: somebody waits for a PONG for ever");
}

/* The orderly end, as reactor 0 is told to bring it about, in the middle of a burst. */
static void drain(struct world *world)
{
        const struct match_table *table = world->cores->table;
        for (size_t i = 0; i < world->clients_count; i++) {
                struct client *client = &world->clients[i];
                client->was_over = client->is_over;
                client->dropped_before = checker_dropped_beside(world, client);
        }
        world->is_draining = true;
        world->events_max = world->events_count + random_below(&world->plan, DRAIN_EVENTS_MAX);
        size_t turns = 0, drain_at = random_below(&world->plan, 200);
        uint64_t drain_ns = NS_PER_S >> random_below(&world->plan, 12);
        uint64_t away_ns = random_below(&world->plan, 40 * NS_PER_MS);
        bool is_one_away = random_chance(&world->plan, 1, 2) && world->reactors_count > 1;
        for (; turns < 400000 && (turns <= drain_at || peers_count(world) > 0 || match_patterns_count(table) > 0);
             turns++) {
                resume_all(world);
                draw_anew(world, 3, turns);
                size_t index = random_below(&world->random, world->clients_count);
                for (int i = 0; turns >= drain_at && i < 4 && !world->clients[index].is_over; i++)
                        clients_publish(world, index);
                if (turns >= drain_at / 2 && !world->clients[index].is_over)
                        clients_publish(world, index);
                if (random_chance(&world->random, 1, 10))
                        askers_ask(world);
                /* One that hears of it late goes on to publish to those who take their leave. */
                if (turns == drain_at && is_one_away && world_has(world, TWIST_AWAY))
                        keep_away(world, 1 + random_below(&world->random, world->reactors_count - 1), away_ns);
                if (turns == drain_at) {
                        struct epoch_reader *before = epoch_switch(world->readers[0]);
                        reactor_drain(world->reactors[0], 10 * NS_PER_S, drain_ns);
                        epoch_switch(before);
                }
                turn(world, turns < drain_at ? NS_PER_MS : 5 * NS_PER_MS);
        }
        must(peers_count(world) == 0, "%u connections do not end", peers_count(world));
        must(match_patterns_count(table) == 0, "patterns are left");
        checker_check_dues(world);
        checker_check_empty(world);
}

/* The other end: in the middle of things all reactors turn no more, and are freed with all that they hold. */
static void halt(struct world *world)
{
        for (unsigned i = random_below(&world->plan, 50) != 0 ? DRAIN_EVENTS_MAX : 0; i > 0; i--) {
                acts(world);
                turn(world, NS_PER_MS);
        }
        epoch_switch(world->readers[0]);
        reactor_halt_others(world->reactors[0]);
        epoch_switch(NULL);
        for (size_t i = 1; i < world->reactors_count; i++)
                for (int turns = 0; !world->reactors[i]->is_halted; turns++) {
                        must(turns < 1000, "reactor %zu does not halt", i);
                        turn_reactor(world, i, 0);
                }
}

/* Events and nothing else, when all is warm: no turn asks the heap for anything. */
static void be_quiet(struct world *world)
{
        size_t events_max = world->events_max;
        world->events_max += 60;
        world->quiet_count = things_count(world);
        for (unsigned round = 0; world->events_count < world->events_max && round < 400; round++) {
                draw_anew(world, 4, round);
                size_t index = random_below(&world->random, world->clients_count);
                world->is_quiet = round >= 60 && world->quiet_count == things_count(world);
                if (!world->clients[index].is_over)
                        clients_publish(world, index);
                turn(world, world->pace_ns);
        }
        world->is_quiet = false;
        world->events_max = events_max;
}

static void note_outcome(struct world *world, struct outcome *outcome)
{
        *outcome = (struct outcome){
                .hash = sim_trace_hash(world->io[0]),
                .events = world->events_count,
                .delivered = world->delivered,
                .crossings = world_counter(world, COUNT_CROSSINGS),
                .held = world_counter(world, COUNT_PUBLISHERS_HELD),
                .unanswered = world_counter(world, COUNT_NO_RESPONDERS),
                .skipped = world_counter(world, COUNT_DROPPED_LAG_SKIP) + world_counter(world, COUNT_DROPPED_CONFLATED),
                .denied = world_counter(world, COUNT_DROPPED_NO_PERMISSION) +
                          world_counter(world, COUNT_PUBLISHES_DENIED) + world_counter(world, COUNT_SUBSCRIBES_DENIED),
                .failures = host_failures(),
                .clients = world->clients_count,
                .reactors = world->reactors_count,
        };
}

static void begin(struct world *world, const struct sim_case *sim_case)
{
        /* What lies behind is written before it is read. */
        memset(world, 0, offsetof(struct world, events));
        world->sim_case = *sim_case;
        random_init(&world->plan, sim_case->seed);
        host_start(sim_case->seed);
}

void world_play(const struct sim_case *sim_case, FILE *trace, struct outcome *outcome)
{
        struct world *world = &simulated;
        begin(world, sim_case);
        start(world, trace);
        askers_join(world);
        size_t events_max = 1000 + random_below(&world->plan, 400);
        size_t clients = 10 + random_below(&world->plan, 6);
        bool is_drained = !random_chance(&world->plan, 1, 8);
        if (sim_case->clients != 0)
                clients = sim_case->clients;
        for (size_t i = 0; i < clients; i++) {
                draw_anew(world, 5, i);
                clients_join(world);
        }
        world->events_max = events_max;
        host_fail_memory(world->fail_memory_one_in);
        uint32_t rounds_max = sim_case->rounds != 0 ? sim_case->rounds : ROUNDS_MAX;
        for (; world->rounds < rounds_max && world->events_count < world->events_max; world->rounds++) {
                acts(world);
                turn(world, world->pace_ns);
        }
        host_fail_memory(0);
        settle(world); /* every event has been published … */
        be_quiet(world);
        settle(world); /* … and whoever got some of them has heard a PONG behind the last */
        checker_check_dues(world);
        checker_check_heard(world);
        if (is_drained)
                drain(world);
        else
                halt(world);
        note_outcome(world, outcome);
        stop(world);
}

/* ---- failure ---- */

void world_dump(FILE *to, size_t steps)
{
        const struct world *world = &simulated;
        if (world->io[0] == NULL || world->reactors[0] == NULL)
                return;
        fprintf(to, "the last %zu steps of %llu:\n", steps, (unsigned long long)sim_steps(world->io[0]));
        sim_trace_last(world->io[0], steps, to);
        for (size_t r = 0; r < world->reactors_count && world->reactors[r] != NULL; r++) {
                const struct reactor *reactor = world->reactors[r];
                fprintf(to, "reactor %zu:", r);
                for (size_t i = 0; i < COUNTERS_COUNT; i++)
                        if (counter_read(&reactor->counters, i) != 0)
                                fprintf(to, " %s%s%s%s %llu", counter_rows[i].name,
                                        counter_rows[i].labels[0] == '\0' ? "" : "{", counter_rows[i].labels,
                                        counter_rows[i].labels[0] == '\0' ? "" : "}",
                                        (unsigned long long)counter_read(&reactor->counters, i));
                fprintf(to, " shed %llu\n", (unsigned long long)reactor->lanes.shed_count);
        }
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct client *client = &world->clients[i];
                fprintf(to, "client %zu: %u of %u pongs, %zu bytes half heard, %zu unsent, reactor %zu%s%s%s%s%s\n", i,
                        client->pongs_heard, client->pings_written, client->waiting_bytes,
                        sim_peer_unsent_bytes(client->peer), client->reactor, client->is_over ? ", over" : "",
                        client->echo ? "" : ", no echo", client->headers ? ", headers" : "",
                        client->hoards ? ", hoards" : "", sim_peer_is_broken(client->peer) ? ", broken" : "");
        }
        fprintf(to, "step %u, act %u, %llu ms, %s, lag policies %x%s%s\n", world->step, world->acts_count,
                (unsigned long long)(io_now_ns(world->io[0]) / NS_PER_MS),
                world->network.mode == SIM_KERNEL ? "kernel" : "tcp", world->lag_policies,
                world->rights.auth != NULL ? ", users" : "", world->is_draining ? ", draining" : "");
}

void world_fail(const char *file, int line, const char *format, ...)
{
        va_list arguments;
        fputs("sim: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, " (%s:%d)\n", file, line);
        abort();
}
