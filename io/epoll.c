/* epoll: the backend for kernels that refuse io_uring, and the simplest true form of the contract.
 *
 *      io_poll()   send(), in the order of io_send()          → IO_RELEASED, IO_WRITABLE later
 *                  reconcile: what is asked of epoll; closes  → IO_CLOSED
 *                  epoll_wait(), asleep only if nothing was told yet
 *                  recv() into the arena, accept()            → IO_RECEIVED, IO_ENDED, IO_ACCEPTED ...
 *
 * Level-triggered, so what one poll has no room for the next one is told again. Received bytes lie one behind the other
 * in the arena, which the next poll begins anew. A connection without wishes is taken out of the epoll set, because
 * epoll tells hang-ups unasked. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base/bits.h"
#include "engine/base/clock.h"
#include "engine/base/list.h"
#include "engine/base/mark.h"
#include "io/conns.h"
#include "io/listeners.h"
#include "io/retries.h"
#include "io/socket.h"

#define READY_MAX 1024
#define ARENA_BUFFERS_MAX 32
#define DATAGRAM_BYTES_MAX 65535u
#define DATAGRAMS_PER_POLL 64
#define RETRIES_PER_POLL 1024

enum { FEATURE_NANOSECONDS, FEATURES_COUNT };

static const struct io_feature feature_rows[FEATURES_COUNT] = {
        [FEATURE_NANOSECONDS] = {"epoll_pwait2", "5.11", "time-outs in milliseconds, rounded up", false},
};

struct conn {
        struct conn_head head;
        struct list dirty;  /* in epoll.dirty: its wishes have changed, or it is closing */
        size_t lent_bytes;  /* of the one queued send; 0: none */
        struct iovec piece; /* of a send of one piece; more stand in epoll.pieces */
        int fd;
        int error;         /* why it broke, for IO_ENDED */
        uint32_t interest; /* what epoll was asked for; 0: not in its set */
        uint8_t pieces_count;
        bool datagram : 1;
        bool connecting : 1;
        bool paused : 1;
        bool ended : 1;
        bool awaits_writable : 1;
        bool wants_shutdown : 1; /* behind the queued send */
        bool closing : 1;
        bool reset : 1;
        struct retry_state fares;
        struct retry retry; /* while it waits, epoll is not asked whether it is writable */
};

static_assert(sizeof(struct conn) <= 128, "idle connections are cheap");

struct epoll {
        struct io io;
        struct io_settings settings;
        int fd;
        int wake_fd;
        struct conns conns;
        struct list dirty;
        struct retries retries;
        uint32_t *queue; /* connections that have a send queued, a ring of conns_max rounded up */
        uint32_t queue_mask;
        uint32_t queue_head, queue_tail;
        struct iovec *pieces; /* IO_PIECES_MAX for each connection, touched only by sends of several */
        uint8_t *arena;
        size_t arena_bytes;
        size_t arena_used;
        struct listeners listeners;
        struct io_feature features[FEATURES_COUNT];
        struct epoll_event ready[READY_MAX];
        uint32_t again[READY_MAX]; /* connections that filled their read */
};

/* What epoll hands back: a listener's row, the wake descriptor, or an id (never below 2^32). */
#define TAG_WAKE LISTENERS_MAX

struct batch {
        struct io_event *events;
        int count;
        int max;
};

static bool batch_has_room(const struct batch *batch)
{
        return batch->count < batch->max;
}

static struct io_event *batch_add(struct batch *batch, enum io_event_kind kind, io_id id)
{
        assert_slow(batch->count < batch->max);
        struct io_event *event = &batch->events[batch->count++];
        *event = (struct io_event){.kind = kind, .id = id};
        return event;
}

/* ---- connections ---- */

static void conn_make_dirty(struct epoll *epoll, struct conn *conn)
{
        if (!list_is_linked(&conn->dirty))
                list_push_back(&epoll->dirty, &conn->dirty);
}

