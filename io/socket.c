/* socket: see socket.h. */
#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/address.h"

static int socket_fail(int fd)
{
        int error = -errno;
        close(fd);
        return error;
}

static void socket_set(int fd, int level, int option, int value)
{
        /* Refusals cost speed, not correctness. */
        (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void socket_tune(int fd, int family, uint32_t send_buffer_bytes)
{
        if (family != AF_UNIX)
                socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        /* The kernel doubles it, for its own overhead, and takes a whole send when there is any room: a sixteenth less
         * keeps what a connection holds within twice what was asked for. */
        if (send_buffer_bytes != 0)
                socket_set(fd, SOL_SOCKET, SO_SNDBUF, (int)(send_buffer_bytes - send_buffer_bytes / 16));
}

static int socket_bound(int fd, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct io_address address = {0};
        socklen_t size = sizeof(address.bytes);
        if (getsockname(fd, (struct sockaddr *)(void *)address.bytes, &size) != 0)
                return -errno;
        address.size = size;
        io_address_text(&address, bound);
        return 0;
}

/* Is there a socket file at this address that refuses to be connected to? */
static bool socket_is_left_over(const struct io_address *address)
{
        const struct sockaddr_un *un = (const void *)address->bytes;
        struct stat status;
        if (lstat(un->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
                return false;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return false;
        bool refused = connect(fd, address_socket(address), address->size) != 0 && errno == ECONNREFUSED;
        close(fd);
        return refused;
}

static int socket_bind(int fd, const struct io_address *address)
{
        if (bind(fd, address_socket(address), address->size) == 0)
                return 0;
        int error = -errno;
        if (error != -EADDRINUSE || address_family(address) != AF_UNIX || !socket_is_left_over(address))
                return error;
        const struct sockaddr_un *un = (const void *)address->bytes;
        if (unlink(un->sun_path) != 0 || bind(fd, address_socket(address), address->size) != 0)
                return -errno;
        return 0;
}

/* SO_REUSEPORT lets every process of this user join, and so two engines would serve one port without a word. So the
 * first socket binds and listens without it, which fails beside any other listener, and lets others join only then. No
 * moment is left between the look and the bind. */
static int socket_bind_and_listen(int fd, const struct io_address *address, enum io_sharing sharing)
{
        if (sharing == IO_SHARED_JOINS)
                socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        int error = socket_bind(fd, address);
        if (error != 0)
                return error;
        if (listen(fd, SOCKET_BACKLOG) != 0)
                return -errno;
        if (sharing == IO_SHARED_FIRST)
                socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        return 0;
}

int socket_listen(const char *text, enum io_sharing sharing, uint32_t send_buffer_bytes,
                  char bound[IO_ADDRESS_BYTES_MAX])
{
        struct io_address address;
        int error = address_parse(text, &address);
        if (error != 0)
                return error;
        int family = address_family(&address);
        if (family == AF_UNIX && sharing != IO_ALONE)
                return -EOPNOTSUPP;
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (family != AF_UNIX)
                socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        socket_tune(fd, family, send_buffer_bytes);
        error = socket_bind_and_listen(fd, &address, sharing);
        if (error == 0)
                error = socket_bound(fd, bound);
        if (error != 0) {
                close(fd);
                return error;
        }
        return fd;
}

void socket_stop_listening(int fd, const char *bound)
{
        /* close() alone leaves the socket listening while a request of io_uring still holds the file. */
        shutdown(fd, SHUT_RDWR);
        close(fd);
        if (strncmp(bound, "unix:", 5) == 0)
                unlink(bound + 5);
}

void socket_accepted(int fd, uint32_t send_buffer_bytes, char peer[IO_ADDRESS_BYTES_MAX])
{
        struct io_address address = {0};
        socklen_t size = sizeof(address.bytes);
        if (getpeername(fd, (struct sockaddr *)(void *)address.bytes, &size) == 0)
                address.size = size;
        /* UNIX sockets inherit nothing. */
        if (address_family(&address) == AF_UNIX)
                socket_tune(fd, AF_UNIX, send_buffer_bytes);
        io_address_text(&address, peer);
}

int socket_connect(const char *text, uint32_t send_buffer_bytes)
{
        struct io_address address;
        int error = address_parse(text, &address);
        if (error != 0)
                return error;
        int family = address_family(&address);
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        socket_tune(fd, family, send_buffer_bytes);
        if (connect(fd, address_socket(&address), address.size) != 0 && errno != EINPROGRESS)
                return socket_fail(fd);
        return fd;
}

int socket_connected(int fd)
{
        int error = 0;
        socklen_t size = sizeof(error);
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
}

int socket_datagram(const char *text, char bound[IO_ADDRESS_BYTES_MAX])
{
        struct io_address address;
        int error = address_parse(text, &address);
        if (error != 0)
                return error;
        if (address_family(&address) == AF_UNIX)
                return -EINVAL;
        int fd = socket(address_family(&address), SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, address_socket(&address), address.size) != 0)
                return socket_fail(fd);
        error = socket_bound(fd, bound);
        if (error != 0) {
                close(fd);
                return error;
        }
        return fd;
}

bool socket_datagram_send(int fd, const struct io_address *to, struct span datagram)
{
        return sendto(fd, datagram.bytes, datagram.size, MSG_DONTWAIT | MSG_NOSIGNAL, address_socket(to), to->size) >=
               0;
}

#define CLOSE_READS_MAX 64

void socket_close(int fd, bool reset)
{
        if (reset) {
                struct linger linger = {.l_onoff = 1, .l_linger = 0};
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        } else {
                /* TCP answers close() with a reset while unread bytes are there, and the reset may overtake what was
                 * sent. So they are thrown away first; MSG_TRUNC spares TCP the copy. */
                uint8_t thrown_away[16384];
                for (int i = 0; i < CLOSE_READS_MAX; i++)
                        if (recv(fd, thrown_away, sizeof(thrown_away), MSG_DONTWAIT | MSG_TRUNC) <= 0)
                                break;
        }
        close(fd);
}
