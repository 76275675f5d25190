/* target: see target.h. */
#include "bench/target.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

struct scheme {
        const char *start;
        enum protocol protocol;
        bool is_path;
        const char *port;
};

static const struct scheme schemes[] = {
        {"nats://", PROTOCOL_NATS, false, "4222"},  {"redis://", PROTOCOL_RESP, false, "6379"},
        {"unix:", PROTOCOL_NATS, true, NULL},       {"nats+unix:", PROTOCOL_NATS, true, NULL},
        {"redis+unix:", PROTOCOL_RESP, true, NULL},
};

static int resolve_path(struct target *target, const char *path, char *error)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        while (path[0] == '/' && path[1] == '/')
                path++;
        if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
                snprintf(error, TARGET_ERROR_BYTES, "'%s': the socket's path must have 1 to %zu characters",
                         target->text, sizeof(address.sun_path) - 1);
                return -EINVAL;
        }
        strcpy(address.sun_path, path);
        memcpy(&target->address, &address, sizeof(address));
        target->address_bytes = sizeof(address);
        return 0;
}

static int resolve_host(struct target *target, const char *text, const char *port, char *error)
{
        char host[256];
        snprintf(host, sizeof(host), "%s", text);
        host[strcspn(host, "/")] = '\0';
        char *name = host;
        char *colon = strrchr(host, ':');
        if (host[0] == '[') {
                char *close = strchr(host, ']');
                if (close == NULL) {
                        snprintf(error, TARGET_ERROR_BYTES, "'%s': the ']' of the address is missing", target->text);
                        return -EINVAL;
                }
                name = host + 1;
                colon = close[1] == ':' ? close + 1 : NULL;
                *close = '\0';
        }
        if (colon != NULL) {
                *colon = '\0';
                port = colon + 1;
        }
        struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        int failure = getaddrinfo(name, port, &wanted, &found);
        if (failure != 0) {
                snprintf(error, TARGET_ERROR_BYTES, "'%s': %s", target->text, gai_strerror(failure));
                return -EINVAL;
        }
        memcpy(&target->address, found->ai_addr, found->ai_addrlen);
        target->address_bytes = found->ai_addrlen;
        freeaddrinfo(found);
        return 0;
}

int target_parse(struct target *target, const char *text, char error[TARGET_ERROR_BYTES])
{
        *target = (struct target){0};
        if (strlen(text) >= sizeof(target->text)) {
                snprintf(error, TARGET_ERROR_BYTES, "the address has more than %zu characters",
                         sizeof(target->text) - 1);
                return -EINVAL;
        }
        strcpy(target->text, text);
        for (size_t i = 0; i < array_count(schemes); i++) {
                size_t size = strlen(schemes[i].start);
                if (strncmp(text, schemes[i].start, size) != 0)
                        continue;
                target->protocol = schemes[i].protocol;
                if (schemes[i].is_path)
                        return resolve_path(target, text + size, error);
                return resolve_host(target, text + size, schemes[i].port, error);
        }
        snprintf(error, TARGET_ERROR_BYTES, "'%s': an address begins with nats://, redis:// or unix:", text);
        return -EINVAL;
}

int target_connect(const struct target *target, uint64_t receive_buffer_bytes)
{
        int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        int one = 1;
        if (target->address.ss_family != AF_UNIX)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        /* Before connect(): the window that the other side sees is scaled from it. */
        int room = receive_buffer_bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)receive_buffer_bytes;
        if (room != 0)
                setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
        while (connect(fd, (const struct sockaddr *)&target->address, target->address_bytes) != 0) {
                int failure = errno;
                /* A UNIX listener whose queue is full refuses with EAGAIN only when the socket does not block. */
                if (failure == EINTR)
                        continue;
                close(fd);
                return -failure;
        }
        if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
                int failure = errno;
                close(fd);
                return -failure;
        }
        return fd;
}
