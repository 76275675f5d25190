/* uring: the backend over io_uring, with Debian 12's liburing 2.3 and nothing newer than it that is not probed.
 *
 *      io_poll()   refill the buffer ring
 *                  reconcile: connections whose receive is not as wished get requests, behind all sends
 *                  one io_uring_enter(): submit everything and sleep
 *                      sends run inline while they are submitted, in the order of io_send();
 *                      then deferred task work runs the receives
 *                  collect: completions become events, sends first
 *
 * Sends carry MSG_DONTWAIT, so each is done when it has been submitted and the kernel never keeps lent bytes. What is
 * left waiting in the kernel are multishot receives, and one-shot polls: of listeners, and for POLLOUT after a short
 * send.
 *
 * The thread of the first io_poll() owns the ring (IORING_SETUP_SINGLE_ISSUER; the ring is born disabled), so one
 * thread may start what another runs.
 *
 * Sockets are not registered as fixed files. It saves a reference count a send, which could not be measured, and until
 * Linux 6.13 a file leaves the table only when all requests made before through the table are done: with receives that
 * stay for hours, sockets would never close.
 *
 * The ring is mapped here and not by liburing, because liburing 2.3 does not know IORING_SETUP_NO_SQARRAY and the
 * completions are walked twice; its system call wrappers and constants are used. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/list.h"
#include "engine/base/mark.h"
#include "io/buffers.h"
#include "io/conns.h"
#include "io/listeners.h"
#include "io/retries.h"
#include "io/socket.h"

/* Newer than liburing 2.3. */
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

#define HALF_CLOSED_STEP 3 /* of io/retries.h: 8 ms */
#define RETRIES_PER_POLL 1024
#define CQ_ENTRIES_MAX 65536u
#define TASK_ROUNDS_MAX 8
#define DATAGRAM_BUFFERS_COUNT 256u
#define DATAGRAM_BYTES_MAX 65535u

enum {
        FEATURE_TIMEOUT,
        FEATURE_BUFFER_RING,
        FEATURE_MULTISHOT_RECEIVE,
        FEATURE_MULTISHOT_DATAGRAM,
        FEATURE_COOPERATIVE,
        FEATURE_DEFERRED,
        FEATURE_REGISTERED_RING,
        FEATURE_NO_ARRAY,
        FEATURES_COUNT,
};

static const struct io_feature feature_rows[FEATURES_COUNT] = {
        [FEATURE_TIMEOUT] = {"timeout in io_uring_enter", "5.11", "epoll", false},
        [FEATURE_BUFFER_RING] = {"provided buffer ring", "5.19", "epoll", false},
        [FEATURE_MULTISHOT_RECEIVE] = {"multishot receive", "6.0", "epoll", false},
        [FEATURE_MULTISHOT_DATAGRAM] = {"multishot datagram receive", "6.0", "epoll", false},
        [FEATURE_COOPERATIVE] = {"cooperative task work", "5.19", "epoll", false},
        [FEATURE_DEFERRED] = {"single issuer, deferred task work", "6.1", "cooperative task work", false},
        [FEATURE_REGISTERED_RING] = {"registered ring", "5.18", "plain descriptor", false},
        [FEATURE_NO_ARRAY] = {"submission without index array", "6.6", "identity array", false},
};

/* The user data of a request: generation, operation, index. */
enum operation {
        OPERATION_NONE, /* also a completion that has been dealt with */
        OPERATION_SEND,
        OPERATION_RECEIVE,
        OPERATION_WRITABLE,
        OPERATION_CONNECT,
        OPERATION_CANCEL_RECEIVE,
        OPERATION_LISTEN,
        OPERATION_WAKE,
};

static_assert(IO_CONNS_MAX <= 1u << 24, "an index fits below the operation");

struct conn {
        struct conn_head head;
        struct list dirty; /* in uring.dirty or uring.starved: requests have to be made at the next poll */
        struct list ready; /* in uring.ready: events have to be told */
        size_t lent_bytes; /* of the one outstanding send; 0: none */
        int fd;
        int error;     /* why it broke, for IO_ENDED */
        uint32_t held; /* buffers received while paused and not told yet */
        uint16_t held_first;
        uint16_t held_last;
        uint8_t outstanding; /* requests whose last completion is to come */
        bool datagram : 1;
        bool connecting : 1; /* a poll for the outcome is outstanding */
        bool receiving : 1;  /* a receive is outstanding */
        bool cancelling : 1; /* ... and its cancellation is on its way */
        bool paused : 1;
        bool fed : 1;             /* bytes came since the receive was made */
        bool ended : 1;           /* no receive is made any more */
        bool end_untold : 1;      /* IO_ENDED waits for held bytes or for io_resume() */
        bool wants_writable : 1;  /* a poll for POLLOUT has to be made */
        bool awaits_writable : 1; /* ... or is outstanding */
        bool wants_shutdown : 1;  /* behind the outstanding send */
        bool closing : 1;
        bool reset : 1;
        struct retry_state fares;
        struct retry retry; /* while it waits, no poll for POLLOUT is made */
};

static_assert(sizeof(struct conn) <= 128, "idle connections are cheap");

struct message {
        struct msghdr header;
        struct iovec pieces[IO_PIECES_MAX];
};

struct uring {
        struct io io;
        struct io_settings settings;
        /* The submission queue. Without SQPOLL the kernel looks at it during io_uring_enter() only. */
        struct io_uring_sqe *sqes;
        unsigned *sq_kernel_head, *sq_kernel_tail, *sq_kernel_flags;
        unsigned sq_head, sq_tail, sq_entries;
        struct message *messages; /* one per submission entry; used from the first one on after each submission */
        unsigned messages_used;
        /* The completion queue. */
        struct io_uring_cqe *cqes;
        unsigned *cq_kernel_head, *cq_kernel_tail;
        unsigned cq_head, cq_mask;
        unsigned sends_outstanding;

        struct conns conns;
        struct buffers buffers;
        struct buffers datagram_buffers;
        struct msghdr datagram_header;
        struct list starved; /* like dirty, and served first: those whose receive ended before it got a buffer */
        struct list dirty;
        struct list ready;
        struct retries retries;
        struct listeners listeners;
        uint64_t wake_value;
        int wake_fd;
        bool wake_reading;

