/* nthstart: see the header. */
#include "tests/sim/nthstart.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/greeting.h"
#include "engine/run.h"
#include "io/io.h"
#include "tests/sim/nthworld.h"

#define DESCRIPTORS_LOOKED_AT 1024
#define REGISTER_ENABLE_RINGS 12 /* of linux/io_uring.h */

/* ---- what the kernel refuses ---- */

static bool kernel_fails(int error)
{
        if (!faults_strike(FAULT_KERNEL))
                return false;
        errno = error;
        return true;
}

extern int __real_socket(int domain, int type, int protocol);
extern int __real_bind(int file, const struct sockaddr *address, socklen_t size);
extern int __real_listen(int file, int backlog);
extern int __real_epoll_create1(int flags);
extern int __real_epoll_ctl(int set, int operation, int file, struct epoll_event *event);
extern int __real_eventfd(unsigned count, int flags);
extern int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                                 void *context);
struct io_uring_params;
extern int __real_io_uring_setup(unsigned entries, struct io_uring_params *params);
extern int __real_io_uring_register(unsigned fd, unsigned operation, const void *argument, unsigned count);

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int file, const struct sockaddr *address, socklen_t size);
int __wrap_listen(int file, int backlog);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int set, int operation, int file, struct epoll_event *event);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_io_uring_setup(unsigned entries, struct io_uring_params *params);
int __wrap_io_uring_register(unsigned fd, unsigned operation, const void *argument, unsigned count);

