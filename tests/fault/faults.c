/* faults: see the header. */
#include "tests/fault/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPED_PAGE_BYTES ((size_t)4096)
#define CALLERS_MAX 64

static struct {
        enum fault fault;
        uint64_t first, count;
        uint64_t asked, struck;
        void *callers[CALLERS_MAX]; /* of the first that failed */
        unsigned callers_count;
        bool is_armed, is_traced;
        long blocks, mapped_bytes;
} faults;

static const struct {
        const char *name, *meaning;
} rows[FAULTS] = {
#define FAULT_ROW(id, name, meaning) [FAULT_##id] = {name, meaning},
        FAULT_TABLE(FAULT_ROW)
#undef FAULT_ROW
};

const char *fault_name(enum fault fault)
{
        return rows[fault].name;
}

const char *fault_meaning(enum fault fault)
{
        return rows[fault].meaning;
}

void faults_plan(enum fault fault, uint64_t first, uint64_t count)
{
        faults.fault = fault;
        faults.first = first;
        faults.count = count;
        faults.asked = 0;
        faults.struck = 0;
        faults.callers_count = 0;
}

uint64_t faults_asked(void)
{
        return faults.asked;
}

uint64_t faults_struck(void)
{
        return faults.struck;
}

unsigned faults_struck_in(const char *library)
{
        unsigned count = 0;
        Dl_info info;
        for (unsigned i = 0; i < faults.callers_count; i++)
                count += dladdr(faults.callers[i], &info) != 0 && strstr(info.dli_fname, library) != NULL;
        return count;
}

void faults_trace(bool is_traced)
{
        void *once[1];
        (void)backtrace(once, 1); /* it allocates the first time */
        faults.is_traced = is_traced;
}

void faults_arm(void)
{
        __atomic_store_n(&faults.is_armed, true, __ATOMIC_RELAXED);
}

void faults_disarm(void)
{
        __atomic_store_n(&faults.is_armed, false, __ATOMIC_RELAXED);
}

bool faults_pause(void)
{
        bool was_armed = __atomic_load_n(&faults.is_armed, __ATOMIC_RELAXED);
        faults_disarm();
        return was_armed;
}

void faults_resume(bool was_armed)
{
        __atomic_store_n(&faults.is_armed, was_armed, __ATOMIC_RELAXED);
}

static void tell_where(uint64_t number)
{
        void *frames[16];
        char line[64] = "---- refused, number ";
        size_t size = strlen(line);
        char digits[24];
        size_t count = 0;
        do
                digits[count++] = (char)('0' + number % 10);
        while ((number /= 10) > 0);
        while (count > 0)
                line[size++] = digits[--count];
        line[size++] = '\n';
        bool was_armed = faults_pause();
        if (write(STDERR_FILENO, line, size) == (ssize_t)size)
                backtrace_symbols_fd(frames, backtrace(frames, 16), STDERR_FILENO);
        faults_resume(was_armed);
}

/* Threads may ask at the same time; the plan is made while none does. */
bool faults_strike(enum fault fault)
{
        if (!__atomic_load_n(&faults.is_armed, __ATOMIC_RELAXED) || fault != faults.fault)
                return false;
        uint64_t number = __atomic_add_fetch(&faults.asked, 1, __ATOMIC_RELAXED);
        if (faults.first == 0 || number < faults.first || number - faults.first >= faults.count)
                return false;
        __atomic_add_fetch(&faults.struck, 1, __ATOMIC_RELAXED);
        if (faults.is_traced)
                tell_where(number);
        return true;
}

long faults_heap_blocks(void)
{
        return __atomic_load_n(&faults.blocks, __ATOMIC_RELAXED);
}

long faults_mapped_bytes(void)
{
        return __atomic_load_n(&faults.mapped_bytes, __ATOMIC_RELAXED);
}

/* ---- the heap ---- */

