/* notify: tells the service manager how we are (the protocol of sd_notify(3)): datagrams of "NAME=value" lines to the
 * UNIX socket that NOTIFY_SOCKET names. systemd is one who listens there; without one every call here does nothing.
 *
 *      started ──▶ READY=1 ──▶ (SIGHUP: RELOADING=1 … READY=1) ──▶ STOPPING=1 ──▶ gone
 *                     └── WATCHDOG=1 again and again: only while every reactor turns, see engine/watch.h
 *
 * Written here, because libsystemd brings four compressors and a cipher library along for these few lines.
 * Opened before the threads start and not changed after: any thread may tell. */
#ifndef SPATE_ENGINE_NOTIFY_H
#define SPATE_ENGINE_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "engine/base/check.h"

struct notify {
        int fd; /* -1: nobody listens */
        socklen_t address_bytes;
        struct sockaddr_un address;
        uint64_t watchdog_ns; /* without a word for so long we count as hung; 0: nobody minds */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment: they are meant for this
 * process alone. What is wrong with them is logged, and nobody is told then: a service that runs without a word is
 * better than none. Before any thread is started. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Each sends one datagram, or logs that the manager's queue is full. `status` is what `systemctl status` shows, one
 * line; it may be NULL. Only the first of all, `may_wait`, waits for room, for a moment: nobody is served yet. */
void notify_ready(const struct notify *notify, const char *status, bool may_wait);
void notify_reloading(const struct notify *notify);
void notify_stopping(const struct notify *notify, const char *status);
/* Never waits; another follows soon. */
void notify_alive(const struct notify *notify);

#endif