static struct conn *epoll_conn_new(struct epoll *epoll, int fd)
{
        struct conn *conn = conns_take(&epoll->conns);
        if (conn == NULL)
                return NULL;
        list_init(&conn->dirty);
        retry_init(&conn->retry);
        conn->fd = fd;
        conn_make_dirty(epoll, conn);
        return conn;
}

static void epoll_conn_free(struct epoll *epoll, struct conn *conn)
{
        assert(conn->lent_bytes == 0);
        /* Not by closing it: whoever looks at our descriptors in /proc holds the socket for a moment, and until the
         * last one lets go of it epoll goes on telling of it. */
        if (conn->interest != 0) {
                epoll->io.statistics.system_calls++;
                (void)epoll_ctl(epoll->fd, EPOLL_CTL_DEL, conn->fd, NULL);
        }
        socket_close(conn->fd, conn->reset);
        conn->fd = -1;
        list_remove(&conn->dirty);
        retry_cancel(&conn->retry);
        conns_give(&epoll->conns, conn);
}

/* Asks epoll for what the connection waits for. */
static void conn_reconcile(struct epoll *epoll, struct conn *conn)
{
        bool reads = !conn->paused && !conn->ended && !conn->connecting;
        bool writes = conn->connecting || (conn->awaits_writable && !retry_waits(&conn->retry));
        uint32_t interest = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
        if (interest == conn->interest)
                return;
        struct epoll_event event = {.events = interest, .data.u64 = conns_id(&epoll->conns, conn)};
        int operation = interest == 0 ? EPOLL_CTL_DEL : conn->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        epoll->io.statistics.system_calls++;
        int error = epoll_ctl(epoll->fd, operation, conn->fd, &event);
        conn->interest = interest;
        if (error != 0) {
                /* Out of memory or of watches: the connection cannot live. It hears of it from its own send, or never;
                 * the peer hears of it now. */
                shutdown(conn->fd, SHUT_RDWR);
                conn->interest = 0;
        }
}

/* ---- sends ---- */