static bool heap_fails_for(void *caller)
{
        if (!faults_strike(FAULT_HEAP))
                return false;
        if (faults.callers_count < CALLERS_MAX)
                faults.callers[faults.callers_count++] = caller;
        errno = ENOMEM;
        return true;
}

#define heap_fails() heap_fails_for(__builtin_return_address(0))

static void *counted(void *block)
{
        if (block != NULL)
                __atomic_add_fetch(&faults.blocks, 1, __ATOMIC_RELAXED);
        return block;
}

#ifdef FAULTS_HAS_SANITIZER

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t count, size_t size);
extern void *__real_realloc(void *block, size_t size);
extern void *__real_aligned_alloc(size_t alignment, size_t size);
extern char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
        (void)counted;
        return heap_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
        return heap_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
        return heap_fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
        return heap_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
        return heap_fails() ? NULL : __real_strdup(text);
}

#else

/* glibc's, which the ones below stand in front of. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

void *malloc(size_t size)
{
        return heap_fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
        return heap_fails() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size)
{
        if (heap_fails())
                return NULL;
        return block == NULL ? counted(__libc_malloc(size)) : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
        return heap_fails() ? NULL : counted(__libc_memalign(alignment, size));
}

void *memalign(size_t alignment, size_t size); /* <malloc.h> would bring more than this */

void *memalign(size_t alignment, size_t size)
{
        return aligned_alloc(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
        void *taken = aligned_alloc(alignment, size);
        if (taken == NULL)
                return ENOMEM;
        *block = taken;
        return 0;
}

void free(void *block)
{
        if (block != NULL)
                __atomic_sub_fetch(&faults.blocks, 1, __ATOMIC_RELAXED);
        __libc_free(block);
}

#endif

/* ---- the kernel's memory, by our own code ---- */

static long whole_pages(size_t bytes)
{
        return (long)((bytes + MAPPED_PAGE_BYTES - 1) / MAPPED_PAGE_BYTES * MAPPED_PAGE_BYTES);
}

extern void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
extern int __real_munmap(void *at, size_t bytes);
extern int __real_memfd_create(const char *name, unsigned flags);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void *at, size_t bytes);
int __wrap_memfd_create(const char *name, unsigned flags);

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
        if (heap_fails())
                return MAP_FAILED;
        void *mapped = __real_mmap64(at, bytes, protection, flags, file, offset);
        /* What lies in an older mapping of ours has been counted with that. */
        if (mapped != MAP_FAILED && (flags & MAP_FIXED) == 0)
                __atomic_add_fetch(&faults.mapped_bytes, whole_pages(bytes), __ATOMIC_RELAXED);
        return mapped;
}

int __wrap_munmap(void *at, size_t bytes)
{
        bool fails = faults_strike(FAULT_UNMAP);
        int failed = fails ? -1 : __real_munmap(at, bytes);
        /* What cannot be unmapped is given up, and with it our count of it. */
        if (fails)
                errno = ENOMEM;
        if (failed == 0 || fails)
                __atomic_sub_fetch(&faults.mapped_bytes, whole_pages(bytes), __ATOMIC_RELAXED);
        return failed;
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
        return heap_fails() ? -1 : __real_memfd_create(name, flags);
}

/* ---- the engine's own stocks ---- */

struct buddy;
struct pool;

extern void *__real_buddy_take(struct buddy *buddy, size_t bytes, size_t *block_bytes);
extern void *__real_pool_take(struct pool *pool);
void *__wrap_buddy_take(struct buddy *buddy, size_t bytes, size_t *block_bytes);
void *__wrap_pool_take(struct pool *pool);

void *__wrap_buddy_take(struct buddy *buddy, size_t bytes, size_t *block_bytes)
{
        return faults_strike(FAULT_STOCK) ? NULL : __real_buddy_take(buddy, bytes, block_bytes);
}

void *__wrap_pool_take(struct pool *pool)
{
        return faults_strike(FAULT_STOCK) ? NULL : __real_pool_take(pool);
}
