/* simsettings: what a simulated network is like. See sim.h. */
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "io/sim.h"

struct sim_settings sim_settings_calm(uint64_t seed, enum sim_mode mode)
{
        return (struct sim_settings){
                .seed = seed,
                .mode = mode,
                .latency_min_ns = 20 * NS_PER_US,
                .latency_max_ns = 60 * NS_PER_US,
                .turn_min_ns = 500,
                .turn_max_ns = 5000,
                .window_bytes = 65536,
                .send_buffer_bytes = 65536,
                .segment_bytes_max = 16384,
                .sends_max = 8,
                .lent_bytes_max = 256 * 1024,
                .stall_max_ns = 10 * NS_PER_MS,
                .linger_max_ns = 1 * NS_PER_S,
        };
}

/* Absent, rare or frequent: a fault that is always there hides what happens without it. */
static uint16_t rough_chance(struct random *random, uint16_t rare_max, uint16_t frequent_max)
{
        switch (random_below(random, 3)) {
        case 0:
                return 0;
        case 1:
                return (uint16_t)(1 + random_below(random, rare_max));
        default:
                return (uint16_t)(1 + random_below(random, frequent_max));
        }
}

static size_t rough_size(struct random *random, unsigned bits_min, unsigned bits_max)
{
        size_t size = (size_t)1 << (bits_min + random_below(random, bits_max - bits_min + 1));
        return size + random_below(random, size);
}

struct sim_settings sim_settings_rough(uint64_t seed, enum sim_mode mode)
{
        struct sim_settings settings = sim_settings_calm(seed, mode);
        struct random random;
        random_init(&random, ~seed); /* not the sequence that the simulation itself will draw */
        settings.latency_min_ns = 1 + random_below(&random, 100 * NS_PER_US);
        settings.latency_max_ns = settings.latency_min_ns + rough_size(&random, 10, 22);
        settings.turn_max_ns = settings.turn_min_ns + rough_size(&random, 10, 17);
        settings.window_bytes = rough_size(&random, 9, 17);
        settings.send_buffer_bytes = rough_size(&random, 9, 17);
        settings.segment_bytes_max = rough_size(&random, 6, 15);
        settings.sends_max = 1 + (uint32_t)random_below(&random, 16);
        settings.lent_bytes_max = rough_size(&random, 14, 17);
        settings.short_send = rough_chance(&random, 32, 512);
        settings.late_release = rough_chance(&random, 32, 512);
        settings.retransmit = rough_chance(&random, 32, 512);
        settings.split = rough_chance(&random, 32, 512);
        settings.coalesce = rough_chance(&random, 32, 512);
        settings.reset = rough_chance(&random, 1, 4);
        settings.stall = rough_chance(&random, 4, 64);
        settings.datagram_loss = rough_chance(&random, 32, 512);
        settings.stall_max_ns = rough_size(&random, 16, 26);
        settings.linger_max_ns = rough_size(&random, 16, 30);
        settings.refused_send = rough_chance(&random, 32, 768);
        return settings;
}