static ssize_t conn_send(struct epoll *epoll, struct conn *conn)
{
        epoll->io.statistics.system_calls++;
        if (conn->pieces_count == 1)
                return send(conn->fd, conn->piece.iov_base, conn->piece.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        struct msghdr message = {.msg_iov = &epoll->pieces[(size_t)conns_index(&epoll->conns, conn) * IO_PIECES_MAX],
                                 .msg_iovlen = conn->pieces_count};
        return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void epoll_send_one(struct epoll *epoll, struct conn *conn, struct batch *batch)
{
        ssize_t result = conn_send(epoll, conn);
        int error = result < 0 ? errno : 0;
        size_t sent_bytes = result > 0 ? (size_t)result : 0;
        struct io_event *event = batch_add(batch, IO_RELEASED, conns_id(&epoll->conns, conn));
        event->bytes = conn->lent_bytes;
        event->sent = sent_bytes;
        event->sends = 1;
        epoll->io.statistics.bytes_sent += sent_bytes;
        if (unlikely(sent_bytes < conn->lent_bytes)) {
                epoll->io.statistics.sends_short++;
                seen("epoll took less of a send than it was lent");
                if (error == 0 || error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EINTR) {
                        conn->awaits_writable = true;
                        (void)retries_short(&epoll->retries, &conn->retry, &conn->fares, sent_bytes, epoll->io.now_ns);
                } else {
                        /* The receive tells the end. It mostly knows already; this makes sure of it. */
                        conn->error = -error;
                        shutdown(conn->fd, SHUT_RDWR);
                }
                conn_make_dirty(epoll, conn);
        } else {
                conn->fares = (struct retry_state){0};
        }
        conn->lent_bytes = 0;
        if (unlikely(conn->wants_shutdown))
                shutdown(conn->fd, SHUT_WR);
}

static void epoll_send_queued(struct epoll *epoll, struct batch *batch)
{
        while (epoll->queue_head != epoll->queue_tail && batch_has_room(batch))
                epoll_send_one(epoll, conns_at(&epoll->conns, epoll->queue[epoll->queue_head++ & epoll->queue_mask]),
                               batch);
}

/* ---- receives ---- */

static uint8_t *arena_room(const struct epoll *epoll, size_t bytes)
{
        return epoll->arena_bytes - epoll->arena_used >= bytes ? epoll->arena + epoll->arena_used : NULL;
}

static void arena_take(struct epoll *epoll, size_t bytes)
{
        epoll->arena_used = (size_t)bits_align_up(epoll->arena_used + bytes, 64);
        if (epoll->arena_used > epoll->arena_bytes)
                epoll->arena_used = epoll->arena_bytes;
}

/* Returns whether there may be more to read. */
static bool epoll_receive(struct epoll *epoll, struct conn *conn, struct batch *batch)
{
        size_t bytes_max = epoll->settings.receive_buffer_bytes;
        uint8_t *room = arena_room(epoll, bytes_max);
        if (room == NULL) {
                epoll->io.statistics.buffers_short++;
                return false;
        }
        epoll->io.statistics.system_calls++;
        ssize_t received = recv(conn->fd, room, bytes_max, MSG_DONTWAIT);
        if (received < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (received > 0) {
                arena_take(epoll, (size_t)received);
                epoll->io.statistics.receives++;
                epoll->io.statistics.bytes_received += (size_t)received;
                struct io_event *event = batch_add(batch, IO_RECEIVED, conns_id(&epoll->conns, conn));
                event->span = span_of(room, (size_t)received);
                event->more = (size_t)received == bytes_max;
                return event->more;
        }
        conn->ended = true;
        if (received < 0)
                conn->error = -errno;
        batch_add(batch, IO_ENDED, conns_id(&epoll->conns, conn))->error = conn->error;
        conn_make_dirty(epoll, conn);
        return false;
}

static void epoll_receive_datagrams(struct epoll *epoll, struct conn *conn, struct batch *batch)
{
        for (int i = 0; i < DATAGRAMS_PER_POLL && batch_has_room(batch); i++) {
                struct io_address *from = (void *)arena_room(epoll, sizeof(*from) + DATAGRAM_BYTES_MAX);
                if (from == NULL) {
                        epoll->io.statistics.buffers_short++;
                        return;
                }
                uint8_t *bytes = (uint8_t *)(from + 1);
                socklen_t from_bytes = sizeof(from->bytes);
                epoll->io.statistics.system_calls++;
                ssize_t received = recvfrom(conn->fd, bytes, DATAGRAM_BYTES_MAX, MSG_DONTWAIT | MSG_TRUNC,
                                            (struct sockaddr *)(void *)from->bytes, &from_bytes);
                if (received < 0)
                        return; /* empty, or a refusal told by ICMP, which is gone with this call */
                if ((size_t)received > DATAGRAM_BYTES_MAX)
                        continue;
                from->size = from_bytes;
                arena_take(epoll, sizeof(*from) + (size_t)received);
                epoll->io.statistics.receives++;
                epoll->io.statistics.bytes_received += (size_t)received;
                struct io_event *event = batch_add(batch, IO_DATAGRAM, conns_id(&epoll->conns, conn));
                event->span = span_of(bytes, (size_t)received);
                event->from = from;
        }
}

static void epoll_connected(struct epoll *epoll, struct conn *conn, struct batch *batch)
{
        int error = socket_connected(conn->fd);
        conn->connecting = false;
        conn->ended = error != 0;
        conn_make_dirty(epoll, conn);
        batch_add(batch, IO_CONNECTED, conns_id(&epoll->conns, conn))->error = error;
}

/* At most two events. Returns whether there may be more to read. */
static bool epoll_conn_ready(struct epoll *epoll, struct conn *conn, uint32_t ready, struct batch *batch)
{
        if (conn->connecting) {
                epoll_connected(epoll, conn, batch);
                return false;
        }
        if (conn->awaits_writable && (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
                conn->awaits_writable = false;
                conn->fares.told = true;
                retry_cancel(&conn->retry); /* it broke meanwhile */
                conn_make_dirty(epoll, conn);
                batch_add(batch, IO_WRITABLE, conns_id(&epoll->conns, conn));
        }
        if ((conn->interest & EPOLLIN) == 0 || (ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0)
                return false;
        if (conn->datagram) {
                epoll_receive_datagrams(epoll, conn, batch);
                return false;
        }
        return epoll_receive(epoll, conn, batch);
}

/* ---- listeners ---- */

/* A refused one is not watched until it may try again: epoll would tell it all the time. */
static void epoll_reconcile_listeners(struct epoll *epoll)
{
        epoll->listeners.dirty = false;
        for (uint32_t i = 0; i < epoll->listeners.count; i++) {
                struct listener *listener = &epoll->listeners.rows[i];
                bool watched = listener->fd >= 0 && listener->retry_ns == 0;
                if (listener->fd >= 0 && watched != listener->watched) {
                        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
                        epoll->io.statistics.system_calls++;
                        int operation = watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
                        if (epoll_ctl(epoll->fd, operation, listener->fd, &event) != 0 && watched) {
                                /* Out of memory or of watches. Whoever comes meanwhile waits in its queue. */
                                watched = false;
                                listeners_retry(&epoll->listeners, listener);
                        }
                }
                listener->watched = watched; /* with its socket it has left the set */
        }
}

static void epoll_accept(struct epoll *epoll, struct batch *batch)
{
        struct newcomer newcomer;
        while (batch_has_room(batch) && listeners_accept(&epoll->listeners, &newcomer)) {
                struct conn *conn = epoll_conn_new(epoll, newcomer.fd);
                if (conn == NULL) {
                        epoll->io.statistics.accepts_refused++;
                        close(newcomer.fd);
                        continue;
                }
                epoll->io.statistics.accepts++;
                struct io_event *event = batch_add(batch, IO_ACCEPTED, conns_id(&epoll->conns, conn));
                event->listener = newcomer.listener;
                event->span = newcomer.address;
        }
}

/* ---- the turn ---- */

static void epoll_reconcile(struct epoll *epoll, struct batch *batch)
{
        struct retry *retry;
        for (int i = 0; i < RETRIES_PER_POLL && (retry = retries_take(&epoll->retries, epoll->io.now_ns)) != NULL; i++)
                conn_make_dirty(epoll, container_of(retry, struct conn, retry));
        struct list dirty;
        list_init(&dirty);
        list_splice_back(&dirty, &epoll->dirty);
        while (!list_is_empty(&dirty)) {
                struct conn *conn = list_entry(dirty.next, struct conn, dirty);
                list_remove(&conn->dirty);
                if (likely(!conn->closing)) {
                        conn_reconcile(epoll, conn);
                } else if (conn->lent_bytes > 0 || !batch_has_room(batch)) {
                        conn_make_dirty(epoll, conn);
                } else {
                        batch_add(batch, IO_CLOSED, conns_id(&epoll->conns, conn));
                        epoll_conn_free(epoll, conn);
                }
        }
}

/* How many are ready; sleeps until `deadline_ns` at most, 0: not at all. */
static int epoll_sleep(struct epoll *epoll, int ready_max, uint64_t deadline_ns)
{
        struct timespec timeout = {0};
        bool forever = deadline_ns == UINT64_MAX;
        uint64_t now_ns = deadline_ns == 0 || forever ? 0 : clock_monotonic_ns();
        uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        epoll->io.statistics.system_calls++;
        int count;
        if (epoll->features[FEATURE_NANOSECONDS].present) {
                timeout.tv_sec = (time_t)(wait_ns / NS_PER_S);
                timeout.tv_nsec = (long)(wait_ns % NS_PER_S);
                count = epoll_pwait2(epoll->fd, epoll->ready, ready_max, forever ? NULL : &timeout, NULL);
        } else {
                uint64_t wait_ms = wait_ns / NS_PER_MS + (wait_ns % NS_PER_MS != 0);
                count = epoll_wait(epoll->fd, epoll->ready, ready_max,
                                   forever                ? -1
                                   : wait_ms >= INT32_MAX ? INT32_MAX
                                                          : (int)wait_ms);
        }
        assert(count >= 0 || errno == EINTR);
        return count < 0 ? 0 : count;
}

static void epoll_woken(struct epoll *epoll, struct batch *batch)
{
        uint64_t wakes;
        epoll->io.statistics.system_calls++;
        if (read(epoll->wake_fd, &wakes, sizeof(wakes)) == sizeof(wakes))
                batch_add(batch, IO_WOKEN, 0);
}

/* Each gets one read; then those that filled theirs read on in turn while there is room. */
static void epoll_dispatch(struct epoll *epoll, int ready_count, struct batch *batch)
{
        uint32_t again_count = 0;
        for (int i = 0; i < ready_count && batch->max - batch->count >= 2; i++) {
                const struct epoll_event *ready = &epoll->ready[i];
                if (unlikely(ready->data.u64 < LISTENERS_MAX)) {
                        listeners_told(&epoll->listeners, (uint32_t)ready->data.u64);
                } else if (unlikely(ready->data.u64 == TAG_WAKE)) {
                        epoll_woken(epoll, batch);
                } else {
                        struct conn *conn = conns_find(&epoll->conns, ready->data.u64);
                        assert(conn != NULL);
                        if (epoll_conn_ready(epoll, conn, ready->events, batch))
                                epoll->again[again_count++] = conns_index(&epoll->conns, conn);
                }
        }
        while (again_count > 0) {
                uint32_t still_count = 0;
                for (uint32_t i = 0; i < again_count; i++) {
                        if (!batch_has_room(batch) || arena_room(epoll, epoll->settings.receive_buffer_bytes) == NULL)
                                return;
                        if (epoll_receive(epoll, conns_at(&epoll->conns, epoll->again[i]), batch))
                                epoll->again[still_count++] = epoll->again[i];
                }
                again_count = still_count;
        }
}

static int epoll_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        struct batch batch = {.events = events};
        io->statistics.polls++;
        epoll->arena_used = 0;
        for (;;) {
                listeners_begin(&epoll->listeners);
                bool any_newcomers = listeners_are_ready(&epoll->listeners);
                batch.max = events_max - (any_newcomers ? events_max / 8 : 0);
                epoll_send_queued(epoll, &batch);
                if (unlikely(epoll->listeners.dirty))
                        epoll_reconcile_listeners(epoll);
                epoll_reconcile(epoll, &batch);
                int ready_max = batch.max - batch.count < READY_MAX ? batch.max - batch.count : READY_MAX;
                uint64_t retry_ns = epoll->listeners.retry_ns;
                uint64_t until_ns = deadline_ns < retry_ns ? deadline_ns : retry_ns;
                if (epoll->retries.next_ns < until_ns)
                        until_ns = epoll->retries.next_ns;
                int ready_count = 0;
                if (likely(ready_max > 0))
                        ready_count = epoll_sleep(epoll, ready_max, batch.count > 0 || any_newcomers ? 0 : until_ns);
                io->now_ns = clock_monotonic_ns();
                epoll_dispatch(epoll, ready_count, &batch);
                batch.max = events_max;
                if (unlikely(listeners_are_ready(&epoll->listeners)))
                        epoll_accept(epoll, &batch);
                if (batch.count > 0 || io->now_ns >= deadline_ns)
                        return batch.count;
        }
}

/* ---- what the engine calls ---- */

static int epoll_push(struct io *io, struct io_event *events, int events_max)
{
        struct batch batch = {.events = events, .max = events_max};
        epoll_send_queued(container_of(io, struct epoll, io), &batch);
        return batch.count;
}

static void epoll_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        struct conn *conn = conns_find(&epoll->conns, id);
        if (unlikely(conn == NULL))
                return;
        assert(conn->lent_bytes == 0);
        assert(!conn->awaits_writable && !conn->connecting);
        assert(!conn->wants_shutdown && !conn->closing);
        uint32_t index = conns_index(&epoll->conns, conn);
        struct iovec *to = pieces_count == 1 ? &conn->piece : &epoll->pieces[(size_t)index * IO_PIECES_MAX];
        size_t bytes = 0;
        for (size_t i = 0; i < pieces_count; i++) {
                to[i] = (struct iovec){(void *)(uintptr_t)pieces[i].bytes, pieces[i].size};
                bytes += pieces[i].size;
        }
        assert(bytes > 0);
        conn->pieces_count = (uint8_t)pieces_count;
        conn->lent_bytes = bytes;
        epoll->queue[epoll->queue_tail++ & epoll->queue_mask] = index;
        io->statistics.sends++;
}

static void epoll_pause(struct io *io, io_id id, bool paused)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        struct conn *conn = conns_find(&epoll->conns, id);
        if (conn == NULL || conn->closing || conn->datagram || conn->paused == paused)
                return;
        conn->paused = paused;
        conn_make_dirty(epoll, conn);
}

static void epoll_shutdown(struct io *io, io_id id)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        struct conn *conn = conns_find(&epoll->conns, id);
        if (conn == NULL || conn->closing || conn->wants_shutdown)
                return;
        conn->wants_shutdown = true;
        if (conn->lent_bytes == 0)
                shutdown(conn->fd, SHUT_WR);
}

static void epoll_close(struct io *io, io_id id, bool reset)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        struct conn *conn = conns_find(&epoll->conns, id);
        if (conn == NULL || conn->closing)
                return;
        conn->closing = true;
        conn->reset = reset;
        retry_cancel(&conn->retry);
        conn_make_dirty(epoll, conn);
}

