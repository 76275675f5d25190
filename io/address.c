/* address: see address.h. */
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static_assert(sizeof(struct sockaddr_un) <= sizeof(((struct io_address *)0)->bytes), "a UNIX address fits");
static_assert(sizeof(struct sockaddr_in6) <= sizeof(((struct io_address *)0)->bytes), "an IPv6 address fits");
static_assert(sizeof("unix:") + sizeof(((struct sockaddr_un *)0)->sun_path) <= IO_ADDRESS_BYTES_MAX,
              "a UNIX address fits as text");
static_assert(sizeof("[%]:65535") + INET6_ADDRSTRLEN + IF_NAMESIZE <= IO_ADDRESS_BYTES_MAX,
              "an IPv6 address fits as text");

static void address_set(struct io_address *address, const void *socket_address, size_t size)
{
        *address = (struct io_address){.size = (uint32_t)size};
        memcpy(address->bytes, socket_address, size);
}

static int address_parse_unix(const char *path, struct io_address *address)
{
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        size_t size = strlen(path);
        if (size == 0 || size >= sizeof(un.sun_path))
                return -EINVAL;
        memcpy(un.sun_path, path, size + 1);
        address_set(address, &un, offsetof(struct sockaddr_un, sun_path) + size + 1);
        return 0;
}

/* One to five digits, at most 65535; -1 otherwise. */
static int address_parse_port(const char *text)
{
        int port = 0;
        size_t digits = strlen(text);
        if (digits == 0 || digits > 5)
                return -1;
        for (; *text != '\0'; text++) {
                if (*text < '0' || *text > '9')
                        return -1;
                port = port * 10 + (*text - '0');
        }
        return port <= 65535 ? port : -1;
}

static int address_parse_ipv6(char *host, int port, struct io_address *address)
{
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        char *scope = strchr(host, '%');
        if (scope != NULL) {
                *scope++ = '\0';
                in6.sin6_scope_id = if_nametoindex(scope);
                if (in6.sin6_scope_id == 0)
                        return -EINVAL;
        }
        if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
                return -EINVAL;
        address_set(address, &in6, sizeof(in6));
        return 0;
}

static int address_parse_ipv4(const char *host, int port, struct io_address *address)
{
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in.sin_addr) != 1)
                return -EINVAL;
        address_set(address, &in, sizeof(in));
        return 0;
}

int address_parse(const char *text, struct io_address *address)
{
        if (strncmp(text, "unix:", 5) == 0)
                return address_parse_unix(text + 5, address);
        char host[IO_ADDRESS_BYTES_MAX];
        const char *colon = strrchr(text, ':');
        if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
                return -EINVAL;
        size_t host_size = (size_t)(colon - text);
        memcpy(host, text, host_size);
        host[host_size] = '\0';
        int port = address_parse_port(colon + 1);
        if (port < 0)
                return -EINVAL;
        if (host_size > 2 && host[0] == '[' && host[host_size - 1] == ']') {
                host[host_size - 1] = '\0';
                return address_parse_ipv6(host + 1, port, address);
        }
        return address_parse_ipv4(host, port, address);
}

int address_family(const struct io_address *address)
{
        return address->size >= sizeof(sa_family_t) ? address_socket(address)->sa_family : AF_UNSPEC;
}

const char *io_address_text(const struct io_address *address, char text[IO_ADDRESS_BYTES_MAX])
{
        char host[INET6_ADDRSTRLEN];
        switch (address_family(address)) {
        case AF_INET: {
                const struct sockaddr_in *in = (const void *)address->bytes;
                inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
                snprintf(text, IO_ADDRESS_BYTES_MAX, "%s:%u", host, ntohs(in->sin_port));
                break;
        }
        case AF_INET6: {
                const struct sockaddr_in6 *in6 = (const void *)address->bytes;
                char scope[IF_NAMESIZE] = "";
                inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
                if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, scope) == NULL)
                        snprintf(scope, sizeof(scope), "%u", in6->sin6_scope_id);
                snprintf(text, IO_ADDRESS_BYTES_MAX, "[%s%s%s]:%u", host, scope[0] != '\0' ? "%" : "", scope,
                         ntohs(in6->sin6_port));
                break;
        }
        case AF_UNIX: {
                const struct sockaddr_un *un = (const void *)address->bytes;
                size_t path_bytes = address->size - offsetof(struct sockaddr_un, sun_path);
                /* A connecting socket has no name; it is told as "unix". */
                if (address->size <= offsetof(struct sockaddr_un, sun_path) || un->sun_path[0] == '\0')
                        snprintf(text, IO_ADDRESS_BYTES_MAX, "unix");
                else
                        snprintf(text, IO_ADDRESS_BYTES_MAX, "unix:%.*s", (int)strnlen(un->sun_path, path_bytes),
                                 un->sun_path);
                break;
        }
        default:
                snprintf(text, IO_ADDRESS_BYTES_MAX, "unknown");
                break;
        }
        return text;
}
