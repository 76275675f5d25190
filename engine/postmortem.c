/* postmortem: see the header. What a handler calls: open, write, close, rename, fchmod, clock_gettime, getpid, gettid,
 * prctl, and loads. snprintf is not among them, so lines are put together by hand. */
#include "engine/postmortem.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/faults.h"
#include "engine/flight_table.h"

#define PROGRAM_BYTES_MAX ((uint64_t)1 << 28) /* further from its beginning is a library */
#define FILE_PREFIX "spate-"
#define FILE_SUFFIX ".flight"

#define NAME_ROW(id, ring, name, number, more) {.kind = FLIGHT_##id, .text = name "\t" number "\t" more},
static const struct {
        unsigned kind;
        const char *text;
} kinds[] = {FLIGHT_TABLE(NAME_ROW)};
#undef NAME_ROW

#define STEP_ROW(id, name) [FLIGHT_IN_##id] = name,
static const char *const steps[] = {FLIGHT_STEP_TABLE(STEP_ROW)};
#undef STEP_ROW

#define REASON_ROW(id, name, meaning) [POSTMORTEM_##id] = name,
static const char *const reasons[] = {POSTMORTEM_REASON_TABLE(REASON_ROW)};
#undef REASON_ROW

#define FAULT_ROW(row_number) {.number = row_number, .name = #row_number},
static const struct {
        int number;
        const char *name;
} signals[] = {FAULTS_TABLE(FAULT_ROW)};
#undef FAULT_ROW

/* Set before any thread starts. */
static struct {
        char directory[POSTMORTEM_DIRECTORY_BYTES]; /* "": none */
        unsigned count;
        const struct flight *flights[POSTMORTEM_REACTORS_MAX];
        uint64_t started_unix_ns;
        int is_crashing; /* the first thread that crashes writes; the others wait for its end */
} postmortem;

#define STACK_BYTES ((size_t)64 << 10)
static uint8_t stacks[POSTMORTEM_REACTORS_MAX][STACK_BYTES];

extern const char __ehdr_start; /* where the program begins in memory; the linker's */

/* ---- text by hand ---- */

struct text {
        char *bytes;
        size_t size, room; /* with its 0 */
};

static void text_add(struct text *text, const char *more)
{
        while (*more != '\0' && text->size + 1 < text->room)
                text->bytes[text->size++] = *more++;
        text->bytes[text->size] = '\0';
}

static void text_add_number(struct text *text, uint64_t number, unsigned base)
{
        char digits[24];
        size_t at = sizeof digits - 1;
        digits[at] = '\0';
        do
                digits[--at] = "0123456789abcdef"[number % base];
        while ((number /= base) != 0);
        text_add(text, digits + at);
}

const char *postmortem_path(enum postmortem_reason reason, char path[POSTMORTEM_PATH_BYTES])
{
        struct text text = {.bytes = path, .room = POSTMORTEM_PATH_BYTES};
        text_add(&text, postmortem.directory);
        text_add(&text, "/" FILE_PREFIX);
        text_add_number(&text, (uint64_t)getpid(), 10);
        text_add(&text, "-");
        text_add(&text, reasons[reason]);
        text_add(&text, FILE_SUFFIX);
        return path;
}

/* ---- the file ---- */

/* What has been written so far; after a fault nothing more is. */
struct sink {
        int fd;
        int error;
        uint64_t bytes;
};

static void sink_put(struct sink *sink, const void *bytes, size_t size)
{
        const char *at = bytes;
        while (size > 0 && sink->error == 0) {
                ssize_t written = write(sink->fd, at, size);
                if (written < 0 && errno == EINTR)
                        continue;
                if (written <= 0) {
                        sink->error = written < 0 ? errno : EIO;
                        return;
                }
                at += written;
                size -= (size_t)written;
                sink->bytes += (size_t)written;
        }
}

static void sink_put_number(struct sink *sink, uint64_t number)
{
        sink_put(sink, &number, sizeof number);
}

