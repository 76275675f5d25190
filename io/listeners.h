/* listeners: the listening sockets of a kernel backend, and the connections that a poll takes from them.
 *
 *      waiting ──kernel: somebody is there──▶ ready ──accept(), one of each in turn──▶ EAGAIN: waiting again
 *                                               └──no descriptor, no memory──▶ refused ──100 ms──▶ ready
 *                                                          └──kept: a spare one is closed, and accept() again
 *
 * A poll takes a few connections and leaves the others in the kernel's queue, so that a flood of newcomers, whose every
 * one costs more than an event, holds those who are in up for a bounded time. That is why io_uring accepts nothing by
 * itself here: a multishot accept takes the whole queue, up to 4096, in one piece of task work.
 * The backend watches the sockets: it asks the kernel to be told, and notes what it asked for in `watched`. One
 * reactor's. */
#ifndef SPATE_IO_LISTENERS_H
#define SPATE_IO_LISTENERS_H

#include "io/io.h"

#define LISTENERS_MAX 64
#define LISTENERS_ACCEPTS_DEFAULT 64
#define LISTENERS_SPARES 4 /* descriptors kept for IO_KEPT */

struct listener {
        int fd; /* -1: the slot is free, once it is not `watched` any more */
        uint32_t number;
        bool watched;      /* the kernel was asked to tell when somebody is there; the backend's */
        bool ready;        /* somebody may be there */
        bool is_kept;      /* its connections may have the spare descriptors */
        uint64_t retry_ns; /* refused: not before; 0: not refused */
        char bound[IO_ADDRESS_BYTES_MAX];
};

struct listeners {
        struct io *io; /* its clock and its statistics */
        uint32_t send_buffer_bytes;
        uint32_t accepts_max;  /* of a poll */
        uint32_t accepts_left; /* of this one */
        uint32_t count;        /* rows in use, or used once */
        uint32_t ready_count;
        uint32_t first;               /* whose turn it is */
        bool dirty;                   /* for the backend: some row may have to be watched, or not any more */
        uint64_t retry_ns;            /* when the earliest refused one tries again; UINT64_MAX: none */
        int spares[LISTENERS_SPARES]; /* open on nothing, to be given up for a connection; -1: given up, or none yet */
        uint32_t spares_wanted;       /* 0 until somebody listens who may have them */
        uint64_t spares_ns;           /* those that are missing are not looked for before */
        char *texts;                  /* addresses told by IO_ACCEPTED, borrowed until the next poll */
        struct listener rows[LISTENERS_MAX];
};

/* 0 or -ENOMEM. */
int listeners_init(struct listeners *listeners, struct io *io, const struct io_settings *settings);
/* Accepts a zeroed one; the sockets are closed before. */
void listeners_fini(struct listeners *listeners);

/* See io_listen(). 0 or -errno. */
int listeners_add(struct listeners *listeners, const char *address, enum io_sharing sharing, uint32_t number,
                  char bound[IO_ADDRESS_BYTES_MAX]);
/* Closes the sockets. Rows stay `watched` until the backend says otherwise. */
void listeners_stop(struct listeners *listeners);

/* Somebody may be there. Does nothing on a free row. */
void listeners_told(struct listeners *listeners, uint32_t row);
/* The kernel has refused what it takes to serve this one, a little memory or a descriptor: it is tried again a moment
 * later. */
void listeners_retry(struct listeners *listeners, struct listener *listener);
/* A poll begins: takes back the addresses and wakes those whose time has come. */
void listeners_begin(struct listeners *listeners);

static inline bool listeners_are_ready(const struct listeners *listeners)
{
        return listeners->ready_count > 0;
}

struct newcomer {
        int fd; /* the caller's now */
        uint32_t listener;
        struct span address;
};
/* The next connection. false: nobody waits any more, or this poll has taken enough. */
bool listeners_accept(struct listeners *listeners, struct newcomer *newcomer);

#endif
