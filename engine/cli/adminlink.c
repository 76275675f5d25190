/* adminlink: HTTP/1.1 with keep-alive, as much of it as our own admin address speaks. See the header. */
#include "engine/cli/adminlink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"

#define READ_BYTES ((size_t)64 << 10)
#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define HEAD_BYTES_MAX ((size_t)16 << 10)

/* ---- answers ---- */

/* The value of Content-Length in a head, -1 when there is none, -EPROTO (less than -1) when it is no number. */
static int64_t content_length(struct span head)
{
        static const char name[] = "\r\ncontent-length:";
        int64_t length = 0;
        size_t at = 0;
        while (at + strlen(name) <= head.size && strncasecmp((const char *)head.bytes + at, name, strlen(name)) != 0)
                at++;
        if (at + strlen(name) > head.size)
                return -1;
        at += strlen(name);
        while (at < head.size && head.bytes[at] == ' ')
                at++;
        size_t first = at;
        for (; at < head.size && head.bytes[at] >= '0' && head.bytes[at] <= '9' && at - first < 12; at++)
                length = length * 10 + (head.bytes[at] - '0');
        return at == first || at == head.size || head.bytes[at] != '\r' ? -EPROTO : length;
}

int adminlink_body(struct span answer, bool is_ended, int *status, struct span *body)
{
        static const char version[] = "HTTP/1.";
        size_t known = answer.size < strlen(version) ? answer.size : strlen(version);
        if (known > 0 && memcmp(answer.bytes, version, known) != 0)
                return -EPROTO;
        const uint8_t *end = answer.size == 0 ? NULL : memmem(answer.bytes, answer.size, "\r\n\r\n", 4);
        if (end == NULL)
                return answer.size > HEAD_BYTES_MAX ? -EPROTO : 0;
        struct span head = span_of(answer.bytes, (size_t)(end - answer.bytes) + 2);
        if (head.size < strlen("HTTP/1.1 200\r\n") || head.bytes[8] != ' ')
                return -EPROTO;
        *status = 0;
        for (size_t i = 9; i < 12; i++) {
                if (head.bytes[i] < '0' || head.bytes[i] > '9')
                        return -EPROTO;
                *status = *status * 10 + (head.bytes[i] - '0');
        }
        int64_t length = content_length(head);
        *body = span_skip(answer, head.size + 2);
        if (length == -1)
                return is_ended ? 1 : 0;
        if (length < 0)
                return -EPROTO;
        if (body->size < (size_t)length)
                return 0;
        body->size = (size_t)length;
        return 1;
}

/* ---- the connection ---- */

void adminlink_init(struct adminlink *link, const struct endpoint *endpoint, uint64_t connect_ns, uint64_t timeout_ns)
{
        *link = (struct adminlink){.endpoint = *endpoint, .connect_ns = connect_ns, .timeout_ns = timeout_ns, .fd = -1};
}

static void hang_up(struct adminlink *link)
{
        if (link->fd >= 0)
                close(link->fd);
        link->fd = -1;
        link->is_waiting = link->is_used = false;
        link->in.size = link->answer_bytes = 0;
}

void adminlink_fini(struct adminlink *link)
{
        hang_up(link);
        growing_fini(&link->in);
}

__attribute__((format(printf, 3, 4))) static int fail(struct adminlink *link, int error, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(link->error, sizeof link->error, format, arguments);
        va_end(arguments);
        hang_up(link);
        return error;
}

/* ---- questions ---- */

static int ask(struct adminlink *link)
{
        char request[ADMINLINK_PATH_BYTES + 512];
        if (link->fd < 0)
                link->fd = endpoint_connect(&link->endpoint, link->connect_ns, link->error);
        if (link->fd < 0)
                return -ENOTCONN;
        int size = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n%s\r\n",
                            link->is_post ? "POST" : "GET", link->path,
                            link->endpoint.is_path ? "localhost" : link->endpoint.text,
                            link->is_post ? "Spate-Admin: yes\r\n" : "");
        assert(size > 0 && (size_t)size < sizeof request);
        link->is_waiting = true;
        link->until_ns = clock_monotonic_ns() + link->timeout_ns;
        /* Nothing else is on its way: a socket's buffer takes a request whole. A dead connection tells when it is read.
         */
        ssize_t sent = send(link->fd, request, (size_t)size, MSG_NOSIGNAL);
        if (sent != size && !link->is_used)
                return fail(link, -EPIPE, "%s does not take a request: %s", link->endpoint.text, strerror(errno));
        return 0;
}

static int ask_for(struct adminlink *link, const char *path, bool is_post)
{
        assert(!link->is_waiting && strlen(path) < sizeof link->path);
        strcpy(link->path, path);
        link->is_post = is_post;
        growing_drop(&link->in, link->answer_bytes);
        link->answer_bytes = 0;
        if (link->in.size > 0) /* bytes that nobody asked for */
                hang_up(link);
        return ask(link);
}

int adminlink_ask(struct adminlink *link, const char *path)
{
        return ask_for(link, path, false);
}

int adminlink_post(struct adminlink *link, const char *path)
{
        hang_up(link);
        return ask_for(link, path, true);
}

/* The other end has closed. A connection that was kept may have been closed before it saw the question. */
static int ended(struct adminlink *link)
{
        bool is_stale = link->is_used && link->in.size == 0;
        hang_up(link);
        if (is_stale)
                return ask(link);
        return fail(link, -EPIPE, "%s closed the connection before it had answered", link->endpoint.text);
}

int adminlink_take(struct adminlink *link, int *status, struct span *body)
{
        bool is_ended = false;
        assert(link->is_waiting);
        for (;;) {
                int found = adminlink_body(span_of(link->in.bytes, link->in.size), is_ended, status, body);
                if (found == 1) {
                        link->is_waiting = false;
                        link->is_used = true;
                        link->answer_bytes = (size_t)(body->bytes - link->in.bytes) + body->size;
                        if (is_ended) {
                                close(link->fd);
                                link->fd = -1;
                                link->is_used = false;
                        }
                        return 1;
                }
                if (found < 0 || link->in.size > ANSWER_BYTES_MAX)
                        return fail(link, -EPROTO,
                                    "%s does not speak HTTP as an admin address does; is it what --admin of the engine "
                                    "names?",
                                    link->endpoint.text);
                if (is_ended)
                        return ended(link);
                ssize_t got = recv(link->fd, growing_room(&link->in, READ_BYTES), READ_BYTES, MSG_DONTWAIT);
                if (got > 0) {
                        link->in.size += (size_t)got;
                        continue;
                }
                if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                        is_ended = true;
                        continue;
                }
                if (clock_monotonic_ns() < link->until_ns)
                        return 0;
                return fail(link, -ETIMEDOUT, "%s took the connection and did not answer for %" PRIu64 " ms",
                            link->endpoint.text, link->timeout_ns / NS_PER_MS);
        }
}

int adminlink_wait(struct adminlink *link, int *status, struct span *body)
{
        for (;;) {
                int taken = adminlink_take(link, status, body);
                if (taken != 0)
                        return taken < 0 ? taken : 0;
                struct pollfd poller = {.fd = link->fd, .events = POLLIN};
                uint64_t now_ns = clock_monotonic_ns(), left_ns = link->until_ns > now_ns ? link->until_ns - now_ns : 0;
                poll(&poller, 1, (int)(left_ns / NS_PER_MS) + 1);
        }
}
