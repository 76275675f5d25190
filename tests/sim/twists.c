/* twists: see the header. */
#include "tests/sim/twists.h"

#include "tests/sim/rights.h"

/* What becomes of those who lag; false: they are cut. */
static bool draw_lag(struct world *world, uint64_t lag_bytes_max)
{
        static const char *const rules[] = {"",
                                            "a.>=conflate",
                                            "b=drop-oldest,x.>=block",
                                            "a.b=block,>=conflate",
                                            "h.>=drop-oldest,*.b=disconnect,>=conflate",
                                            "q.>=disconnect,>=drop-oldest"};
        struct random *plan = &world->plan;
        struct lag lag = {.policy = (enum lag_policy)random_below(plan, LAG_POLICIES), .limit_bytes = lag_bytes_max};
        const char *text = rules[random_below(plan, array_count(rules))];
        char error[OPTIONS_ERROR_BYTES] = "";
        struct lag_rules *drawn = &world->lag[world->settings_count];
        must(lag_rules_init(drawn, lag, lag_bytes_max, text, "", error) == 0, "%s", error);
        return random_chance(plan, 1, 2) && world_has(world, TWIST_LAG);
}

static void draw_network(struct world *world)
{
        uint64_t seed = world->sim_case.seed;
        struct sim_settings *network = &world->network;
        *network = sim_settings_rough(seed, seed % 2 == 0 ? SIM_KERNEL : SIM_TCP);
        /* Tiny segments and windows are sim_stream's; here they would only make a megabyte take an hour. */
        if (network->segment_bytes_max < 512)
                network->segment_bytes_max = 512;
        if (network->window_bytes < 4096)
                network->window_bytes = 4096;
        network->refuse = random_chance(&world->plan, 1, 3) ? (uint16_t)random_below(&world->plan, 200) : 0;
        network->jump = random_chance(&world->plan, 1, 4) ? 1 + (uint16_t)random_below(&world->plan, 4) : 0;
        network->jump_max_ns = NS_PER_MS << random_below(&world->plan, 18);
        const struct {
                enum twist twist;
                uint16_t *chance;
        } rows[] = {
                {TWIST_SHORT_SEND, &network->short_send},
                {TWIST_SHORT_SEND, &network->refused_send},
                {TWIST_LATE_RELEASE, &network->late_release},
                {TWIST_LATE_RELEASE, &network->retransmit},
                {TWIST_SPLIT, &network->split},
                {TWIST_COALESCE, &network->coalesce},
                {TWIST_RESET, &network->reset},
                {TWIST_REFUSE, &network->refuse},
                {TWIST_STALL, &network->stall},
                {TWIST_JUMP, &network->jump},
        };
        for (size_t i = 0; i < array_count(rows); i++)
                if (!world_has(world, rows[i].twist))
                        *rows[i].chance = 0;
}