static void epoll_wake(struct io *io)
{
        const struct epoll *epoll = container_of(io, struct epoll, io);
        uint64_t one = 1;
        /* Fails only when it is 2^64 - 2 wakes behind; then it wakes anyway. */
        (void)!write(epoll->wake_fd, &one, sizeof(one));
}

static int epoll_listen(struct io *io, const char *address, enum io_sharing sharing, uint32_t number,
                        char bound[IO_ADDRESS_BYTES_MAX])
{
        return listeners_add(&container_of(io, struct epoll, io)->listeners, address, sharing, number, bound);
}

static void epoll_stop_listening(struct io *io)
{
        listeners_stop(&container_of(io, struct epoll, io)->listeners);
}

static int epoll_connect(struct io *io, const char *address, io_id *id)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        int fd = socket_connect(address, epoll->settings.send_buffer_bytes);
        if (fd < 0)
                return fd;
        struct conn *conn = epoll_conn_new(epoll, fd);
        if (conn == NULL) {
                close(fd);
                return -EMFILE;
        }
        conn->connecting = true;
        *id = conns_id(&epoll->conns, conn);
        return 0;
}

static int epoll_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        int fd = socket_datagram(address, bound);
        if (fd < 0)
                return fd;
        struct conn *conn = epoll_conn_new(epoll, fd);
        if (conn == NULL) {
                close(fd);
                return -EMFILE;
        }
        conn->datagram = true;
        *id = conns_id(&epoll->conns, conn);
        return 0;
}