        int fd;
        int enter_fd; /* the same, or its number in this thread's table of registered rings */
        unsigned enter_flags;
        bool enabled;
        pthread_t owner;
        struct io_feature features[FEATURES_COUNT];
        void *ring_mapping;
        size_t ring_mapping_bytes;
        size_t sqes_bytes;
        size_t messages_bytes;
};

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

/* ---- the rings ---- */

static uint64_t user_data(enum operation operation, uint32_t generation, uint32_t index)
{
        return (uint64_t)generation << 32 | (uint64_t)operation << 24 | index;
}

static uint64_t conn_user_data(const struct uring *uring, const struct conn *conn, enum operation operation)
{
        return user_data(operation, conns_generation(conn), conns_index(&uring->conns, conn));
}

/* A registered ring saves a look-up each io_uring_enter(). The registration is this thread's. */
static bool uring_register_ring(const struct uring *uring, uint32_t *number)
{
        struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint64_t)uring->fd};
        if (io_uring_register((unsigned)uring->fd, IORING_REGISTER_RING_FDS, &update, 1) != 1)
                return false;
        *number = update.offset;
        return true;
}

static void uring_unregister_ring(const struct uring *uring, uint32_t number)
{
        struct io_uring_rsrc_update update = {.offset = number};
        (void)io_uring_register((unsigned)uring->fd, IORING_UNREGISTER_RING_FDS, &update, 1);
}

