/* host: see the header. */
#include "tests/sim/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "engine/admin/process.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "io/sim.h"

#define MORNING_NS (UINT64_C(1700000000) * NS_PER_S) /* some day */

static struct {
        const struct io *io;
        struct random secrets, memory;
        bool is_engine;
        uint32_t fail_one_in;
        uint64_t allocations, failures;
        const void *last_caller;
} host;

int __wrap_clock_gettime(clockid_t id, struct timespec *now);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
pid_t __wrap_getpid(void);
void __wrap_process_look(struct process_facts *facts);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void host_start(uint64_t seed)
{
        memset(&host, 0, sizeof host);
        random_init(&host.secrets, seed ^ UINT64_C(0x5ec7e7));
        random_init(&host.memory, seed ^ UINT64_C(0x3e3049));
}

void host_set_clock(const struct io *io)
{
        host.io = io;
}

bool host_let_engine(bool is_engine)
{
        bool before = host.is_engine;
        host.is_engine = is_engine;
        return before;
}

void host_fail_memory(uint32_t one_in)
{
        host.fail_one_in = one_in;
}

uint64_t host_allocations(void)
{
        return host.allocations;
}

uint64_t host_failures(void)
{
        return host.failures;
}

uint64_t host_last_caller(void)
{
        extern const char __executable_start;
        return (uint64_t)((const char *)host.last_caller - &__executable_start);
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
        uint64_t ns = host.io != NULL ? io_clock_ns(host.io) : 0;
        ns += id == CLOCK_REALTIME ? MORNING_NS : 0;
        *now = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
        return 0;
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
        (void)flags;
        for (size_t i = 0; i < size; i++)
                ((uint8_t *)bytes)[i] = (uint8_t)random_next(&host.secrets);
        return (ssize_t)size;
}

pid_t __wrap_getpid(void)
{
        return 4242;
}

void __wrap_process_look(struct process_facts *facts)
{
        *facts = (struct process_facts){.resident_bytes = 1 << 24, .virtual_bytes = 1 << 26, .descriptors_max = 1024};
}

static bool is_refused(const void *caller)
{
        if (!host.is_engine || sim_is_allocating())
                return false;
        host.allocations++;
        host.last_caller = caller;
        if (host.fail_one_in == 0 || random_below(&host.memory, host.fail_one_in) != 0)
                return false;
        host.failures++;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return is_refused(__builtin_return_address(0)) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return is_refused(__builtin_return_address(0)) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
        return is_refused(__builtin_return_address(0)) ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        return is_refused(__builtin_return_address(0)) ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
        return is_refused(__builtin_return_address(0)) ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}
