/* enginefacts: what `spate doctor` knows of the engine: what these options ask for, whether the kernel would give it,
 * and what a running engine says of itself. Read once, then judged; see engine/cli/hostfacts.h. */
#ifndef SPATE_ENGINE_CLI_ENGINEFACTS_H
#define SPATE_ENGINE_CLI_ENGINEFACTS_H

#include <jansson.h>

#include "engine/cpu.h"
#include "engine/settings.h"

#define ENGINEFACT_LISTENERS_MAX (REACTOR_LISTENERS_MAX + 1) /* and --admin */
#define ENGINEFACT_TEXT_BYTES 256

struct listenerfact {
        char address[IO_ADDRESS_BYTES_MAX]; /* with --port-offset, without @N */
        int error;                          /* of an attempt to have it: 0 or -errno */
        int holder;                         /* the process that has it, or 0 */
        char holder_name[ENGINEFACT_TEXT_BYTES];
        bool is_admin;
};

struct enginefacts {
        /* what is asked for */
        struct cpu_plan cpus;
        uint32_t conns_max;
        uint64_t files_needed;
        uint64_t memory_bytes; /* of all reactors, for events */
        uint64_t send_buffer_bytes;
        bool is_busy_poll;
        bool wants_uring; /* --backend is not epoll */

        /* what the kernel gives */
        uint32_t urings_count;                    /* as many reactors had io_uring as this, of cpus.reactors_count */
        int uring_error;                          /* of the first that had not: -errno */
        char uring_absent[ENGINEFACT_TEXT_BYTES]; /* what this kernel's io_uring lacks: "a, b" */
        uint32_t uring_absent_count;
        struct listenerfact listeners[ENGINEFACT_LISTENERS_MAX];
        uint32_t listeners_count;

        /* the users file */
        char users_path[ENGINEFACT_TEXT_BYTES]; /* "": none */
        int users_error;                        /* of reading it: 0 or -errno */
        uint32_t users_mode;                    /* its permission bits */

        /* the running engine */
        char admin[IO_ADDRESS_BYTES_MAX]; /* "": it has no such address */
        json_t *status;                   /* owned; what /status answered, or NULL */
        char status_error[ENGINEFACT_TEXT_BYTES];
};

/* Opens and closes sockets and rings; nothing stays. `users_path`: the file that users stand in, or "". A running
 * engine has `timeout_ns` to answer. */
void enginefacts_read(struct enginefacts *facts, const struct settings *settings, const char *users_path,
                      uint64_t timeout_ns);
/* Accepts a zeroed one. */
void enginefacts_fini(struct enginefacts *facts);

#endif