/* In the thread that will own the ring. */
static void uring_enable(struct uring *uring)
{
        int error = io_uring_register((unsigned)uring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        assert(error == 0);
        (void)error;
        uring->enabled = true;
        uring->owner = pthread_self();
        uint32_t number;
        if (uring->features[FEATURE_REGISTERED_RING].present && uring_register_ring(uring, &number)) {
                uring->enter_fd = (int)number;
                uring->enter_flags = IORING_ENTER_REGISTERED_RING;
        }
}

/* Submits what is queued; with IORING_ENTER_GETEVENTS runs task work and, if `completions_min` is not there, sleeps
 * until `deadline_ns`. Nothing that it returns needs a decision: what was not submitted stays queued. */
static void uring_enter(struct uring *uring, unsigned flags, unsigned completions_min, uint64_t deadline_ns)
{
        if (unlikely(!uring->enabled))
                uring_enable(uring);
        struct __kernel_timespec timeout;
        struct io_uring_getevents_arg argument = {.sigmask_sz = _NSIG / 8};
        if (completions_min > 0 && deadline_ns != UINT64_MAX) {
                uint64_t now_ns = clock_monotonic_ns();
                if (deadline_ns > now_ns) {
                        timeout.tv_sec = (long long)((deadline_ns - now_ns) / NS_PER_S);
                        timeout.tv_nsec = (long long)((deadline_ns - now_ns) % NS_PER_S);
                        argument.ts = (uint64_t)(uintptr_t)&timeout;
                } else {
                        completions_min = 0;
                }
        }
        /* Pairs with the kernel's acquire of the tail. */
        __atomic_store_n(uring->sq_kernel_tail, uring->sq_tail, __ATOMIC_RELEASE);
        uring->io.statistics.system_calls++;
        int result =
                io_uring_enter2((unsigned)uring->enter_fd, uring->sq_tail - uring->sq_head, completions_min,
                                uring->enter_flags | flags | IORING_ENTER_EXT_ARG, (void *)&argument, sizeof(argument));
        /* Pairs with the kernel's release: the entries below have been read. */
        uring->sq_head = __atomic_load_n(uring->sq_kernel_head, __ATOMIC_ACQUIRE);
        if (uring->sq_head == uring->sq_tail)
                uring->messages_used = 0;
        /* -EAGAIN, -ENOMEM and -EBUSY: the kernel is short of memory; it is tried again. Anything else is our mistake,
         * such as -EEXIST: called by two threads. */
        assert(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -ENOMEM ||
               result == -EBUSY);
}

/* Only when the queue is full in the middle of a turn. */
static void uring_submit(struct uring *uring)
{
        uring_enter(uring, 0, 0, 0);
        while (uring->sq_head != uring->sq_tail) {
                usleep(1000);
                uring_enter(uring, 0, 0, 0);
        }
}

static struct io_uring_sqe *uring_request(struct uring *uring, enum io_uring_op opcode, int fd, uint64_t data)
{
        if (unlikely(uring->sq_tail - uring->sq_head == uring->sq_entries))
                uring_submit(uring);
        struct io_uring_sqe *sqe = &uring->sqes[uring->sq_tail++ & (uring->sq_entries - 1)];
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = (uint8_t)opcode;
        sqe->fd = fd;
        sqe->user_data = data;
        return sqe;
}

static struct io_uring_sqe *uring_conn_request(struct uring *uring, enum io_uring_op opcode, struct conn *conn,
                                               enum operation operation)
{
        struct io_uring_sqe *sqe = uring_request(uring, opcode, conn->fd, conn_user_data(uring, conn, operation));
        conn->outstanding++;
        return sqe;
}

/* One-shot: completes when `wanted` is there. */
static void uring_poll_request(struct uring *uring, int fd, short wanted, uint64_t data)
{
        struct io_uring_sqe *sqe = uring_request(uring, IORING_OP_POLL_ADD, fd, data);
        sqe->poll32_events = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? (uint32_t)wanted : (uint32_t)wanted << 16;
}

static void uring_cancel(struct uring *uring, uint64_t target, uint64_t data)
{
        struct io_uring_sqe *sqe = uring_request(uring, IORING_OP_ASYNC_CANCEL, -1, data);
        sqe->addr = target;
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

/* ---- connections ---- */

static void conn_make_dirty(struct uring *uring, struct conn *conn)
{
        if (!list_is_linked(&conn->dirty))
                list_push_back(&uring->dirty, &conn->dirty);
}

static void conn_make_ready(struct uring *uring, struct conn *conn)
{
        if (!list_is_linked(&conn->ready))
                list_push_back(&uring->ready, &conn->ready);
}

/* Takes over `fd`. NULL: there is no room; `fd` is still the caller's. */
static struct conn *uring_conn_new(struct uring *uring, int fd)
{
        struct conn *conn = conns_take(&uring->conns);
        if (conn == NULL)
                return NULL;
        list_init(&conn->dirty);
        list_init(&conn->ready);
        retry_init(&conn->retry);
        conn->fd = fd;
        conn_make_dirty(uring, conn);
        return conn;
}

static void uring_conn_free(struct uring *uring, struct conn *conn)
{
        assert(conn->outstanding == 0 && conn->lent_bytes == 0);
        socket_close(conn->fd, conn->reset);
        conn->fd = -1;
        for (; conn->held > 0; conn->held--) {
                buffers_give(&uring->buffers, conn->held_first);
                conn->held_first = uring->buffers.notes[conn->held_first].next;
        }
        list_remove(&conn->dirty);
        list_remove(&conn->ready);
        retry_cancel(&conn->retry);
        conns_give(&uring->conns, conn);
}

static struct buffers *conn_buffers(struct uring *uring, const struct conn *conn)
{
        return conn->datagram ? &uring->datagram_buffers : &uring->buffers;
}

static void conn_receive(struct uring *uring, struct conn *conn)
{
        struct io_uring_sqe *sqe =
                uring_conn_request(uring, conn->datagram ? IORING_OP_RECVMSG : IORING_OP_RECV, conn, OPERATION_RECEIVE);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->buf_group = conn->datagram;
        sqe->addr = conn->datagram ? (uint64_t)(uintptr_t)&uring->datagram_header : 0;
        sqe->len = conn->datagram;
        conn->receiving = true;
        conn->fed = false;
}

static void conn_poll_writable(struct uring *uring, struct conn *conn, enum operation operation)
{
        uring_poll_request(uring, conn->fd, POLLOUT, conn_user_data(uring, conn, operation));
        conn->outstanding++;
}

static void conn_cancel_receive(struct uring *uring, struct conn *conn)
{
        if (!conn->receiving || conn->cancelling)
                return;
        conn->cancelling = true;
        uring_cancel(uring, conn_user_data(uring, conn, OPERATION_RECEIVE),
                     conn_user_data(uring, conn, OPERATION_CANCEL_RECEIVE));
}

/* Makes the requests that bring a connection from what it is to what is wished. */
static void conn_reconcile(struct uring *uring, struct conn *conn)
{
        if (conn->closing) {
                conn_cancel_receive(uring, conn);
                if (conn->awaits_writable)
                        uring_cancel(uring, conn_user_data(uring, conn, OPERATION_WRITABLE), 0);
                if (conn->connecting)
                        uring_cancel(uring, conn_user_data(uring, conn, OPERATION_CONNECT), 0);
                if (conn->outstanding == 0)
                        conn_make_ready(uring, conn);
                return;
        }
        if (conn->wants_writable) {
                conn->wants_writable = false;
                conn->awaits_writable = true;
                conn_poll_writable(uring, conn, OPERATION_WRITABLE);
        }
        if (conn->paused)
                conn_cancel_receive(uring, conn);
        else if (conn->receiving || conn->ended || conn->connecting)
                return;
        else if (conn_buffers(uring, conn)->in_ring > 0)
                conn_receive(uring, conn);
        else /* every buffer is held for a paused connection; one comes back when one of those resumes */
                conn_make_dirty(uring, conn);
}

static void conn_hold(struct uring *uring, struct conn *conn, uint16_t id, uint32_t size)
{
        struct buffers *buffers = &uring->buffers;
        if (conn->held > 0) {
                struct buffer_note *last = &buffers->notes[conn->held_last];
                /* Many small pieces share a buffer, so that a paused connection pins about what it has received. */
                if (size <= buffers->bytes_max - last->size) {
                        memcpy(buffers_at(buffers, conn->held_last) + last->size, buffers_at(buffers, id), size);
                        last->size += size;
                        buffers_give(buffers, id);
                        return;
                }
                last->next = id;
        } else {
                conn->held_first = id;
        }
        conn->held_last = id;
        conn->held++;
        buffers->notes[id].size = size;
}

/* ---- completions ---- */

static void uring_sent(struct uring *uring, const struct io_uring_cqe *cqe, struct batch *batch)
{
        struct conn *conn = conns_at(&uring->conns, (uint32_t)cqe->user_data & (IO_CONNS_MAX - 1));
        assert_slow(conn->lent_bytes > 0 && conns_generation(conn) == (uint32_t)(cqe->user_data >> 32));
        size_t sent_bytes = cqe->res > 0 ? (size_t)cqe->res : 0;
        struct io_event *event = batch_add(batch, IO_RELEASED, conns_id(&uring->conns, conn));
        event->bytes = conn->lent_bytes;
        event->sent = sent_bytes;
        event->sends = 1;
        uring->sends_outstanding--;
        uring->io.statistics.bytes_sent += sent_bytes;
        conn->outstanding--;
        if (unlikely(sent_bytes < conn->lent_bytes)) {
                uring->io.statistics.sends_short++;
                seen("io_uring took less of a send than it was lent");
                if (cqe->res >= 0 || cqe->res == -EAGAIN || cqe->res == -ENOBUFS || cqe->res == -ENOMEM) {
                        if (!retries_short(&uring->retries, &conn->retry, &conn->fares, sent_bytes, uring->io.now_ns)) {
                                conn->wants_writable = true;
                                conn_make_dirty(uring, conn);
                        }
                } else {
                        /* The receive tells the end. It mostly knows already; this makes sure of it. */
                        conn->error = cqe->res;
                        shutdown(conn->fd, SHUT_RDWR);
                }
        } else {
                conn->fares = (struct retry_state){0};
        }
        conn->lent_bytes = 0;
        if (unlikely(conn->wants_shutdown))
                shutdown(conn->fd, SHUT_WR);
        if (unlikely(conn->closing && conn->outstanding == 0))
                conn_make_ready(uring, conn);
}

static void uring_datagram_received(struct uring *uring, struct conn *conn, uint16_t id, size_t size,
                                    struct batch *batch)
{
        struct io_uring_recvmsg_out *out = (void *)buffers_at(&uring->datagram_buffers, id);
        size_t header_bytes = sizeof(*out) + uring->datagram_header.msg_namelen;
        if (conn->closing || size < header_bytes || (out->flags & MSG_TRUNC) != 0 ||
            out->namelen > uring->datagram_header.msg_namelen) {
                buffers_give(&uring->datagram_buffers, id);
                return;
        }
        /* The sender's address stands behind `flags`, whose place its size takes: that is a struct io_address. */
        struct io_address *from = (void *)&out->flags;
        from->size = out->namelen;
        struct io_event *event = batch_add(batch, IO_DATAGRAM, conns_id(&uring->conns, conn));
        event->span = span_of((uint8_t *)out + header_bytes, size - header_bytes);
        event->from = from;
        buffers_lend(&uring->datagram_buffers, id);
        uring->io.statistics.receives++;
        uring->io.statistics.bytes_received += event->span.size;
}

static_assert(offsetof(struct io_uring_recvmsg_out, flags) + sizeof(uint32_t) == sizeof(struct io_uring_recvmsg_out) &&
                      offsetof(struct io_address, bytes) == sizeof(uint32_t),
              "flags and the name behind it are laid out as an address");

static void uring_stream_received(struct uring *uring, struct conn *conn, const struct io_uring_cqe *cqe, uint16_t id,
                                  struct batch *batch)
{
        uint32_t size = (uint32_t)cqe->res;
        uring->io.statistics.receives++;
        uring->io.statistics.bytes_received += size;
        if (unlikely(conn->closing || conn->ended)) {
                buffers_give(&uring->buffers, id);
                return;
        }
        if (unlikely(conn->paused || conn->held > 0)) {
                conn_hold(uring, conn, id, size);
                return;
        }
        struct io_event *event = batch_add(batch, IO_RECEIVED, conns_id(&uring->conns, conn));
        event->span = span_of(buffers_at(&uring->buffers, id), size);
        event->more = (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0 || size == uring->buffers.bytes_max;
        buffers_lend(&uring->buffers, id);
}

static void uring_stream_ended(struct uring *uring, struct conn *conn, int error, struct batch *batch)
{
        if (conn->closing || conn->ended)
                return;
        conn->ended = true;
        conn->error = error != 0 ? error : conn->error;
        if (conn->paused || conn->held > 0)
                conn->end_untold = true;
        else
                batch_add(batch, IO_ENDED, conns_id(&uring->conns, conn))->error = conn->error;
}

static void uring_received(struct uring *uring, struct conn *conn, const struct io_uring_cqe *cqe, struct batch *batch)
{
        struct buffers *buffers = conn_buffers(uring, conn);
        uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        bool has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
        if (has_buffer)
                buffers_picked(buffers, cqe->res > 0 ? (uint32_t)cqe->res : 0);
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
                conn->receiving = false;
                conn->cancelling = false;
                conn->outstanding--;
                conn_make_dirty(uring, conn); /* it is made again, or the connection has ended, or is closed */
        }
        if (likely(cqe->res > 0 && has_buffer)) {
                conn->fed = true;
                if (conn->datagram)
                        uring_datagram_received(uring, conn, id, (size_t)cqe->res, batch);
                else
                        uring_stream_received(uring, conn, cqe, id, batch);
                return;
        }
        if (has_buffer)
                buffers_give(buffers, id);
        if (cqe->res == -ENOBUFS) {
                uring->io.statistics.buffers_short++;
                seen("io_uring had no receive buffer left");
                /* First those who got nothing, so that sources which take all there is cannot starve the others. */
                if (!conn->fed) {
                        list_remove(&conn->dirty);
                        list_push_back(&uring->starved, &conn->dirty);
                }
        } else if (cqe->res != -ECANCELED && cqe->res != -EINTR && !conn->datagram) {
                uring_stream_ended(uring, conn, cqe->res, batch);
        }
}

static void uring_connected(struct uring *uring, struct conn *conn, struct batch *batch)
{
        conn->connecting = false;
        conn->outstanding--;
        conn_make_dirty(uring, conn);
        if (conn->closing)
                return;
        int error = socket_connected(conn->fd);
        conn->ended = error != 0;
        batch_add(batch, IO_CONNECTED, conns_id(&uring->conns, conn))->error = error;
}

static void uring_writable(struct uring *uring, struct conn *conn, const struct io_uring_cqe *cqe, struct batch *batch)
{
        conn->awaits_writable = false;
        conn->outstanding--;
        if (conn->closing) {
                conn_make_dirty(uring, conn);
        } else if (cqe->res > 0 && (cqe->res & (POLLOUT | POLLERR | POLLHUP)) == 0) {
                /* The kernel adds POLLRDHUP to what is asked for, so behind the peer's end a poll never waits. */
                retries_add(&uring->retries, &conn->retry, HALF_CLOSED_STEP, uring->io.now_ns);
        } else {
                conn->fares.told = true;
                batch_add(batch, IO_WRITABLE, conns_id(&uring->conns, conn));
        }
}

/* A receive that is just being retried cannot be found; then the cancellation is tried again. */
static void uring_receive_not_cancelled(struct uring *uring, struct conn *conn)
{
        if (!conn->receiving)
                return;
        seen("a receive could not be cancelled, for it was just being tried again");
        conn->cancelling = false;
        conn_make_dirty(uring, conn);
}

/* The listener may have closed meanwhile; a poll that failed is as good as any, since accept() tells what there is. */
static void uring_listener_told(struct uring *uring, const struct io_uring_cqe *cqe)
{
        uint32_t row = (uint32_t)cqe->user_data & (IO_CONNS_MAX - 1);
        uring->listeners.rows[row].watched = false;
        listeners_told(&uring->listeners, row);
}

static void uring_accept(struct uring *uring, struct batch *batch)
{
        struct newcomer newcomer;
        while (batch_has_room(batch) && listeners_accept(&uring->listeners, &newcomer)) {
                struct conn *conn = uring_conn_new(uring, newcomer.fd);
                if (conn == NULL) {
                        uring->io.statistics.accepts_refused++;
                        close(newcomer.fd);
                        continue;
                }
                uring->io.statistics.accepts++;
                struct io_event *event = batch_add(batch, IO_ACCEPTED, conns_id(&uring->conns, conn));
                event->listener = newcomer.listener;
                event->span = newcomer.address;
        }
}

static void uring_woken(struct uring *uring, const struct io_uring_cqe *cqe, struct batch *batch)
{
        uring->wake_reading = false;
        if (cqe->res > 0)
                batch_add(batch, IO_WOKEN, 0);
}

/* At most one event a completion. */
static void uring_completed(struct uring *uring, const struct io_uring_cqe *cqe, struct batch *batch)
{
        enum operation operation = (cqe->user_data >> 24) & 0xff;
        switch (operation) {
        case OPERATION_NONE:
                return;
        case OPERATION_LISTEN:
                uring_listener_told(uring, cqe);
                return;
        case OPERATION_WAKE:
                uring_woken(uring, cqe, batch);
                return;
        case OPERATION_SEND: /* the first walk took them all, or this one would have no room */
                assert(false);
                return;
        case OPERATION_RECEIVE:
        case OPERATION_WRITABLE:
        case OPERATION_CONNECT:
        case OPERATION_CANCEL_RECEIVE:
                break;
        }
        struct conn *conn = conns_at(&uring->conns, (uint32_t)cqe->user_data & (IO_CONNS_MAX - 1));
        if (conns_generation(conn) != (uint32_t)(cqe->user_data >> 32)) {
                /* A connection lives until all its requests are done; only a cancellation may come late. */
                assert(operation == OPERATION_CANCEL_RECEIVE);
                return;
        }
        if (likely(operation == OPERATION_RECEIVE))
                uring_received(uring, conn, cqe, batch);
        else if (operation == OPERATION_WRITABLE)
                uring_writable(uring, conn, cqe, batch);
        else if (operation == OPERATION_CONNECT)
                uring_connected(uring, conn, batch);
        else
                uring_receive_not_cancelled(uring, conn);
        if (unlikely(conn->closing && conn->outstanding == 0))
                conn_make_ready(uring, conn);
}

static void conn_tell_held(struct uring *uring, struct conn *conn, struct batch *batch)
{
        struct buffers *buffers = &uring->buffers;
        io_id id = conns_id(&uring->conns, conn);
        while (conn->held > 0 && batch_has_room(batch)) {
                uint16_t buffer = conn->held_first;
                conn->held_first = buffers->notes[buffer].next;
                conn->held--;
                struct io_event *event = batch_add(batch, IO_RECEIVED, id);
                event->span = span_of(buffers_at(buffers, buffer), buffers->notes[buffer].size);
                event->more = conn->held > 0;
                buffers_lend(buffers, buffer);
        }
        if (conn->held == 0 && conn->end_untold && batch_has_room(batch)) {
                conn->end_untold = false;
                batch_add(batch, IO_ENDED, id)->error = conn->error;
        }
}

static void uring_tell_ready(struct uring *uring, struct batch *batch)
{
        while (!list_is_empty(&uring->ready) && batch_has_room(batch)) {
                struct conn *conn = list_entry(uring->ready.next, struct conn, ready);
                if (conn->closing) {
                        list_remove(&conn->ready);
                        if (conn->outstanding > 0)
                                continue;
                        batch_add(batch, IO_CLOSED, conns_id(&uring->conns, conn));
                        uring_conn_free(uring, conn);
                        continue;
                }
                if (!conn->paused)
                        conn_tell_held(uring, conn, batch);
                if (conn->paused || (conn->held == 0 && !conn->end_untold))
                        list_remove(&conn->ready);
        }
}

static unsigned uring_completions_tail(const struct uring *uring)
{
        /* Pairs with the kernel's release of the tail: the completions below are complete. */
        return __atomic_load_n(uring->cq_kernel_tail, __ATOMIC_ACQUIRE);
}

static void uring_completions_taken(struct uring *uring, unsigned head)
{
        uring->cq_head = head;
        /* Pairs with the kernel's acquire: it may write over what we have read. */
        __atomic_store_n(uring->cq_kernel_head, head, __ATOMIC_RELEASE);
}

/* Those of sends become events; what is taken from between others is marked as dealt with. */
static void uring_collect_sends(struct uring *uring, struct batch *batch)
{
        unsigned tail = uring_completions_tail(uring);
        unsigned head = uring->cq_head;
        for (unsigned i = head; i != tail && uring->sends_outstanding > 0 && batch_has_room(batch); i++) {
                struct io_uring_cqe *cqe = &uring->cqes[i & uring->cq_mask];
                if (((cqe->user_data >> 24) & 0xff) != OPERATION_SEND)
                        continue;
                uring_sent(uring, cqe, batch);
                if (i == head)
                        head++;
                else
                        cqe->user_data = user_data(OPERATION_NONE, 0, 0);
        }
        uring_completions_taken(uring, head);
}

/* Completions become events. Sends run before any receive of the same io_uring_enter(), so they mostly stand in front
 * and the first walk ends behind the last of them. */
static void uring_collect(struct uring *uring, struct batch *batch)
{
        unsigned tail = uring_completions_tail(uring);
        uring_collect_sends(uring, batch);
        uring_tell_ready(uring, batch);
        unsigned head = uring->cq_head;
        while (head != tail && batch_has_room(batch))
                uring_completed(uring, &uring->cqes[head++ & uring->cq_mask], batch);
        uring_completions_taken(uring, head);
        uring_tell_ready(uring, batch);
}

/* ---- the turn ---- */

static void uring_reconcile_listeners(struct uring *uring)
{
        uring->listeners.dirty = false;
        for (uint32_t i = 0; i < uring->listeners.count; i++) {
                struct listener *listener = &uring->listeners.rows[i];
                if (listener->fd < 0 || listener->watched || listener->ready || listener->retry_ns != 0)
                        continue;
                uring_poll_request(uring, listener->fd, POLLIN, user_data(OPERATION_LISTEN, 0, i));
                listener->watched = true;
        }
}

/* What the last batch borrowed is taken back; then requests are made, behind the sends that are queued already. */
static void uring_reconcile(struct uring *uring)
{
        buffers_refill(&uring->buffers);
        if (uring->datagram_buffers.mapping != NULL)
                buffers_refill(&uring->datagram_buffers);
        if (unlikely(uring->listeners.dirty))
                uring_reconcile_listeners(uring);
        if (!uring->wake_reading) {
                struct io_uring_sqe *sqe =
                        uring_request(uring, IORING_OP_READ, uring->wake_fd, user_data(OPERATION_WAKE, 0, 0));
                sqe->addr = (uint64_t)(uintptr_t)&uring->wake_value;
                sqe->len = sizeof(uring->wake_value);
                uring->wake_reading = true;
        }
        struct retry *retry;
        for (int i = 0; i < RETRIES_PER_POLL && (retry = retries_take(&uring->retries, uring->io.now_ns)) != NULL;
             i++) {
                struct conn *conn = container_of(retry, struct conn, retry);
                conn->wants_writable = true;
                conn_make_dirty(uring, conn);
        }
        struct list dirty;
        list_init(&dirty);
        list_splice_back(&dirty, &uring->starved);
        list_splice_back(&dirty, &uring->dirty);
        while (!list_is_empty(&dirty)) {
                struct conn *conn = list_entry(dirty.next, struct conn, dirty);
                list_remove(&conn->dirty);
                conn_reconcile(uring, conn);
        }
}

static bool uring_has_task_work(const struct uring *uring)
{
        return (__atomic_load_n(uring->sq_kernel_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
}

/* Kernels from 6.13 on run no more than twenty or so pieces of task work in one go. More are run until the batch is
 * full or half of the buffers in the ring may be; a single source that never ends must not take them all. */
static void uring_run_task_work(struct uring *uring, int events_max)
{
        unsigned enough = uring->sends_outstanding + uring->buffers.in_ring / 2;
        if (enough > (unsigned)events_max)
                enough = (unsigned)events_max;
        for (int i = 0; i < TASK_ROUNDS_MAX && uring_has_task_work(uring); i++) {
                if (uring_completions_tail(uring) - uring->cq_head >= enough)
                        break;
                uring_enter(uring, IORING_ENTER_GETEVENTS, 0, 0);
        }
}

static int uring_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct batch batch = {.events = events};
        io->statistics.polls++;
        for (;;) {
                listeners_begin(&uring->listeners);
                uring_reconcile(uring);
                bool any_newcomers = listeners_are_ready(&uring->listeners);
                bool may_sleep = list_is_empty(&uring->ready) && !any_newcomers &&
                                 uring->cq_head == uring_completions_tail(uring);
                uint64_t retry_ns = uring->listeners.retry_ns;
                uint64_t sleep_until_ns = deadline_ns < retry_ns ? deadline_ns : retry_ns;
                if (uring->retries.next_ns < sleep_until_ns)
                        sleep_until_ns = uring->retries.next_ns;
                uring_enter(uring, IORING_ENTER_GETEVENTS, may_sleep && sleep_until_ns > 0, sleep_until_ns);
                uring_run_task_work(uring, events_max);
                io->now_ns = clock_monotonic_ns();
                batch.max = events_max - (any_newcomers ? events_max / 8 : 0);
                uring_collect(uring, &batch);
                batch.max = events_max;
                if (unlikely(listeners_are_ready(&uring->listeners)))
                        uring_accept(uring, &batch);
                if (batch.count > 0 || io->now_ns >= deadline_ns)
                        return batch.count;
        }
}

/* ---- what the engine calls ---- */

static int uring_push(struct io *io, struct io_event *events, int events_max)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct batch batch = {.events = events, .max = events_max};
        if (uring->sends_outstanding == 0)
                return 0;
        if (uring->sq_head != uring->sq_tail)
                uring_enter(uring, 0, 0, 0); /* runs no task work: nothing is received */
        uring_collect_sends(uring, &batch);
        return batch.count;
}

static void uring_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct conn *conn = conns_find(&uring->conns, id);
        if (unlikely(conn == NULL))
                return;
        assert(conn->lent_bytes == 0);
        assert(!conn->wants_writable && !conn->awaits_writable && !conn->connecting);
        assert(!conn->wants_shutdown && !conn->closing);
        size_t bytes = pieces[0].size;
        if (likely(pieces_count == 1)) {
                struct io_uring_sqe *sqe = uring_conn_request(uring, IORING_OP_SEND, conn, OPERATION_SEND);
                /* The kernel takes up to 2^31 - 4096 bytes at once; the rest of more would be a short send. */
                sqe->addr = (uint64_t)(uintptr_t)pieces[0].bytes;
                sqe->len = bytes > INT32_MAX ? INT32_MAX : (uint32_t)bytes;
                sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        } else {
                if (unlikely(uring->messages_used == uring->sq_entries))
                        uring_submit(uring);
                struct io_uring_sqe *sqe = uring_conn_request(uring, IORING_OP_SENDMSG, conn, OPERATION_SEND);
                struct message *message = &uring->messages[uring->messages_used++];
                message->header = (struct msghdr){.msg_iov = message->pieces, .msg_iovlen = pieces_count};
                for (size_t i = 0; i < pieces_count; i++)
                        message->pieces[i] = (struct iovec){(void *)(uintptr_t)pieces[i].bytes, pieces[i].size};
                for (size_t i = 1; i < pieces_count; i++)
                        bytes += pieces[i].size;
                sqe->addr = (uint64_t)(uintptr_t)message;
                sqe->len = 1;
                sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        }
        assert(bytes > 0);
        conn->lent_bytes = bytes;
        uring->sends_outstanding++;
        io->statistics.sends++;
}

static void uring_pause(struct io *io, io_id id, bool paused)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct conn *conn = conns_find(&uring->conns, id);
        if (conn == NULL || conn->closing || conn->datagram || conn->paused == paused)
                return;
        conn->paused = paused;
        conn_make_dirty(uring, conn);
        if (!paused && (conn->held > 0 || conn->end_untold))
                conn_make_ready(uring, conn);
}