static void sink_put_line(struct sink *sink, const char *what, unsigned number, const char *name)
{
        char line[512];
        struct text text = {.bytes = line, .room = sizeof line};
        text_add(&text, what);
        text_add_number(&text, number, 10);
        text_add(&text, " ");
        text_add(&text, name);
        text_add(&text, "\n");
        if (sink->fd >= 0)
                sink_put(sink, line, text.size);
        else
                sink->bytes += text.size;
}

/* With fd -1 they are only counted. */
static void sink_put_names(struct sink *sink)
{
        for (size_t i = 0; i < array_count(kinds); i++)
                sink_put_line(sink, "kind ", kinds[i].kind, kinds[i].text);
        for (size_t i = 0; i < array_count(steps); i++)
                sink_put_line(sink, "step ", (unsigned)i, steps[i]);
}

#define COPY_WORDS 256
static_assert(FLIGHT_RECORDS * FLIGHT_WORDS % COPY_WORDS == 0, "a ring is copied in whole parts");

static void sink_put_flight(struct sink *sink, unsigned number, const struct flight *flight)
{
        uint64_t words[COPY_WORDS];
        sink_put_number(sink, number);
        for (unsigned i = 0; i < FLIGHT_NOW; i++)
                sink_put_number(sink, flight_now(flight, i));
        for (int ring = 0; ring < FLIGHT_RINGS; ring++) {
                sink_put_number(sink, FLIGHT_RECORDS);
                sink_put_number(sink, flight_count(flight, ring));
                for (size_t at = 0; at < FLIGHT_RECORDS * FLIGHT_WORDS; at += COPY_WORDS) {
                        flight_copy(flight, ring, at, words, COPY_WORDS);
                        sink_put(sink, words, sizeof words);
                }
                sink_put_number(sink, flight_count(flight, ring));
        }
}

static unsigned flights_count(void)
{
        unsigned count = 0;
        for (unsigned i = 0; i < postmortem.count; i++)
                count += postmortem.flights[i] != NULL;
        return count;
}

#define REACTOR_BYTES (sizeof(uint64_t) * (1 + FLIGHT_NOW + FLIGHT_RINGS * (3 + (size_t)FLIGHT_RECORDS * FLIGHT_WORDS)))

static void header_fill(struct postmortem_header *header, enum postmortem_reason reason, unsigned reactor)
{
        struct sink counted = {.fd = -1};
        sink_put_names(&counted);
        memcpy(header->magic, POSTMORTEM_MAGIC, sizeof header->magic);
        header->order = POSTMORTEM_ORDER;
        header->format = POSTMORTEM_FORMAT;
        header->unix_ns = clock_read_ns(CLOCK_REALTIME);
        header->monotonic_ns = clock_monotonic_ns();
        header->started_unix_ns = postmortem.started_unix_ns;
        header->pid = (uint32_t)getpid();
        header->thread = (uint32_t)gettid();
        header->reason = reason;
        header->reactor = reactor;
        header->base = (uint64_t)(uintptr_t)&__ehdr_start;
        header->reactors_count = flights_count();
        header->names_bytes = (uint32_t)counted.bytes;
        header->file_bytes = sizeof *header + counted.bytes + header->reactors_count * (uint64_t)REACTOR_BYTES +
                             POSTMORTEM_TRACE_MAX * sizeof(uint64_t);
        prctl(PR_GET_NAME, header->thread_name);
        for (size_t i = 0; i + 1 < sizeof header->version && SPATE_VERSION[i] != '\0'; i++)
                header->version[i] = SPATE_VERSION[i];
}

