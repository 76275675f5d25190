/* io: chooses the backend and hands every call to it. */
#include "io/io.h"

#include <errno.h>

#include "engine/base/bits.h"
#include "engine/base/clock.h"

/* The kernel may refuse io_uring for many reasons (a sysctl, seccomp in containers, an old kernel, memory limits); none
 * of them is a reason not to serve. */
static int io_start_auto(struct io **io, const struct io_settings *settings)
{
        int refusal = io_uring_start(io, settings);
        if (refusal == 0)
                return 0;
        int error = io_epoll_start(io, settings);
        if (error != 0)
                return error;
        (*io)->traits.reason = "the kernel refuses io_uring";
        (*io)->traits.reason_errno = -refusal;
        return 0;
}

int io_start(struct io **io, const struct io_settings *settings)
{
        assert(settings->conns_max >= 1 && settings->conns_max <= IO_CONNS_MAX);
        assert(settings->receive_buffer_bytes >= 256);
        assert(bits_is_power_of_two(settings->receive_buffers_count));
        assert(bits_is_power_of_two(settings->entries));
        *io = NULL;
        switch (settings->backend) {
        case IO_BACKEND_AUTO:
                return io_start_auto(io, settings);
        case IO_BACKEND_URING:
                return io_uring_start(io, settings);
        case IO_BACKEND_EPOLL:
                return io_epoll_start(io, settings);
        case IO_BACKEND_SIM:
                break;
        }
        return -ENOTSUP;
}

void io_stop(struct io *io)
{
        if (io != NULL)
                io->operations->stop(io);
}

const struct io_traits *io_traits(const struct io *io)
{
        return &io->traits;
}

const struct io_feature *io_features(const struct io *io, size_t *count)
{
        *count = io->features_count;
        return io->features;
}

const struct io_statistics *io_statistics(const struct io *io)
{
        return &io->statistics;
}

uint64_t io_now_ns(const struct io *io)
{
        return io->now_ns;
}

int io_listen(struct io *io, const char *address, uint32_t listener, char bound[IO_ADDRESS_BYTES_MAX])
{
        return io->operations->listen(io, address, IO_ALONE, listener, bound);
}

int io_listen_shared(struct io *io, const char *address, enum io_sharing sharing, uint32_t listener,
                     char bound[IO_ADDRESS_BYTES_MAX])
{
        return io->operations->listen(io, address, sharing, listener, bound);
}

void io_stop_listening(struct io *io)
{
        io->operations->stop_listening(io);
}

int io_connect(struct io *io, const char *address, io_id *id)
{
        return io->operations->connect(io, address, id);
}

int io_poll(struct io *io, struct io_event *events, int events_max, uint64_t deadline_ns)
{
        assert(events_max >= 64);
        int count = io->operations->poll(io, events, events_max, deadline_ns);
        assert(count >= 0 && count <= events_max);
        return count;
}

int io_push(struct io *io, struct io_event *events, int events_max)
{
        assert(events_max >= 64);
        int count = io->operations->push == NULL ? 0 : io->operations->push(io, events, events_max);
        assert(count >= 0 && count <= events_max);
        return count;
}

void io_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
        assert_slow(pieces_count >= 1 && pieces_count <= IO_PIECES_MAX);
        io->operations->send(io, id, pieces, pieces_count);
}

void io_pause(struct io *io, io_id id)
{
        io->operations->pause(io, id, true);
}

void io_resume(struct io *io, io_id id)
{
        io->operations->pause(io, id, false);
}

void io_shutdown(struct io *io, io_id id)
{
        io->operations->shutdown(io, id);
}

void io_close(struct io *io, io_id id, bool reset)
{
        io->operations->close(io, id, reset);
}

void io_wake(struct io *io)
{
        io->operations->wake(io);
}

int io_datagram_open(struct io *io, const char *address, io_id *id, char bound[IO_ADDRESS_BYTES_MAX])
{
        return io->operations->datagram_open(io, address, id, bound);
}

bool io_datagram_send(struct io *io, io_id id, const struct io_address *to, struct span datagram)
{
        return io->operations->datagram_send(io, id, to, datagram);
}

uint64_t io_clock_ns(const struct io *io)
{
        return io->operations->clock != NULL ? io->operations->clock(io) : clock_monotonic_ns();
}