static void uring_shutdown(struct io *io, io_id id)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct conn *conn = conns_find(&uring->conns, id);
        if (conn == NULL || conn->closing || conn->wants_shutdown)
                return;
        conn->wants_shutdown = true;
        /* Otherwise when the send comes back: io_uring's own shutdown would run beside it in another thread. */
        if (conn->lent_bytes == 0)
                shutdown(conn->fd, SHUT_WR);
}

static void uring_close(struct io *io, io_id id, bool reset)
{
        struct uring *uring = container_of(io, struct uring, io);
        struct conn *conn = conns_find(&uring->conns, id);
        if (conn == NULL || conn->closing)
                return;
        conn->closing = true;
        conn->reset = reset;
        retry_cancel(&conn->retry);
        conn_make_dirty(uring, conn);
}

static void uring_wake(struct io *io)
{
        const struct uring *uring = container_of(io, struct uring, io);
        uint64_t one = 1;
        /* Fails only when it is 2^64 - 2 wakes behind; then it wakes anyway. */
        (void)!write(uring->wake_fd, &one, sizeof(one));
}

static int uring_listen(struct io *io, const char *address, enum io_sharing sharing, uint32_t number,
                        char bound[IO_ADDRESS_BYTES_MAX])
{
        return listeners_add(&container_of(io, struct uring, io)->listeners, address, sharing, number, bound);
}

