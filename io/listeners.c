/* listeners: see listeners.h. */
#include "io/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/mark.h"
#include "io/socket.h"

#define ACCEPT_RETRY_NS (100 * NS_PER_MS)
#define SPARES_RETRY_NS (10 * NS_PER_MS) /* sooner: they come before the crowd that waits */

int listeners_init(struct listeners *listeners, struct io *io, const struct io_settings *settings)
{
        *listeners = (struct listeners){.io = io,
                                        .send_buffer_bytes = settings->send_buffer_bytes,
                                        .accepts_max = settings->accepts_max,
                                        .retry_ns = UINT64_MAX};
        if (listeners->accepts_max == 0)
                listeners->accepts_max = LISTENERS_ACCEPTS_DEFAULT;
        for (uint32_t i = 0; i < LISTENERS_SPARES; i++)
                listeners->spares[i] = -1;
        listeners->texts = malloc((size_t)listeners->accepts_max * IO_ADDRESS_BYTES_MAX);
        return listeners->texts == NULL ? -ENOMEM : 0;
}

/* Opens those that are missing, as far as there are any to be had. */
static void listeners_refill(struct listeners *listeners)
{
        bool is_short = false;
        for (uint32_t i = 0; i < listeners->spares_wanted && !is_short; i++) {
                if (listeners->spares[i] < 0)
                        listeners->spares[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                is_short = listeners->spares[i] < 0;
        }
        listeners->spares_ns = is_short ? listeners->io->now_ns + SPARES_RETRY_NS : UINT64_MAX;
}

/* Gives one of them up. false: there is none. */
static bool listeners_spare(struct listeners *listeners)
{
        for (uint32_t i = 0; i < listeners->spares_wanted; i++) {
                if (listeners->spares[i] < 0)
                        continue;
                close(listeners->spares[i]);
                listeners->spares[i] = -1;
                listeners->spares_ns = listeners->io->now_ns + SPARES_RETRY_NS;
                return true;
        }
        return false;
}

void listeners_fini(struct listeners *listeners)
{
        for (uint32_t i = 0; i < listeners->spares_wanted; i++)
                if (listeners->spares[i] >= 0)
                        close(listeners->spares[i]);
        listeners->spares_wanted = 0;
        free(listeners->texts);
        listeners->texts = NULL;
}

int listeners_add(struct listeners *listeners, const char *address, enum io_sharing sharing, uint32_t number,
                  char bound[IO_ADDRESS_BYTES_MAX])
{
        uint32_t row = 0;
        while (row < listeners->count && (listeners->rows[row].fd >= 0 || listeners->rows[row].watched))
                row++;
        if (row == LISTENERS_MAX)
                return -EMFILE;
        bool is_kept = sharing == IO_KEPT;
        int fd = socket_listen(address, is_kept ? IO_ALONE : sharing, listeners->send_buffer_bytes, bound);
        if (fd < 0)
                return fd;
        (void)fcntl(fd, F_SETFL, O_NONBLOCK); /* accept() has no flag of its own for that */
        listeners->rows[row] = (struct listener){.fd = fd, .number = number, .is_kept = is_kept};
        memcpy(listeners->rows[row].bound, bound, IO_ADDRESS_BYTES_MAX);
        if (row == listeners->count)
                listeners->count++;
        listeners->dirty = true;
        if (is_kept) {
                listeners->spares_wanted = LISTENERS_SPARES;
                listeners_refill(listeners);
        }
        return 0;
}

static void listener_set_ready(struct listeners *listeners, struct listener *listener, bool ready)
{
        if (listener->ready == ready)
                return;
        listener->ready = ready;
        listeners->ready_count += ready ? 1u : UINT32_MAX;
        listeners->dirty = true;
}

void listeners_stop(struct listeners *listeners)
{
        for (uint32_t i = 0; i < listeners->count; i++) {
                struct listener *listener = &listeners->rows[i];
                if (listener->fd < 0)
                        continue;
                socket_stop_listening(listener->fd, listener->bound);
                listener->fd = -1;
                listener_set_ready(listeners, listener, false);
        }
        listeners->retry_ns = UINT64_MAX;
        listeners->dirty = true;
}

void listeners_told(struct listeners *listeners, uint32_t row)
{
        assert_slow(row < listeners->count);
        if (listeners->rows[row].fd >= 0)
                listener_set_ready(listeners, &listeners->rows[row], true);
}

static void listeners_wake_refused(struct listeners *listeners)
{
        uint64_t now_ns = listeners->io->now_ns;
        listeners->retry_ns = UINT64_MAX;
        for (uint32_t i = 0; i < listeners->count; i++) {
                struct listener *listener = &listeners->rows[i];
                if (listener->fd < 0 || listener->retry_ns == 0)
                        continue;
                if (listener->retry_ns <= now_ns) {
                        listener->retry_ns = 0;
                        listener_set_ready(listeners, listener, true);
                } else if (listener->retry_ns < listeners->retry_ns) {
                        listeners->retry_ns = listener->retry_ns;
                }
        }
}

void listeners_begin(struct listeners *listeners)
{
        listeners->accepts_left = listeners->accepts_max;
        if (unlikely(listeners->retry_ns <= listeners->io->now_ns))
                listeners_wake_refused(listeners);
        if (unlikely(listeners->spares_wanted > 0 && listeners->spares_ns <= listeners->io->now_ns))
                listeners_refill(listeners);
}

void listeners_retry(struct listeners *listeners, struct listener *listener)
{
        listener->retry_ns = listeners->io->now_ns + ACCEPT_RETRY_NS;
        if (listener->retry_ns < listeners->retry_ns)
                listeners->retry_ns = listener->retry_ns;
}

static void listener_failed(struct listeners *listeners, struct listener *listener, int error)
{
        if (error == ECONNABORTED || error == EINTR)
                return; /* the peer is gone again; there may be others */
        listener_set_ready(listeners, listener, false);
        if (error == EAGAIN)
                return;
        /* Mostly no descriptors or no memory; those that wait are accepted later. */
        listeners->io->statistics.accepts_refused++;
        seen("a connection could not be accepted for want of descriptors or memory");
        listeners->io->statistics.accepts_failed++;
        listeners->io->statistics.accepts_errno = error;
        listeners_retry(listeners, listener);
}

/* The next ready one in turn. */
static struct listener *listeners_next(struct listeners *listeners)
{
        assert_slow(listeners->ready_count > 0);
        for (;;) {
                if (listeners->first >= listeners->count)
                        listeners->first = 0;
                struct listener *listener = &listeners->rows[listeners->first++];
                if (listener->ready)
                        return listener;
        }
}

bool listeners_accept(struct listeners *listeners, struct newcomer *newcomer)
{
        while (listeners->ready_count > 0 && listeners->accepts_left > 0) {
                struct listener *listener = listeners_next(listeners);
                listeners->accepts_left--;
                listeners->io->statistics.system_calls++;
                int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
                if (unlikely(fd < 0 && listener->is_kept && (errno == EMFILE || errno == ENFILE)) &&
                    listeners_spare(listeners))
                        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0) {
                        listener_failed(listeners, listener, errno);
                        continue;
                }
                char *text = listeners->texts + (size_t)listeners->accepts_left * IO_ADDRESS_BYTES_MAX;
                socket_accepted(fd, listeners->send_buffer_bytes, text);
                *newcomer = (struct newcomer){.fd = fd, .listener = listener->number, .address = span_of_text(text)};
                return true;
        }
        return false;
}
