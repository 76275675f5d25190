/* simnet: see simnet.h. The heap of the C library is used freely: simple before fast. */
#include "io/simnet.h"

#include <stdarg.h>
#include <stdio.h>

#define START_NS (1000 * NS_PER_S)

int sim_allocating;

static_assert((SIM_STEPS_KEPT & (SIM_STEPS_KEPT - 1)) == 0, "a mask finds a step's place");

/* ---- chance, trace, failure ---- */

void simnet_hash_word(struct simnet *net, uint64_t word)
{
        net->hash = (net->hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        net->hash ^= net->hash >> 29;
}

void simnet_hash_bytes(struct simnet *net, const uint8_t *bytes, size_t size)
{
        for (; size >= 8; bytes += 8, size -= 8) {
                uint64_t word;
                memcpy(&word, bytes, 8);
                simnet_hash_word(net, word);
        }
        uint64_t rest = size;
        for (size_t i = 0; i < size; i++)
                rest = rest << 8 | bytes[i];
        simnet_hash_word(net, rest);
}

static void step_print(const struct simstep *step, FILE *to)
{
        uint64_t ns = step->now_ns - START_NS;
        fprintf(to, "%llu %llu.%03llu us reactor %u %s conn %u %llu %llu\n", (unsigned long long)step->step,
                (unsigned long long)(ns / NS_PER_US), (unsigned long long)(ns % NS_PER_US), step->speaking, step->what,
                step->number, (unsigned long long)step->a, (unsigned long long)step->b);
}

void simnet_step(struct simnet *net, const char *what, uint32_t number, uint64_t a, uint64_t b)
{
        struct simstep *step = &net->last[net->steps++ & (SIM_STEPS_KEPT - 1)];
        *step = (struct simstep){.step = net->steps,
                                 .now_ns = net->now_ns,
                                 .a = a,
                                 .b = b,
                                 .what = what,
                                 .speaking = net->speaking,
                                 .number = number};
        /* Each `what` is told from the others by its length and its ends. */
        size_t size = strlen(what);
        simnet_hash_word(net, (uint64_t)size << 16 | (uint64_t)(uint8_t)what[0] << 8 | (uint8_t)what[size - 1]);
        simnet_hash_word(net, net->now_ns);
        simnet_hash_word(net, (uint64_t)net->speaking << 32 | number);
        simnet_hash_word(net, a);
        simnet_hash_word(net, b);
        if (net->settings.trace != NULL)
                step_print(step, net->settings.trace);
}

void simnet_trace_last(const struct simnet *net, size_t count, FILE *to)
{
        count = count < SIM_STEPS_KEPT ? count : SIM_STEPS_KEPT;
        for (uint64_t step = net->steps > count ? net->steps - count : 0; step < net->steps; step++)
                step_print(&net->last[step & (SIM_STEPS_KEPT - 1)], to);
}

void simnet_fail(const struct simnet *net, uint32_t number, io_id id, const char *format, ...)
{
        va_list arguments;
        fprintf(stderr, "sim: seed %llu, step %llu, %s", (unsigned long long)net->settings.seed,
                (unsigned long long)net->steps, net->settings.mode == SIM_KERNEL ? "SIM_KERNEL" : "SIM_TCP");
        if (number != 0)
                fprintf(stderr, ", connection %u (id %llx)", number, (unsigned long long)id);
        fputs(": ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        if (net->settings.trace != NULL)
                fflush(net->settings.trace);
        abort();
}

uint64_t simnet_draw(struct simnet *net, uint64_t bound)
{
        return random_below(&net->random, bound);
}

bool simnet_chance(struct simnet *net, uint16_t chance_1024)
{
        return chance_1024 != 0 && simnet_draw(net, SIM_CHANCE_ONE) < chance_1024;
}

bool simnet_coin(struct simnet *net)
{
        return simnet_draw(net, 2) == 0;
}

uint64_t simnet_latency_ns(struct simnet *net)
{
        return net->settings.latency_min_ns +
               simnet_draw(net, net->settings.latency_max_ns - net->settings.latency_min_ns + 1);
}

/* ---- happenings ---- */

static bool happens_before(const struct happening *a, const struct happening *b)
{
        return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void simnet_add(struct simnet *net, struct happening happening)
{
        if (net->heap_count == net->heap_capacity) {
                net->heap_capacity = net->heap_capacity == 0 ? 256 : net->heap_capacity * 2;
                net->heap = sim_reallocate(net->heap, net->heap_capacity * sizeof(*net->heap));
        }
        happening.net = net;
        happening.order = net->order++;
        size_t i = net->heap_count++;
        for (; i > 0 && happens_before(&happening, &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
                net->heap[i] = net->heap[(i - 1) / 2];
        net->heap[i] = happening;
}

static struct happening heap_take(struct simnet *net)
{
        struct happening first = net->heap[0], last = net->heap[--net->heap_count];
        size_t i = 0;
        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= net->heap_count)
                        break;
                if (child + 1 < net->heap_count && happens_before(&net->heap[child + 1], &net->heap[child]))
                        child++;
                if (!happens_before(&net->heap[child], &last))
                        break;
                net->heap[i] = net->heap[child];
                i = child;
        }
        net->heap[i] = last;
        return first;
}

/* The first happening of the heap; the clock goes to its time. */
static void happen(struct simnet *net)
{
        struct happening happening = heap_take(net);
        if (happening.at_ns > net->now_ns)
                net->now_ns = happening.at_ns;
        simnet_step(net, happening.name, happening.number, happening.a, happening.b);
        happening.happen(&happening);
}

void simnet_happen_until(struct simnet *net, uint64_t until_ns)
{
        while (simnet_next_ns(net) <= until_ns && net->heap_count > 0)
                happen(net);
}

/* ---- its life ---- */

void simnet_init(struct simnet *net, const struct sim_settings *settings)
{
        assert(settings->latency_max_ns >= settings->latency_min_ns);
        assert(settings->turn_max_ns >= settings->turn_min_ns);
        assert(settings->window_bytes > 0 && settings->send_buffer_bytes > 0 && settings->segment_bytes_max > 0);
        assert(settings->mode == SIM_KERNEL || (settings->sends_max > 0 && settings->lent_bytes_max > 0));
        *net = (struct simnet){.settings = *settings,
                               .now_ns = START_NS,
                               .last = sim_allocate_zeroed(SIM_STEPS_KEPT * sizeof(struct simstep))};
        random_init(&net->random, settings->seed);
        simnet_hash_word(net, settings->seed);
        struct list *lists[] = {&net->sims, &net->peers, &net->answered, &net->answers, &net->datagrams_out};
        for (size_t i = 0; i < array_count(lists); i++)
                list_init(lists[i]);
}

void simnet_fini(struct simnet *net)
{
        for (size_t i = 0; i < net->heap_count; i++)
                sim_free(net->heap[i].owned);
        sim_free(net->heap);
        sim_free(net->last);
}
