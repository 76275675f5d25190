/* notify: see the header. */
#include "engine/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

#define TEXT_BYTES 512
#define PATIENCE_S 1

/* A whole decimal number and nothing else. */
static bool number_of(const char *text, uint64_t *number)
{
        size_t digits = strspn(text, "0123456789");
        errno = 0;
        *number = strtoull(text, NULL, 10);
        return digits > 0 && text[digits] == '\0' && errno == 0;
}

/* "/run/systemd/notify", or "@name" for one in the abstract namespace, whose first byte is 0. */
static int address_of(struct notify *notify, const char *path)
{
        size_t size = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || size < 2)
                return -EAFNOSUPPORT;
        if (size >= sizeof notify->address.sun_path)
                return -ENAMETOOLONG;
        notify->address.sun_family = AF_UNIX;
        memcpy(notify->address.sun_path, path, size);
        notify->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '/'));
        if (path[0] == '@')
                notify->address.sun_path[0] = '\0';
        return 0;
}

static int open_socket(struct notify *notify, const char *path)
{
        struct timeval patience = {.tv_sec = PATIENCE_S};
        int failed = address_of(notify, path);
        if (failed != 0)
                return failed;
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (notify->fd < 0)
                return -errno;
        return setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ? -errno : 0;
}

/* Without WATCHDOG_PID it is meant for whoever finds it; with it only for that process, and not for a child. */
static void read_watchdog(struct notify *notify)
{
        const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        uint64_t us = 0, process = (uint64_t)getpid();
        bool is_sound = usec == NULL || (number_of(usec, &us) && us > 0 && us <= UINT64_MAX / NS_PER_US);
        if (!is_sound || (pid != NULL && !number_of(pid, &process)))
                log_warn("watchdog_ignored",
                         "reason=\"WATCHDOG_USEC or WATCHDOG_PID is no number\" fix=\"leave them to "
                         "the service manager\"");
        else if (usec != NULL && process == (uint64_t)getpid())
                notify->watchdog_ns = us * NS_PER_US;
}

void notify_open(struct notify *notify)
{
        const char *path = getenv("NOTIFY_SOCKET");
        char shown[TEXT_BYTES];
        *notify = (struct notify){.fd = -1};
        if (path != NULL && path[0] != '\0') {
                int failed = open_socket(notify, path);
                log_quote(shown, sizeof shown, span_of(path, strlen(path)));
                if (failed != 0) {
                        notify_close(notify);
                        log_warn("notify_ignored",
                                 "socket=%s reason=\"%s\" fix=\"NOTIFY_SOCKET is an absolute path, or "
                                 "@ and a name, of at most 107 bytes\"",
                                 shown, strerror(-failed));
                } else {
                        read_watchdog(notify);
                        log_info("notifying", "socket=%s watchdog_s=%.3f", shown,
                                 (double)notify->watchdog_ns / NS_PER_S);
                }
        }
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
        if (notify->fd >= 0)
                close(notify->fd);
        notify->fd = -1;
        notify->watchdog_ns = 0;
}

static void tell(const struct notify *notify, const char *text, int flags)
{
        ssize_t sent = notify->fd < 0 ? 0 : -1;
        while (sent < 0 && ((sent = sendto(notify->fd, text, strlen(text), flags | MSG_NOSIGNAL,
                                           (const struct sockaddr *)&notify->address, notify->address_bytes)) < 0 &&
                            errno == EINTR))
                continue;
        if (sent < 0)
                log_warn("notify_failed", "said=\"%.*s\" reason=\"%s\"", (int)strcspn(text, "\n"), text,
                         strerror(errno));
}

/* A status is one line: its end would begin the next assignment. */
static void tell_with_status(const struct notify *notify, const char *what, const char *status, int flags)
{
        char text[TEXT_BYTES];
        int line_bytes = status == NULL ? 0 : (int)strcspn(status, "\n");
        snprintf(text, sizeof text, "%s%s%.*s", what, status == NULL ? "" : "\nSTATUS=", line_bytes,
                 status == NULL ? "" : status);
        tell(notify, text, flags);
}

void notify_ready(const struct notify *notify, const char *status, bool may_wait)
{
        char what[64];
        /* Who was started by a script that stays in front of us is told who to watch (NotifyAccess=all). */
        snprintf(what, sizeof what, "READY=1\nMAINPID=%ld", (long)getpid());
        tell_with_status(notify, what, status, may_wait ? 0 : MSG_DONTWAIT);
}

/* The time lets the manager tell this reload from one that it has asked for later (Type=notify-reload, systemd 253). */
void notify_reloading(const struct notify *notify)
{
        char text[128];
        snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
                 (unsigned long long)(clock_monotonic_ns() / NS_PER_US));
        tell(notify, text, MSG_DONTWAIT);
}

void notify_stopping(const struct notify *notify, const char *status)
{
        tell_with_status(notify, "STOPPING=1", status, MSG_DONTWAIT);
}

void notify_alive(const struct notify *notify)
{
        tell(notify, "WATCHDOG=1", MSG_DONTWAIT);
}
