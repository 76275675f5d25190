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

enum place { PLACE_HOST, PLACE_URL, PLACE_PATH };

struct scheme {
        const char *start;
        enum protocol protocol;
        enum dialect dialect;
        enum place place; /* what follows: a host, one with a path behind it, or the path of a socket */
        const char *port;
};

static const struct scheme schemes[] = {
        {"nats://", PROTOCOL_NATS, DIALECT_NONE, PLACE_HOST, "4222"},
        {"redis://", PROTOCOL_RESP, DIALECT_NONE, PLACE_HOST, "6379"},
        {"unix:", PROTOCOL_NATS, DIALECT_NONE, PLACE_PATH, NULL},
        {"nats+unix:", PROTOCOL_NATS, DIALECT_NONE, PLACE_PATH, NULL},
        {"redis+unix:", PROTOCOL_RESP, DIALECT_NONE, PLACE_PATH, NULL},
        {"ws://", PROTOCOL_NATS, DIALECT_OPEN, PLACE_URL, "80"},
        {"ws+nats://", PROTOCOL_NATS, DIALECT_NATS, PLACE_URL, "80"},
        {"ws+nchan://", PROTOCOL_MESSAGE, DIALECT_NCHAN, PLACE_URL, "80"},
        {"ws+raw://", PROTOCOL_MESSAGE, DIALECT_RAW, PLACE_URL, "80"},
        {"http://", PROTOCOL_HTTP, DIALECT_NONE, PLACE_URL, "80"},
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

/* What goes into a request: the host as it was written, and the path. */
static int url_split(struct target *target, const char *text, char *error)
{
        size_t host_bytes = strcspn(text, "/");
        const char *path = text[host_bytes] == '/' ? text + host_bytes : "/";
        if (host_bytes >= HOST_BYTES_MAX || strlen(path) >= PATH_BYTES_MAX ||
            text[strcspn(text, " \t\r\n\"#")] != '\0') {
                snprintf(error, TARGET_ERROR_BYTES,
                         "'%s': host and path may have %d characters each, and no blanks, quotes or '#'", target->text,
                         HOST_BYTES_MAX - 1);
                return -EINVAL;
        }
        memcpy(target->host, text, host_bytes);
        strcpy(target->path, path);
        return 0;
}

void target_path(const struct target *target, const char *subject, char to[PATH_OF_SUBJECT_BYTES])
{
        const char *place = strstr(target->path, "{}");
        if (place == NULL)
                snprintf(to, PATH_OF_SUBJECT_BYTES, "%s", target->path);
        else
                snprintf(to, PATH_OF_SUBJECT_BYTES, "%.*s%s%s", (int)(place - target->path), target->path, subject,
                         place + 2);
}

int target_speak(struct target *target, const char *dialect, char error[TARGET_ERROR_BYTES])
{
        static const char *const names[] = {[DIALECT_NATS] = "nats", [DIALECT_NCHAN] = "nchan", [DIALECT_RAW] = "raw"};
        for (size_t i = DIALECT_NATS; i < array_count(names); i++) {
                if (strcmp(dialect, names[i]) != 0)
                        continue;
                if (target->dialect == DIALECT_OPEN) {
                        target->dialect = (enum dialect)i;
                        target->protocol = i == DIALECT_NATS ? PROTOCOL_NATS : PROTOCOL_MESSAGE;
                }
                return 0;
        }
        snprintf(error, TARGET_ERROR_BYTES, "--ws-dialect: there is no '%.40s'; there are nats, nchan and raw",
                 dialect);
        return -EINVAL;
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
                target->dialect = schemes[i].dialect;
                if (schemes[i].place == PLACE_PATH)
                        return resolve_path(target, text + size, error);
                if (schemes[i].place == PLACE_URL && url_split(target, text + size, error) != 0)
                        return -EINVAL;
                return resolve_host(target, text + size, schemes[i].port, error);
        }
        bool is_host = strchr(text, ':') != NULL && strchr(text, '/') == NULL;
        snprintf(error, TARGET_ERROR_BYTES, "'%s': an address begins with nats://, redis://, unix: or ws://%s%s", text,
                 is_host ? "; write nats://" : "", is_host ? text : "");
        return -EINVAL;
}

const char *target_hint(int failure)
{
        return failure == ECONNREFUSED || failure == ENOENT ? "; is the server running there?"
               : failure == EMFILE                          ? "; raise the limit of open files: ulimit -n"
                                                            : "";
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
