/* link: see link.h. */
#include "bench/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/clock.h"

#define ANSWER_NS (10 * NS_PER_S)

static int link_confirm(struct link *link, const char *text, const char *name, char *error)
{
        struct unit unit;
        int failure = link_write(link, text, strlen(text));
        while (failure == 0) {
                int got = link_wait(link, &unit, false, clock_monotonic_ns() + ANSWER_NS);
                if (got == 0)
                        failure = -ETIMEDOUT;
                else if (got < 0)
                        failure = got;
                else if (unit.kind == UNIT_PONG || unit.kind == UNIT_SUBSCRIBED)
                        return 0;
                else if (unit.kind == UNIT_ERROR) {
                        snprintf(error, LINK_ERROR_BYTES, "the server says: %.*s", (int)unit.body.size,
                                 (const char *)unit.body.bytes);
                        return BENCH_FAILED;
                }
        }
        snprintf(error, LINK_ERROR_BYTES, "%s: %s", name, strerror(-failure));
        return BENCH_UNREACHABLE;
}

int link_open(struct link *link, const struct recipe *recipe, char error[LINK_ERROR_BYTES])
{
        const struct target *target = &recipe->target;
        char hello[CONNECT_BYTES_MAX + 16] = "*1\r\n$4\r\nPING\r\n";
        *link = (struct link){.protocol = target->protocol, .fd = target_connect(target, 0)};
        if (link->fd < 0) {
                snprintf(error, LINK_ERROR_BYTES, "%s: %s%s", target->text, strerror(-link->fd),
                         target_hint(-link->fd));
                return BENCH_UNREACHABLE;
        }
        link->room = malloc(LINK_ROOM);
        if (link->room == NULL)
                abort();
        if (target->protocol == PROTOCOL_NATS) {
                recipe_write_connect(recipe, hello);
                strcat(hello, "PING\r\n");
        }
        return link_confirm(link, hello, target->text, error);
}

void link_close(struct link *link)
{
        if (link->fd >= 0)
                close(link->fd);
        link->fd = -1;
        free(link->room);
        link->room = NULL;
}

int link_subscribe(struct link *link, const char *subject, char error[LINK_ERROR_BYTES])
{
        char text[256];
        if (link->protocol == PROTOCOL_NATS)
                snprintf(text, sizeof(text), "SUB %s 1\r\nPING\r\n", subject);
        else
                snprintf(text, sizeof(text), "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(subject), subject);
        return link_confirm(link, text, subject, error);
}

int link_write(struct link *link, const void *bytes, size_t size)
{
        const uint8_t *at = bytes;
        while (size != 0) {
                ssize_t sent = send(link->fd, at, size, MSG_NOSIGNAL);
                if (sent < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (sent < 0) {
                        struct pollfd wait = {.fd = link->fd, .events = POLLOUT};
                        poll(&wait, 1, 100);
                        continue;
                }
                at += sent;
                size -= (size_t)sent;
        }
        return 0;
}

static int link_read(struct link *link)
{
        if (link->at != 0) {
                memmove(link->room, link->room + link->at, link->size - link->at);
                link->size -= link->at;
                link->at = 0;
        }
        if (link->size == LINK_ROOM)
                return -EMSGSIZE;
        ssize_t got = recv(link->fd, link->room + link->size, LINK_ROOM - link->size, 0);
        if (got == 0)
                return -ECONNRESET;
        if (got < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        link->size += (size_t)got;
        return 1;
}

int link_take(struct link *link, struct unit *unit)
{
        for (;;) {
                struct span input = span_of(link->room + link->at, link->size - link->at);
                ssize_t taken = unit_take(link->protocol, input, unit);
                if (taken < 0)
                        return (int)taken;
                link->at += (size_t)taken;
                if (taken != 0 && unit->kind == UNIT_PING) {
                        int failure = link_write(link, "PONG\r\n", 6);
                        if (failure != 0)
                                return failure;
                        continue;
                }
                if (taken != 0)
                        return 1;
                int got = link_read(link);
                if (got <= 0)
                        return got;
        }
}

int link_wait(struct link *link, struct unit *unit, bool spin, uint64_t until_ns)
{
        for (;;) {
                int got = link_take(link, unit);
                if (got != 0)
                        return got;
                uint64_t now_ns = clock_monotonic_ns();
                if (now_ns >= until_ns)
                        return 0;
                if (spin)
                        continue;
                struct pollfd wait = {.fd = link->fd, .events = POLLIN};
                poll(&wait, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
        }
}