int __wrap_socket(int domain, int type, int protocol)
{
        return kernel_fails(EMFILE) ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_bind(int file, const struct sockaddr *address, socklen_t size)
{
        return kernel_fails(ENOMEM) ? -1 : __real_bind(file, address, size);
}

int __wrap_listen(int file, int backlog)
{
        return kernel_fails(ENOBUFS) ? -1 : __real_listen(file, backlog);
}

int __wrap_epoll_create1(int flags)
{
        return kernel_fails(EMFILE) ? -1 : __real_epoll_create1(flags);
}

int __wrap_epoll_ctl(int set, int operation, int file, struct epoll_event *event)
{
        return operation == EPOLL_CTL_ADD && kernel_fails(ENOSPC) ? -1 : __real_epoll_ctl(set, operation, file, event);
}

int __wrap_eventfd(unsigned count, int flags)
{
        return kernel_fails(EMFILE) ? -1 : __real_eventfd(count, flags);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
        return kernel_fails(EAGAIN) ? EAGAIN : __real_pthread_create(thread, attributes, run, context);
}

int __wrap_io_uring_setup(unsigned entries, struct io_uring_params *params)
{
        return kernel_fails(ENOMEM) ? -ENOMEM : __real_io_uring_setup(entries, params);
}

int __wrap_io_uring_register(unsigned fd, unsigned operation, const void *argument, unsigned count)
{
        /* To let disabled rings begin takes nothing that could be lacking. */
        bool may_fail = operation != REGISTER_ENABLE_RINGS;
        return may_fail && kernel_fails(ENOMEM) ? -ENOMEM : __real_io_uring_register(fd, operation, argument, count);
}

/* ---- ready, and told to end at once ---- */

static bool is_ready;

void __wrap_greeting_print(struct crew *crew, const struct users *users, const char *nats, const char *admin,
                           void *out);

void __wrap_greeting_print(struct crew *crew, const struct users *users, const char *nats, const char *admin, void *out)
{
        (void)crew;
        (void)users;
        (void)out;
        faults_disarm();
        is_ready = true;
        world_must(strncmp(nats, "127.0.0.1:", 10) == 0 && strncmp(admin, "127.0.0.1:", 10) == 0,
                   "it is ready, and listens at \"%s\" and \"%s\"", nats, admin);
        kill(getpid(), SIGTERM);
}

/* A test's own handlers tell how to see a crash again. */
void __wrap_postmortem_catch(void);

void __wrap_postmortem_catch(void)
{
}

/* ---- from the arguments on ---- */

static const char config[] = "listeners: ['127.0.0.1:0', {address: '127.0.0.1:0', lag_policy: conflate}]\n"
                             "admin: 127.0.0.1:0\n"
                             "engine: {reactors: 2, memory: 32MiB, postmortem: none}\n"
                             "limits: {max_connections: 16, max_patterns: 1000}\n"
                             "lag: {rules: [{pattern: a.*, policy: drop-oldest, limit: 1MiB}]}\n"
                             "drain: {spread: 0s}\n"
                             "auth:\n"
                             "  users:\n"
                             "    - {name: alice, password: "
                             "$2b$04$.bQ3H8MyLqFclKhEecepsu209DvT6A6E.WAPrJcqj9rBiuueCgkTW, publish: {allow: [a.>]}}\n";
static char path[] = "/tmp/spate-nth-start-XXXXXX";
static bool has_config;

static void remove_config(void)
{
        unlink(path);
}

static const char *config_path(void)
{
        if (has_config)
                return path;
        int file = mkstemp(path);
        world_must(file >= 0 && write(file, config, sizeof config - 1) == (ssize_t)sizeof config - 1,
                   "no file for a configuration");
        close(file);
        atexit(remove_config);
        has_config = true;
        return path;
}

static uint64_t no_heap_bytes(void)
{
        return 0;
}

static unsigned descriptors_count(void)
{
        unsigned count = 0;
        for (int file = 0; file < DESCRIPTORS_LOOKED_AT; file++)
                count += fcntl(file, F_GETFD) >= 0;
        return count;
}

/* What is written to standard error meanwhile goes there. */
static int said_begin(int *before)
{
        int said = memfd_create("said", MFD_CLOEXEC);
        *before = dup(STDERR_FILENO);
        world_must(said >= 0 && *before >= 0, "no file for what is said");
        dup2(said, STDERR_FILENO);
        return said;
}

static size_t said_end(int said, int before, char *text, size_t size)
{
        dup2(before, STDERR_FILENO);
        close(before);
        ssize_t got = pread(said, text, size - 1, 0);
        close(said);
        text[got < 0 ? 0 : got] = '\0';
        return strlen(text);
}

bool nthstart_has(const char *backend)
{
        struct io_settings settings = {.backend = strcmp(backend, "epoll") == 0 ? IO_BACKEND_EPOLL : IO_BACKEND_URING,
                                       .conns_max = 16,
                                       .receive_buffer_bytes = 65536,
                                       .receive_buffers_count = 8,
                                       .entries = 64};
        struct io *io;
        if (io_start(&io, &settings) != 0)
                return false;
        io_stop(io);
        return true;
}

bool nthstart(const char *backend, bool is_counted)
{
        char line[160], *argv[16], *rest = line, said[4096];
        snprintf(line, sizeof line, "spate run --config %s --max-payload 16KiB --cpus none --backend", config_path());
        int argc = 0, before;
        for (char *word; (word = strsep(&rest, " ")) != NULL; argc++)
                argv[argc] = word;
        argv[argc++] = (char *)(uintptr_t)backend;
        argv[argc] = NULL;
        long blocks = faults_heap_blocks(), bytes = faults_mapped_bytes();
        unsigned descriptors = descriptors_count();
        int file = said_begin(&before);
        is_ready = false;
        faults_arm();
        int status = run_main(argc, argv, 2, no_heap_bytes);
        faults_disarm();
        size_t size = said_end(file, before, said, sizeof said);
        world_must(!is_ready || status == EXIT_OK, "it was ready, and ends with %d: %s", status, said);
        /* What is lacking is no fault of the arguments, for which nobody would start it again. */
        world_must(is_ready || (status == EXIT_FAILED && faults_struck() > 0),
                   "it does not start, and ends with %d: %s", status, said);
        world_must(is_ready || (size > 0 && strchr(said, '\n') == said + size - 1 && strstr(said, "(null)") == NULL),
                   "it does not start, and says \"%s\"", said);
        world_must(descriptors_count() == descriptors, "%u descriptors are open, and %u were before",
                   descriptors_count(), descriptors);
        blocks = faults_heap_blocks() - blocks;
        bytes = faults_mapped_bytes() - bytes;
        blocks -= blocks > 0 && (unsigned long)blocks <= faults_struck_in("libyaml") ? blocks : 0; /* see nthworld.c */
        world_must(!is_counted || (blocks == 0 && bytes == 0), "%ld blocks of the heap and %ld mapped bytes are left",
                   blocks, bytes);
        return is_ready;
}