static void uring_stop_listening(struct io *io)
{
        struct uring *uring = container_of(io, struct uring, io);
        listeners_stop(&uring->listeners);
        for (uint32_t i = 0; i < uring->listeners.count && uring->enabled; i++)
                if (uring->listeners.rows[i].watched && uring->listeners.rows[i].fd < 0)
                        uring_cancel(uring, user_data(OPERATION_LISTEN, 0, i), 0);
}

static int uring_connect(struct io *io, const char *address, io_id *id)
{
        struct uring *uring = container_of(io, struct uring, io);
        int fd = socket_connect(address, uring->settings.send_buffer_bytes);
        if (fd < 0)
                return fd;
        struct conn *conn = uring_conn_new(uring, fd);
        if (conn == NULL) {
                close(fd);
                return -EMFILE;
        }
        /* On a non-blocking file io_uring tells EAGAIN instead of waiting. */
        (void)fcntl(fd, F_SETFL, 0);
        conn->connecting = true;
        conn_poll_writable(uring, conn, OPERATION_CONNECT);
        *id = conns_id(&uring->conns, conn);
        return 0;
}

static int uring_register_buffers(struct uring *uring, const struct buffers *buffers, uint16_t group)
{
        struct io_uring_buf_reg registration = {
                .ring_addr = (uint64_t)(uintptr_t)buffers->ring, .ring_entries = buffers->ring_count, .bgid = group};
        return io_uring_register((unsigned)uring->fd, IORING_REGISTER_PBUF_RING, &registration, 1);
}

