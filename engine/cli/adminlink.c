/* adminlink: HTTP/1.1 with keep-alive, as much of it as our own admin address speaks. See the header. */
#include "engine/cli/adminlink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/cli/statusview.h"

#define READ_BYTES ((size_t)64 << 10)
#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define CONNECT_NS_MAX NS_PER_S /* the page stands still while a connection is made */

void adminlink_init(struct adminlink *link, const struct endpoint *endpoint, uint64_t timeout_ns)
{
        *link = (struct adminlink){.endpoint = *endpoint, .timeout_ns = timeout_ns, .fd = -1};
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

__attribute__((format(printf, 2, 3))) static int fail(struct adminlink *link, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(link->error, sizeof link->error, format, arguments);
        va_end(arguments);
        hang_up(link);
        return -1;
}

static int ask(struct adminlink *link)
{
        char request[640];
        uint64_t connect_ns = link->timeout_ns < CONNECT_NS_MAX ? link->timeout_ns : CONNECT_NS_MAX;
        if (link->fd < 0)
                link->fd = endpoint_connect(&link->endpoint, connect_ns, link->error);
        if (link->fd < 0)
                return -1;
        int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n\r\n",
                            link->path, link->endpoint.is_path ? "localhost" : link->endpoint.text);
        assert(size > 0 && (size_t)size < sizeof request);
        link->is_waiting = true;
        link->until_ns = clock_monotonic_ns() + link->timeout_ns;
        /* Nothing else is on its way: a socket's buffer takes a request whole. A dead connection tells when it is read.
         */
        ssize_t sent = send(link->fd, request, (size_t)size, MSG_NOSIGNAL);
        if (sent != size && !link->is_used)
                return fail(link, "%s does not take a request: %s", link->endpoint.text, strerror(errno));
        return 0;
}

int adminlink_ask(struct adminlink *link, const char *path)
{
        assert(!link->is_waiting && strlen(path) < sizeof link->path);
        strcpy(link->path, path);
        growing_drop(&link->in, link->answer_bytes);
        link->answer_bytes = 0;
        if (link->in.size > 0) /* bytes that nobody asked for */
                hang_up(link);
        return ask(link);
}

/* The other end has closed. A connection that was kept may have been closed before it saw the question. */
static int ended(struct adminlink *link)
{
        bool is_stale = link->is_used && link->in.size == 0;
        hang_up(link);
        if (is_stale)
                return ask(link);
        return fail(link, "%s closed the connection before it had answered", link->endpoint.text);
}

int adminlink_take(struct adminlink *link, int *status, struct span *body)
{
        bool is_ended = false;
        assert(link->is_waiting);
        for (;;) {
                int found = statusview_body(span_of(link->in.bytes, link->in.size), is_ended, status, body);
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
                        return fail(link, "%s does not speak HTTP as an admin address does", link->endpoint.text);
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
                return fail(link, "%s did not answer for %" PRIu64 " ms", link->endpoint.text,
                            link->timeout_ns / NS_PER_MS);
        }
}