static bool epoll_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span datagram)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        const struct conn *conn = conns_find(&epoll->conns, id);
        if (conn == NULL || conn->closing)
                return false;
        assert(conn->datagram);
        io->statistics.system_calls++;
        return socket_datagram_send(conn->fd, to, datagram);
}

/* ---- start and stop ---- */

static void *epoll_map(size_t bytes)
{
        void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return mapping == MAP_FAILED ? NULL : mapping;
}

static size_t epoll_queue_bytes(const struct epoll *epoll)
{
        return ((size_t)epoll->queue_mask + 1) * sizeof(*epoll->queue);
}

static size_t epoll_pieces_bytes(const struct epoll *epoll)
{
        return (size_t)epoll->settings.conns_max * IO_PIECES_MAX * sizeof(*epoll->pieces);
}

static void epoll_free(struct epoll *epoll)
{
        if (epoll->queue != NULL)
                munmap(epoll->queue, epoll_queue_bytes(epoll));
        if (epoll->pieces != NULL)
                munmap(epoll->pieces, epoll_pieces_bytes(epoll));
        if (epoll->arena != NULL)
                munmap(epoll->arena, epoll->arena_bytes);
        if (epoll->wake_fd >= 0)
                close(epoll->wake_fd);
        if (epoll->fd >= 0)
                close(epoll->fd);
        listeners_fini(&epoll->listeners);
        conns_fini(&epoll->conns);
        free(epoll);
}

