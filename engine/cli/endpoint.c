/* endpoint: from what a user types to a connected socket. See the header. */
#include "engine/cli/endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

__attribute__((format(printf, 2, 3))) static int refuse(char error[ENDPOINT_ERROR_BYTES], const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error, ENDPOINT_ERROR_BYTES, format, arguments);
        va_end(arguments);
        log_tame(error, strlen(error));
        return -EINVAL;
}

static bool is_number(const char *text)
{
        return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static int parse_path(struct endpoint *endpoint, const char *text, const char *path, char error[ENDPOINT_ERROR_BYTES])
{
        /* unix:///run/x and unix:/run/x are one socket. */
        if (path[0] == '/' && path[1] == '/')
                path += 2;
        if (*path == '\0' || strlen(path) >= sizeof endpoint->path)
                return refuse(error, "\"%.200s\": the path of a Unix socket has 1 to %zu bytes", text,
                              sizeof endpoint->path - 1);
        endpoint->is_path = true;
        strcpy(endpoint->path, path);
        snprintf(endpoint->text, sizeof endpoint->text, "unix:%s", path);
        return 0;
}

static int parse_port(struct endpoint *endpoint, const char *text, const char *port, char error[ENDPOINT_ERROR_BYTES])
{
        unsigned long number = 0;
        if (is_number(port) && strlen(port) < sizeof endpoint->port)
                for (const char *digit = port; *digit != '\0'; digit++)
                        number = number * 10 + (unsigned long)(*digit - '0');
        if (number < 1 || number > 65535)
                return refuse(error, "\"%.200s\": a port is a number from 1 to 65535", text);
        snprintf(endpoint->port, sizeof endpoint->port, "%lu", number);
        return 0;
}

/* Cuts "HOST:PORT" in two; *port is left alone where there is none. */
static int cut_host(char *host, char **name, const char **port, const char *text, char error[ENDPOINT_ERROR_BYTES])
{
        *name = host;
        if (host[0] == '[') {
                char *close = strchr(host, ']');
                if (close == NULL || (close[1] != '\0' && close[1] != ':'))
                        return refuse(error, "\"%.200s\": an IPv6 address is written [::1]:PORT", text);
                *name = host + 1;
                if (close[1] == ':')
                        *port = close + 2;
                *close = '\0';
                if (**name == '\0')
                        return refuse(error, "\"%.200s\": an IPv6 address is written [::1]:PORT", text);
                return 0;
        }
        char *colon = strchr(host, ':');
        if (colon != NULL && strchr(colon + 1, ':') != NULL)
                return refuse(error, "\"%.200s\": an IPv6 address is written in brackets, [%.100s]", text, host);
        if (colon != NULL) {
                *colon = '\0';
                *port = colon + 1;
        }
        return 0;
}

int endpoint_parse(struct endpoint *endpoint, const char *text, const char *scheme, const char *port,
                   char error[ENDPOINT_ERROR_BYTES])
{
        char host[sizeof endpoint->host];
        char *name;
        const char *rest = text;
        *endpoint = (struct endpoint){0};
        if (strncmp(text, "unix:", 5) == 0)
                return parse_path(endpoint, text, text + 5, error);
        if (strncmp(text, scheme, strlen(scheme)) == 0)
                rest = text + strlen(scheme);
        else if (strstr(text, "://") != NULL)
                return refuse(error, "\"%.200s\": only %sHOST:PORT, HOST:PORT and unix:PATH are spoken here", text,
                              scheme);
        if (strlen(rest) >= sizeof host)
                return refuse(error, "\"%.60s...\": an address has at most %zu bytes", text, sizeof host - 1);
        strcpy(host, rest);
        if (rest != text && host[0] != '\0' && host[strlen(host) - 1] == '/')
                host[strlen(host) - 1] = '\0';
        if (strchr(host, '@') != NULL)
                return refuse(error, "the address holds a user (before the @); give it as --user NAME, with the "
                                     "password in SPATE_PASSWORD");
        if (host[strcspn(host, "/ \t\r\n,")] != '\0' || host[0] == '\0')
                return refuse(error, "\"%.200s\": not an address; write HOST:PORT, [IPv6]:PORT or unix:PATH", text);
        if (is_number(host)) { /* getaddrinfo() would take it for an IPv4 address in one number */
                name = host + strlen(host);
                port = host;
        } else {
                int failed = cut_host(host, &name, &port, text, error);
                if (failed != 0)
                        return failed;
        }
        int failed = parse_port(endpoint, text, port, error);
        if (failed != 0)
                return failed;
        strcpy(endpoint->host, *name == '\0' ? "127.0.0.1" : name);
        bool is_ipv6 = strchr(endpoint->host, ':') != NULL;
        snprintf(endpoint->text, sizeof endpoint->text, is_ipv6 ? "[%s]:%s" : "%s:%s", endpoint->host, endpoint->port);
        return 0;
}

/* 0 or -errno; `fd` is non-blocking. */
static int connect_until(int fd, const struct sockaddr *address, socklen_t address_bytes, uint64_t until_ns)
{
        int status = 0;
        socklen_t status_bytes = sizeof status;
        if (connect(fd, address, address_bytes) == 0)
                return 0;
        if (errno != EINPROGRESS && errno != EINTR)
                return -errno;
        for (;;) {
                struct pollfd poller = {.fd = fd, .events = POLLOUT};
                uint64_t now_ns = clock_monotonic_ns();
                if (now_ns >= until_ns)
                        return -ETIMEDOUT;
                int ready = poll(&poller, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
                if (ready < 0 && errno != EINTR)
                        return -errno;
                if (ready > 0)
                        break;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &status_bytes) != 0)
                return -errno;
        return -status;
}

/* A connected socket or -errno. */
static int connect_one(int family, const struct sockaddr *address, socklen_t address_bytes, uint64_t until_ns)
{
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int one = 1;
        if (fd < 0)
                return -errno;
        int failed = connect_until(fd, address, address_bytes, until_ns);
        if (failed != 0) {
                close(fd);
                return failed;
        }
        if (family != AF_UNIX)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
}

static void tell_failure(const struct endpoint *endpoint, int failed, char error[ENDPOINT_ERROR_BYTES])
{
        bool nobody = failed == -ECONNREFUSED || failed == -ENOENT;
        if (nobody)
                refuse(error, "nobody listens at %s", endpoint->text);
        else
                refuse(error, "%s cannot be reached: %s", endpoint->text, strerror(-failed));
}

int endpoint_connect(const struct endpoint *endpoint, uint64_t timeout_ns, char error[ENDPOINT_ERROR_BYTES])
{
        uint64_t until_ns = clock_monotonic_ns() + timeout_ns;
        if (endpoint->is_path) {
                struct sockaddr_un address = {.sun_family = AF_UNIX};
                static_assert(sizeof address.sun_path >= sizeof endpoint->path, "a path fits");
                strcpy(address.sun_path, endpoint->path);
                int fd = connect_one(AF_UNIX, (const struct sockaddr *)&address, sizeof address, until_ns);
                if (fd < 0)
                        tell_failure(endpoint, fd, error);
                return fd < 0 ? -1 : fd;
        }
        struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
        struct addrinfo *found = NULL;
        int unknown = getaddrinfo(endpoint->host, endpoint->port, &wanted, &found);
        if (unknown != 0) {
                refuse(error, "the host \"%s\" cannot be looked up: %s", endpoint->host,
                       unknown == EAI_SYSTEM ? strerror(errno) : gai_strerror(unknown));
                return -1;
        }
        int fd = -EADDRNOTAVAIL;
        for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
                fd = connect_one(at->ai_family, at->ai_addr, at->ai_addrlen, until_ns);
        freeaddrinfo(found);
        if (fd < 0)
                tell_failure(endpoint, fd, error);
        return fd < 0 ? -1 : fd;
}
