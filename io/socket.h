/* socket: what both kernel backends do with sockets: make them listen, begin to connect, tune, close. */
#ifndef SPATE_IO_SOCKET_H
#define SPATE_IO_SOCKET_H

#include "io/io.h"

/* How many connections may wait to be accepted; the kernel takes no more than net.core.somaxconn. */
#define SOCKET_BACKLOG 4096

/* A listening socket, or -errno. What connections need is set here, since accepted ones inherit it. A UNIX socket file
 * is replaced when a connect() to it is refused, that is when nobody serves it. */
int socket_listen(const char *address, enum io_sharing sharing, uint32_t send_buffer_bytes,
                  char bound[IO_ADDRESS_BYTES_MAX]);
/* Ends listening at once, even while requests of io_uring hold the file; closes; removes the file of a UNIX socket,
 * `bound` being its address. */
void socket_stop_listening(int fd, const char *bound);

/* Sets what an accepted socket does not inherit and writes the peer's address. */
void socket_accepted(int fd, uint32_t send_buffer_bytes, char peer[IO_ADDRESS_BYTES_MAX]);

/* A non-blocking socket that is connecting (writable when that is decided), or -errno. */
int socket_connect(const char *address, uint32_t send_buffer_bytes);
/* The outcome once it is writable: 0 or -errno. */
int socket_connected(int fd);

/* A bound datagram socket, or -errno. */
int socket_datagram(const char *address, char bound[IO_ADDRESS_BYTES_MAX]);
bool socket_datagram_send(int fd, const struct io_address *to, struct span datagram);

/* Closes; with `reset` the peer sees a reset, without it everything sent still arrives. */
void socket_close(int fd, bool reset);

#endif