/* All but the trace. Nobody else's file is followed or written to: it is ours from its first byte on. */
static void sink_open(struct sink *sink, const char *path, const struct postmortem_header *header)
{
        *sink = (struct sink){.fd = -1};
        (void)unlink(path);
        sink->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (sink->fd < 0) {
                sink->error = errno;
                return;
        }
        sink_put(sink, header, sizeof *header);
        sink_put_names(sink);
        for (unsigned i = 0; i < postmortem.count; i++)
                if (postmortem.flights[i] != NULL)
                        sink_put_flight(sink, i, postmortem.flights[i]);
}

int postmortem_write(enum postmortem_reason reason, unsigned reactor)
{
        char path[POSTMORTEM_PATH_BYTES];
        uint64_t trace[POSTMORTEM_TRACE_MAX] = {0};
        struct postmortem_header header = {0};
        struct sink sink;
        if (postmortem.directory[0] == '\0')
                return -ENOTDIR;
        header_fill(&header, reason, reactor);
        sink_open(&sink, postmortem_path(reason, path), &header);
        if (sink.fd < 0)
                return -sink.error;
        sink_put(&sink, trace, sizeof trace);
        if (close(sink.fd) != 0 && sink.error == 0)
                sink.error = errno;
        if (sink.error != 0)
                (void)unlink(path);
        return -sink.error;
}

/* ---- a crash ---- */

static uint64_t place_of(const ucontext_t *context)
{
#if defined(__x86_64__)
        return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
        return (uint64_t)context->uc_mcontext.pc;
#else
        (void)context;
        return 0;
#endif
}

static unsigned reactor_of_thread(uint64_t thread)
{
        for (unsigned i = 0; i < postmortem.count; i++)
                if (postmortem.flights[i] != NULL && flight_now(postmortem.flights[i], FLIGHT_THREAD) == thread)
                        return i;
        return POSTMORTEM_NOBODY;
}

static const char *signal_name(int number)
{
        for (size_t i = 0; i < array_count(signals); i++)
                if (signals[i].number == number)
                        return signals[i].name;
        return "signal";
}

static void crash_say(const struct postmortem_header *header, const struct sink *sink, const char *path)
{
        char line[1024];
        struct text text = {.bytes = line, .room = sizeof line};
        text_add(&text, "level=error event=crashed signal=");
        text_add(&text, signal_name(header->signal));
        text_add(&text, " address=0x");
        text_add_number(&text, header->address, 16);
        bool is_ours = header->place >= header->base && header->place - header->base < PROGRAM_BYTES_MAX;
        text_add(&text, is_ours ? " at=spate+0x" : " at=0x");
        text_add_number(&text, is_ours ? header->place - header->base : header->place, 16);
        text_add(&text, " thread=");
        text_add(&text, header->thread_name);
        if (header->reactor != POSTMORTEM_NOBODY) {
                text_add(&text, " reactor=");
                text_add_number(&text, header->reactor, 10);
        }
        if (sink->error == 0) {
                text_add(&text, " postmortem=");
                text_add(&text, path);
        } else {
                text_add(&text, " postmortem=none errno=");
                text_add_number(&text, (uint64_t)sink->error, 10);
        }
        text_add(&text, "\n");
        (void)!write(STDERR_FILENO, line, text.size);
}

/* Last, and behind all that counts: it walks a stack that may be broken. A fault in here ends the process, for its
 * signal is blocked by now. */