static void epoll_stop(struct io *io)
{
        struct epoll *epoll = container_of(io, struct epoll, io);
        epoll_stop_listening(io);
        for (uint32_t i = 0; i < epoll->conns.fresh; i++) {
                const struct conn *conn = conns_at(&epoll->conns, i);
                if (conn->fd >= 0)
                        socket_close(conn->fd, false);
        }
        epoll_free(epoll);
}

static const struct io_operations epoll_operations = {
        .stop = epoll_stop,
        .listen = epoll_listen,
        .stop_listening = epoll_stop_listening,
        .connect = epoll_connect,
        .poll = epoll_poll,
        .push = epoll_push,
        .send = epoll_send,
        .pause = epoll_pause,
        .shutdown = epoll_shutdown,
        .close = epoll_close,
        .wake = epoll_wake,
        .datagram_open = epoll_datagram_open,
        .datagram_send = epoll_datagram_send,
};

static int epoll_init(struct epoll *epoll)
{
        const struct io_settings *settings = &epoll->settings;
        epoll->fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll->fd < 0)
                return -errno;
        epoll->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (epoll->wake_fd < 0)
                return -errno;
        struct epoll_event wake = {.events = EPOLLIN, .data.u64 = TAG_WAKE};
        if (epoll_ctl(epoll->fd, EPOLL_CTL_ADD, epoll->wake_fd, &wake) != 0)
                return -errno;
        uint32_t buffers_count = settings->receive_buffers_count;
        if (buffers_count > ARENA_BUFFERS_MAX)
                buffers_count = ARENA_BUFFERS_MAX;
        epoll->arena_bytes = (size_t)buffers_count * settings->receive_buffer_bytes;
        if (epoll->arena_bytes < 4 * (DATAGRAM_BYTES_MAX + sizeof(struct io_address)))
                epoll->arena_bytes = 4 * (DATAGRAM_BYTES_MAX + sizeof(struct io_address));
        epoll->queue_mask = (1u << bits_log2_ceil(settings->conns_max)) - 1;
        epoll->arena = epoll_map(epoll->arena_bytes);
        epoll->queue = epoll_map(epoll_queue_bytes(epoll));
        epoll->pieces = epoll_map(epoll_pieces_bytes(epoll));
        if (epoll->arena == NULL || epoll->queue == NULL || epoll->pieces == NULL)
                return -ENOMEM;
        /* Old seccomp profiles answer EPERM for calls they do not know. */
        struct timespec at_once = {0};
        epoll->features[FEATURE_NANOSECONDS].present = epoll_pwait2(epoll->fd, epoll->ready, 1, &at_once, NULL) >= 0;
        int error = listeners_init(&epoll->listeners, &epoll->io, settings);
        return error != 0 ? error : conns_init(&epoll->conns, sizeof(struct conn), settings->conns_max);
}

int io_epoll_start(struct io **io, const struct io_settings *settings)
{
        struct epoll *epoll = calloc(1, sizeof(*epoll));
        if (epoll == NULL)
                return -ENOMEM;
        epoll->settings = *settings;
        epoll->fd = -1;
        epoll->wake_fd = -1;
        list_init(&epoll->dirty);
        retries_init(&epoll->retries);
        memcpy(epoll->features, feature_rows, sizeof(feature_rows));
        epoll->io = (struct io){
                .operations = &epoll_operations,
                .traits = {.name = "epoll", .reason = "", .sends_max = 1, .lent_bytes_max = SIZE_MAX},
                .features = epoll->features,
                .features_count = FEATURES_COUNT,
                .now_ns = clock_monotonic_ns(),
        };
        int error = epoll_init(epoll);
        if (error != 0) {
                epoll_free(epoll);
                return error;
        }
        *io = &epoll->io;
        return 0;
}