struct cores_settings twists_draw(struct world *world)
{
        struct random *plan = &world->plan;
        const struct sim_case *sim_case = &world->sim_case;
        draw_network(world);
        bool is_alone = sim_case->seed % 16 == 0;
        size_t reactors = 2 + random_below(plan, REACTORS_MAX - 1);
        world->reactors_count = sim_case->reactors != 0 ? sim_case->reactors : is_alone ? 1 : reactors;
        /* Small mailboxes are full often; what a client may publish has to fit twice. */
        size_t mailbox_bytes = (size_t)8192 << random_below(plan, 7);
        if (!world_has(world, TWIST_SMALL_BOX))
                mailbox_bytes = 1 << 20;
        world->body_bytes_max = mailbox_bytes / 4 < 150000 ? mailbox_bytes / 4 : 150000;
        size_t memory_bytes = (size_t)4 << (20 + random_below(plan, 5));
        if (!world_has(world, TWIST_SMALL_MEMORY))
                memory_bytes = (size_t)64 << 20;
        uint64_t lag_bytes_max = (uint64_t)1 << (15 + random_below(plan, 8));
        uint64_t stall_ns_max = (5 * NS_PER_MS) << random_below(plan, 12);
        if (!world_has(world, TWIST_LAG)) {
                lag_bytes_max = memory_bytes / 2;
                stall_ns_max = 1000 * NS_PER_S;
        }
        uint64_t quiet_ns = random_below(plan, 10 * NS_PER_MS);
        bool has_lag = draw_lag(world, lag_bytes_max);
        bool is_crowded = random_chance(plan, 1, 10) && world_has(world, TWIST_CROWD);
        /* None, so few that they push each other out, or enough for all subjects. */
        static const uint32_t cache_lines[] = {0, 1, 2, 1024};
        uint32_t lines =
                world_has(world, TWIST_CACHE) ? cache_lines[random_below(plan, array_count(cache_lines))] : 1024;
        bool is_paced = random_chance(plan, 1, 2), is_rated = random_chance(plan, 1, 4);
        uint32_t turn_changes = 1 + (uint32_t)random_below(plan, random_chance(plan, 1, 4) ? 4 : 100);
        uint32_t subscribe_rate = 500u << random_below(plan, 8), burst = 1 + (uint32_t)random_below(plan, 5);
        is_paced &= world_has(world, TWIST_PACE);
        is_rated &= world_has(world, TWIST_PACE);
        world->settings[0] = (struct reactor_settings){
                .memory_bytes = memory_bytes,
                .lag_bytes_max = lag_bytes_max,
                .stall_ns_max = stall_ns_max,
                .handshake_ns = 100 * NS_PER_S,
                .auth_timeout_ns = 100 * NS_PER_S,
                .quiet_ns = quiet_ns,
                .ping_interval_ns = sim_case->seed % 3 == 0 ? 2 * NS_PER_S : 120 * NS_PER_S,
                .pings_out_max = 20,
                .conns_max = is_crowded ? 10 : CLIENTS_MAX,
                .cache_lines = lines,
                .turn_changes = is_paced ? turn_changes : 0,
                .subscribe_rate = is_rated ? subscribe_rate : 0,
                .subscribe_burst = burst,
                .nats = {.control_line_bytes_max = 4096, .payload_bytes_max = 1 << 20},
                .lag = has_lag ? &world->lag[0] : NULL,
                .lag_policies = {has_lag ? world->lag[0].lag.policy : LAG_DISCONNECT},
                .block_ns = stall_ns_max / 2,
                .cpu = -1,
        };
        world->settings_count = 1;
        world->lag_policies = has_lag ? lag_policies_in_use(&world->lag[0]) : 0;
        world->pace_ns = (uint64_t)1000 << random_below(plan, 12);
        world->reload_in_1024 = random_chance(plan, 1, 2) && world_has(world, TWIST_RELOAD) ? 8 : 0;
        world->fail_memory_one_in = random_chance(plan, 1, 8) ? 1 << (3 + random_below(plan, 6)) : 0;
        if (!world_has(world, TWIST_NO_MEMORY))
                world->fail_memory_one_in = 0;
        return (struct cores_settings){.count = (unsigned)world->reactors_count,
                                       .mailbox_bytes = mailbox_bytes,
                                       .patterns_max = 10000,
                                       .record_ids_max = random_below(plan, 4),
                                       .secret = "a secret of 16b"};
}

void twists_reload(struct world *world)
{
        rights_reload(world);
        if (world->settings_count == EDITIONS_MAX)
                return;
        struct reactor_settings *settings = &world->settings[world->settings_count];
        *settings = world->settings[world->settings_count - 1];
        settings->edition = world->settings_count;
        settings->lag_bytes_max = (uint64_t)1 << (15 + random_below(&world->plan, 8));
        settings->stall_ns_max = (5 * NS_PER_MS) << random_below(&world->plan, 12);
        if (!world_has(world, TWIST_LAG)) {
                settings->lag_bytes_max = world->settings[0].lag_bytes_max;
                settings->stall_ns_max = world->settings[0].stall_ns_max;
        }
        settings->block_ns = settings->stall_ns_max / 2;
        settings->ping_interval_ns = (1 + random_below(&world->plan, 100)) * NS_PER_S;
        if (settings->lag != NULL) {
                draw_lag(world, settings->lag_bytes_max);
                settings->lag = &world->lag[world->settings_count];
                settings->lag_policies[0] = (uint8_t)settings->lag->lag.policy;
                world->lag_policies |= lag_policies_in_use(settings->lag);
        }
        world->settings_count++;
        sim_note(world->io[0], "reload", 0, settings->edition, settings->lag_bytes_max);
        cores_publish_settings(world->cores, settings);
}