static int uring_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct uring *uring = container_of(io, struct uring, io);
        if (uring->datagram_buffers.mapping == NULL) {
                uint32_t header_bytes = sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_in6);
                int error = buffers_init(&uring->datagram_buffers, DATAGRAM_BUFFERS_COUNT,
                                         header_bytes + DATAGRAM_BYTES_MAX);
                if (error == 0)
                        error = uring_register_buffers(uring, &uring->datagram_buffers, 1);
                if (error != 0) {
                        buffers_fini(&uring->datagram_buffers);
                        return error;
                }
                uring->datagram_header.msg_namelen = sizeof(struct sockaddr_in6);
        }
        int fd = socket_datagram(address, bound);
        if (fd < 0)
                return fd;
        struct conn *conn = uring_conn_new(uring, fd);
        if (conn == NULL) {
                close(fd);
                return -EMFILE;
        }
        conn->datagram = true;
        *id = conns_id(&uring->conns, conn);
        return 0;
}

static bool uring_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span datagram)
{
        struct uring *uring = container_of(io, struct uring, io);
        const struct conn *conn = conns_find(&uring->conns, id);
        if (conn == NULL || conn->closing)
                return false;
        assert(conn->datagram);
        io->statistics.system_calls++;
        return socket_datagram_send(conn->fd, to, datagram);
}

