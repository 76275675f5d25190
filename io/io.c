/* io: from the contract's functions to a backend's own. */
#include "engine/base/clock.h"
#include "io/io.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

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
        return io->operations->listen(io, address, listener, bound);
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
        return io->operations->poll(io, events, events_max, deadline_ns);
}

void io_send(struct io *io, io_id id, const struct span *pieces, size_t pieces_count)
{
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

const char *io_address_text(const struct io_address *address, char text[IO_ADDRESS_BYTES_MAX])
{
        char host[INET6_ADDRSTRLEN];
        const struct sockaddr_in *in = (const void *)address->bytes;
        const struct sockaddr_in6 *in6 = (const void *)address->bytes;
        if (in->sin_family == AF_INET6)
                snprintf(text, IO_ADDRESS_BYTES_MAX, "[%s]:%u",
                         inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host)), ntohs(in6->sin6_port));
        else
                snprintf(text, IO_ADDRESS_BYTES_MAX, "%s:%u", inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)),
                         ntohs(in->sin_port));
        return text;
}

uint64_t io_clock_ns(const struct io *io)
{
        return io->operations->clock != NULL ? io->operations->clock(io) : clock_monotonic_ns();
}
