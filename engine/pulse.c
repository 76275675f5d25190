/* pulse: see the header. */
#include "engine/pulse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"

static const uint64_t bounds_ns[PULSE_BUCKETS] = {
#define PULSE_BOUND(ns, text) ns,
        PULSE_BUCKETS_TABLE(PULSE_BOUND)
#undef PULSE_BOUND
                UINT64_MAX,
};

int pulse_init(struct pulse *pulse)
{
        *pulse = (struct pulse){0};
        return counters_init(&pulse->values, PULSE_VALUES);
}

void pulse_fini(struct pulse *pulse)
{
        counters_fini(&pulse->values);
}

void pulse_take_thread(struct pulse *pulse)
{
        counter_set(&pulse->values, PULSE_THREAD, (uint64_t)gettid());
}

void pulse_count_turn(struct pulse *pulse, uint64_t turn_ns)
{
        size_t bucket = 0;
        while (turn_ns > bounds_ns[bucket])
                bucket++;
        counter_add(&pulse->values, bucket, 1);
        counter_add(&pulse->values, PULSE_TURN_NS, turn_ns);
}

/* How the kernel names the CPU clock of a thread; what pthread_getcpuclockid() gives for a pthread_t, which is not to
 * be had of another thread's number. */
static clockid_t thread_clock(pid_t thread)
{
        return (clockid_t)((~(unsigned)thread << 3) | 6);
}

/* How long the thread was ready to run and did not; 0 where the kernel does not tell. */
static uint64_t thread_waited_ns(pid_t thread)
{
        char path[64], text[96];
        snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", (int)thread);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
                return 0;
        ssize_t size = read(file, text, sizeof text - 1);
        close(file);
        if (size <= 0)
                return 0;
        text[size] = '\0';
        char *end;
        (void)strtoull(text, &end, 10);
        return strtoull(end, NULL, 10);
}

struct pulse_times pulse_times(const struct pulse *pulse)
{
        pid_t thread = (pid_t)counter_read(&pulse->values, PULSE_THREAD);
        struct timespec spent;
        if (thread == 0 || clock_gettime(thread_clock(thread), &spent) != 0)
                return (struct pulse_times){0};
        uint64_t cpu_ns = (uint64_t)spent.tv_sec * NS_PER_S + (uint64_t)spent.tv_nsec;
        return (struct pulse_times){.cpu_ns = cpu_ns, .busy_ns = cpu_ns + thread_waited_ns(thread)};
}