static void crash_trace(struct sink *sink, struct postmortem_header *header)
{
        void *trace[POSTMORTEM_TRACE_MAX] = {NULL};
        uint64_t places[POSTMORTEM_TRACE_MAX] = {0};
        int count = backtrace(trace, POSTMORTEM_TRACE_MAX);
        for (int i = 0; i < count; i++)
                places[i] = (uint64_t)(uintptr_t)trace[i];
        header->trace_count = count > 0 ? (uint32_t)count : 0;
        sink_put(sink, places, sizeof places);
        if (sink->error == 0)
                (void)!pwrite(sink->fd, header, sizeof *header, 0);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
        char path[POSTMORTEM_PATH_BYTES] = "";
        struct postmortem_header header = {.signal = number, .code = info->si_code};
        struct sink sink = {.fd = -1, .error = ENOTDIR};
        while (__atomic_exchange_n(&postmortem.is_crashing, 1, __ATOMIC_RELAXED) != 0)
                pause();
        /* Should all this hang, it is not for long. */
        signal(SIGALRM, SIG_DFL);
        alarm(5);
        header_fill(&header, POSTMORTEM_CRASH, reactor_of_thread((uint64_t)gettid()));
        header.address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
        header.place = place_of(context);
        if (postmortem.directory[0] != '\0')
                sink_open(&sink, postmortem_path(POSTMORTEM_CRASH, path), &header);
        crash_say(&header, &sink, path);
        if (sink.fd >= 0)
                crash_trace(&sink, &header);
        /* As without us: the same fault again, or the same signal, and now it ends the process with its core. */
        signal(number, SIG_DFL);
        if (info->si_code <= 0)
                raise(number);
}

/* ---- set up ---- */

void postmortem_open(const char *directory)
{
        assert(strlen(directory) < sizeof postmortem.directory);
        strcpy(postmortem.directory, directory);
        postmortem.started_unix_ns = clock_read_ns(CLOCK_REALTIME);
}

void postmortem_add(unsigned number, const struct flight *flight)
{
        assert(number < POSTMORTEM_REACTORS_MAX);
        postmortem.flights[number] = flight;
        if (number >= postmortem.count)
                postmortem.count = number + 1;
}

void postmortem_close(void)
{
        postmortem.count = 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER true
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER false
#endif

void postmortem_catch(void)
{
        void *unused[1];
        struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        if (HAS_SANITIZER)
                return;
        /* The first call loads a library, which a handler must not. */
        (void)backtrace(unused, 1);
        /* A fault in the handler ends the process at once: its signal is blocked. */
        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < array_count(signals); i++)
                sigaddset(&action.sa_mask, signals[i].number);
        for (size_t i = 0; i < array_count(signals); i++)
                sigaction(signals[i].number, &action, NULL);
}

void postmortem_arm_thread(unsigned number)
{
        assert(number < POSTMORTEM_REACTORS_MAX);
        stack_t stack = {.ss_sp = stacks[number], .ss_size = STACK_BYTES};
        if (!HAS_SANITIZER)
                sigaltstack(&stack, NULL);
}

/* ---- old files ---- */

static bool is_ours(const char *name)
{
        size_t size = strlen(name),
               digits = strspn(name + (size > strlen(FILE_PREFIX) ? strlen(FILE_PREFIX) : size), "0123456789");
        return strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0 && digits > 0 && size > strlen(FILE_SUFFIX) &&
               strcmp(name + size - strlen(FILE_SUFFIX), FILE_SUFFIX) == 0;
}

/* The oldest of ours that is older than those that stay; false: there are not more than may stay. */
static bool oldest_of(DIR *directory, char name[256])
{
        struct timespec oldest = {0};
        unsigned count = 0;
        rewinddir(directory);
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
                struct stat status;
                if (!is_ours(entry->d_name) ||
                    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
                    !S_ISREG(status.st_mode))
                        continue;
                bool is_older = status.st_mtim.tv_sec < oldest.tv_sec ||
                                (status.st_mtim.tv_sec == oldest.tv_sec && status.st_mtim.tv_nsec < oldest.tv_nsec);
                if (count++ == 0 || is_older) {
                        oldest = status.st_mtim;
                        snprintf(name, 256, "%s", entry->d_name);
                }
        }
        return count > POSTMORTEM_KEPT_MAX;
}

void postmortem_prune(const char *path)
{
        DIR *directory = path[0] == '\0' ? NULL : opendir(path);
        char name[256];
        if (directory == NULL)
                return;
        for (int i = 0; i < 1000 && oldest_of(directory, name); i++)
                if (unlinkat(dirfd(directory), name, 0) != 0)
                        break;
        closedir(directory);
}