/* ---- start and stop ---- */

/* Closing the ring cancels what waits in it, but later and in another thread, and until then its requests hold the
 * files; ports would stay busy. So all is cancelled here as long as this thread may. */
static void uring_cancel_all(struct uring *uring)
{
        if (!uring->enabled || !pthread_equal(uring->owner, pthread_self()))
                return;
        struct io_uring_sqe *sqe = uring_request(uring, IORING_OP_ASYNC_CANCEL, -1, 0);
        sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
        uring_enter(uring, IORING_ENTER_GETEVENTS, 0, 0);
        for (int i = 0; i < 1000 && uring_has_task_work(uring); i++)
                uring_enter(uring, IORING_ENTER_GETEVENTS, 0, 0);
        if (uring->enter_flags != 0)
                uring_unregister_ring(uring, (uint32_t)uring->enter_fd);
}

static void uring_free(struct uring *uring)
{
        if (uring->ring_mapping != NULL)
                munmap(uring->ring_mapping, uring->ring_mapping_bytes);
        if (uring->sqes != NULL)
                munmap(uring->sqes, uring->sqes_bytes);
        if (uring->messages != NULL)
                munmap(uring->messages, uring->messages_bytes);
        if (uring->wake_fd >= 0)
                close(uring->wake_fd);
        if (uring->fd >= 0)
                close(uring->fd);
        buffers_fini(&uring->datagram_buffers);
        buffers_fini(&uring->buffers);
        conns_fini(&uring->conns);
        listeners_fini(&uring->listeners);
        free(uring);
}

static void uring_stop(struct io *io)
{
        struct uring *uring = container_of(io, struct uring, io);
        uring_stop_listening(io);
        uring_cancel_all(uring);
        for (uint32_t i = 0; i < uring->conns.fresh; i++) {
                const struct conn *conn = conns_at(&uring->conns, i);
                if (conn->fd < 0)
                        continue;
                /* The ring may hold the file for a while yet, but the peer hears of the end at once. Not SHUT_RDWR:
                 * then no window opens for a peer that is sending, and it is not told either. */
                shutdown(conn->fd, SHUT_WR);
                socket_close(conn->fd, false);
        }
        uring_free(uring);
}

static const struct io_operations uring_operations = {
        .stop = uring_stop,
        .listen = uring_listen,
        .stop_listening = uring_stop_listening,
        .connect = uring_connect,
        .poll = uring_poll,
        .push = uring_push,
        .send = uring_send,
        .pause = uring_pause,
        .shutdown = uring_shutdown,
        .close = uring_close,
        .wake = uring_wake,
        .datagram_open = uring_datagram_open,
        .datagram_send = uring_datagram_send,
};

/* Asks for the best set of flags first; -EINVAL means that this kernel does not know one of them. */
static int uring_setup(struct uring *uring, struct io_uring_params *params)
{
        const unsigned base =
                IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
        const unsigned deferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
        const unsigned flags[] = {deferred | IORING_SETUP_NO_SQARRAY, deferred,
                                  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG};
        unsigned cq_entries = 4 * uring->settings.entries;
        while (cq_entries < 2 * uring->settings.conns_max && cq_entries < CQ_ENTRIES_MAX)
                cq_entries *= 2;
        int fd = -EINVAL;
        for (size_t i = 0; fd == -EINVAL && i < array_count(flags); i++) {
                *params = (struct io_uring_params){.flags = base | flags[i],
                                                   .cq_entries =
                                                           cq_entries < CQ_ENTRIES_MAX ? cq_entries : CQ_ENTRIES_MAX};
                fd = io_uring_setup(uring->settings.entries, params);
        }
        if (fd < 0)
                return fd;
        uring->fd = uring->enter_fd = fd;
        uring->features[FEATURE_NO_ARRAY].present = (params->flags & IORING_SETUP_NO_SQARRAY) != 0;
        uring->features[FEATURE_DEFERRED].present = (params->flags & IORING_SETUP_DEFER_TASKRUN) != 0;
        /* Deferred task work came later and includes what the cooperative kind is for. */
        uring->features[FEATURE_COOPERATIVE].present =
                (params->flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN)) != 0;
        uring->features[FEATURE_TIMEOUT].present = (params->features & IORING_FEAT_EXT_ARG) != 0;
        return 0;
}

static void *uring_map(size_t bytes, int fd, off_t offset)
{
        int flags = fd >= 0 ? MAP_SHARED | MAP_POPULATE : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
        return mapping == MAP_FAILED ? NULL : mapping;
}

static int uring_map_rings(struct uring *uring, const struct io_uring_params *params)
{
        if ((params->features & IORING_FEAT_SINGLE_MMAP) == 0)
                return -ENOSYS;
        bool has_array = !uring->features[FEATURE_NO_ARRAY].present;
        size_t sq_bytes = has_array ? params->sq_off.array + params->sq_entries * sizeof(unsigned) : 0;
        size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
        uring->ring_mapping_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
        uring->sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
        uring->messages_bytes = params->sq_entries * sizeof(struct message);
        uring->ring_mapping = uring_map(uring->ring_mapping_bytes, uring->fd, (off_t)IORING_OFF_SQ_RING);
        uring->sqes = uring_map(uring->sqes_bytes, uring->fd, (off_t)IORING_OFF_SQES);
        uring->messages = uring_map(uring->messages_bytes, -1, 0);
        if (uring->ring_mapping == NULL || uring->sqes == NULL || uring->messages == NULL)
                return -ENOMEM;
        uint8_t *ring = uring->ring_mapping;
        uring->sq_entries = params->sq_entries;
        uring->sq_kernel_head = (void *)(ring + params->sq_off.head);
        uring->sq_kernel_tail = (void *)(ring + params->sq_off.tail);
        uring->sq_kernel_flags = (void *)(ring + params->sq_off.flags);
        uring->cq_mask = params->cq_entries - 1;
        uring->cq_kernel_head = (void *)(ring + params->cq_off.head);
        uring->cq_kernel_tail = (void *)(ring + params->cq_off.tail);
        uring->cqes = (void *)(ring + params->cq_off.cqes);
        unsigned *array = (void *)(ring + params->sq_off.array);
        for (unsigned i = 0; has_array && i < params->sq_entries; i++)
                array[i] = i;
        return 0;
}

/* Is the operation known to this kernel? Each kernel release knows some more, so this also dates the kernel for flags
 * that cannot be asked for. */
static bool uring_knows(const struct uring *uring, unsigned operation)
{
        union {
                struct io_uring_probe probe;
                uint8_t bytes[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
        } answer;
        memset(&answer, 0, sizeof(answer));
        if (io_uring_register((unsigned)uring->fd, IORING_REGISTER_PROBE, &answer, 256) < 0)
                return false;
        const struct io_uring_probe_op *operations = (const void *)(answer.bytes + sizeof(struct io_uring_probe));
        return operation <= answer.probe.last_op && (operations[operation].flags & IO_URING_OP_SUPPORTED) != 0;
}

static int uring_init(struct uring *uring)
{
        struct io_uring_params params;
        int error = uring_setup(uring, &params);
        if (error == 0)
                error = uring_map_rings(uring, &params);
        if (error != 0)
                return error;
        /* Zero-copy send came with Linux 6.0, as multishot receive did. */
        bool is_6_0 = uring_knows(uring, IORING_OP_SEND_ZC);
        uring->features[FEATURE_MULTISHOT_RECEIVE].present = is_6_0;
        uring->features[FEATURE_MULTISHOT_DATAGRAM].present = is_6_0;
        if (!is_6_0 || !uring->features[FEATURE_TIMEOUT].present)
                return -ENOSYS;
        uint32_t number;
        uring->features[FEATURE_REGISTERED_RING].present = uring_register_ring(uring, &number);
        if (uring->features[FEATURE_REGISTERED_RING].present)
                uring_unregister_ring(uring, number);
        uring->wake_fd = eventfd(0, EFD_CLOEXEC);
        if (uring->wake_fd < 0)
                return -errno;
        error = listeners_init(&uring->listeners, &uring->io, &uring->settings);
        if (error != 0)
                return error;
        error = conns_init(&uring->conns, sizeof(struct conn), uring->settings.conns_max);
        if (error == 0)
                error = buffers_init(&uring->buffers, uring->settings.receive_buffers_count,
                                     uring->settings.receive_buffer_bytes);
        if (error == 0)
                error = uring_register_buffers(uring, &uring->buffers, 0);
        if (error != 0)
                return error;
        uring->features[FEATURE_BUFFER_RING].present = true;
        return 0;
}

int io_uring_start(struct io **io, const struct io_settings *settings)
{
        struct uring *uring = calloc(1, sizeof(*uring));
        if (uring == NULL)
                return -ENOMEM;
        uring->settings = *settings;
        uring->fd = -1;
        uring->wake_fd = -1;
        list_init(&uring->starved);
        list_init(&uring->dirty);
        retries_init(&uring->retries);
        list_init(&uring->ready);
        memcpy(uring->features, feature_rows, sizeof(feature_rows));
        uring->io = (struct io){
                .operations = &uring_operations,
                .traits = {.name = "io_uring", .reason = "", .sends_max = 1, .lent_bytes_max = SIZE_MAX},
                .features = uring->features,
                .features_count = FEATURES_COUNT,
                .now_ns = clock_monotonic_ns(),
        };
        int error = uring_init(uring);
        if (error != 0) {
                uring_free(uring);
                return error;
        }
        *io = &uring->io;
        return 0;
}
