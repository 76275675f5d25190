/* natslink: see the header. The socket never blocks; every wait is a poll(2) that also reads. */
#include "engine/cli/natslink.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/exit_table.h"
#include "io/wire/json.h"

#define READ_BYTES ((size_t)64 << 10)
#define OUT_BYTES_MAX ((size_t)256 << 10) /* queued before natslink_relieve() sends */

/* What a user can do about an -ERR; the first that its text starts with. */
static const struct {
        const char *start, *hint;
} hints[] = {
        {"Maximum Payload Violation", "send less, or raise the server's --max-payload"},
        {"Permissions Violation for Publish",
         "this user may not publish to it: ask whoever runs the server; spate lets nobody publish to what begins with "
         "$SPATE., nor to more than 1024 bytes or 32 tokens"},
        {"Permissions Violation", "this user may not subscribe to it: ask whoever runs the server; spate takes at most "
                                  "1024 bytes and 32 tokens"},
        {"Invalid Subject",
         "tokens between dots must not be empty, > only at the end; spate takes at most 1024 bytes and 32 tokens"},
        {"Invalid Publish Subject", "a subject to publish to has no * and no > and no empty token"},
        {"Authorization Violation",
         "it wants a user that may come by this address: --user NAME with the right password in SPATE_PASSWORD, or a "
         "token in SPATE_TOKEN"},
        {"Authentication Timeout", "the server was not told in time who comes, or had too many to look at; try again"},
        {"User Authentication Revoked", "ask whoever runs the server; its users have changed"},
        {"maximum connections exceeded",
         "close other clients, or raise --max-connections or --max-connections-per-address of the server"},
        {"maximum subscriptions exceeded", "subscribe to fewer subjects, or raise the server's --max-subscriptions"},
        {"maximum control line exceeded", "use a shorter subject, or raise the server's --max-control-line"},
        {"Slow Consumer", "read faster, or raise the server's --max-lag"},
        {"Stale Connection", "this side did not answer in time; is the machine or its network overloaded?"},
        {"Secure Connection", "the server demands TLS, which is not spoken here yet"},
};

__attribute__((format(printf, 3, 4))) static int fail(struct natslink *link, int code, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(link->error, sizeof link->error, format, arguments);
        va_end(arguments);
        return code;
}

/* ---- bytes in and out ---- */

static void link_end(struct natslink *link, int error)
{
        link->is_ended = true;
        link->ended_errno = error;
}

static bool link_receive(struct natslink *link)
{
        growing_drop(&link->in, link->taken);
        link->taken = 0;
        uint8_t *room = growing_room(&link->in, READ_BYTES);
        ssize_t size = recv(link->fd, room, link->in.capacity - link->in.size, 0);
        if (size > 0)
                link->in.size += (size_t)size;
        else if (size == 0)
                link_end(link, 0);
        else if (errno != EAGAIN && errno != EINTR)
                link_end(link, errno);
        return size > 0 || link->is_ended;
}

/* Did something leave the queue? */
static bool link_send(struct natslink *link)
{
        ssize_t size = send(link->fd, link->out.bytes, link->out.size, MSG_NOSIGNAL);
        if (size > 0) {
                growing_drop(&link->out, (size_t)size);
        } else if (size < 0 && errno != EAGAIN && errno != EINTR) {
                /* Not the end yet: what the server said before it closed, the reason perhaps, is still to be read. */
                link->out.size = 0;
                shutdown(link->fd, SHUT_WR);
                return true;
        }
        return size > 0;
}

unsigned natslink_wait(struct natslink *link, int other, uint64_t until_ns)
{
        for (;;) {
                uint64_t now_ns = clock_monotonic_ns();
                uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
                struct pollfd pollers[] = {
                        {.fd = link->is_ended ? -1 : link->fd,
                         .events = (short)(link->out.size > 0 ? POLLIN | POLLOUT : POLLIN)},
                        {.fd = other, .events = POLLIN},
                };
                unsigned woken = link->is_ended ? NATSLINK_SERVER : 0;
                int ready = poll(pollers, 2, link->is_ended ? 0 : left_ms > 1000 ? 1000 : (int)left_ms);
                if (ready < 0 && errno != EINTR) {
                        link_end(link, errno);
                        return NATSLINK_SERVER;
                }
                if (ready > 0 && (pollers[0].revents & POLLOUT) != 0 && link_send(link))
                        woken |= NATSLINK_SENT;
                if (ready > 0 && (pollers[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && link_receive(link))
                        woken |= NATSLINK_SERVER;
                if (ready > 0 && pollers[1].revents != 0)
                        woken |= NATSLINK_OTHER;
                if (woken != 0 || left_ms == 0)
                        return woken;
        }
}

void natslink_write(struct natslink *link, struct span bytes)
{
        growing_add(&link->out, bytes);
}

void natslink_ping(struct natslink *link)
{
        natslink_write(link, SPAN("PING\r\n"));
        link->pings_out++;
}

/* ---- what the server says ---- */

static int link_failed(struct natslink *link)
{
        const char *at = link->endpoint->text;
        if (!link->has_info && link->ended_errno == 0)
                return fail(link, EXIT_UNREACHABLE,
                            "%s closed the connection before it said a word of NATS; is it a NATS address, or does it "
                            "keep this machine out after failed logins?",
                            at);
        if (link->ended_errno != 0)
                return fail(link, EXIT_UNREACHABLE, "the connection to %s broke: %s", at, strerror(link->ended_errno));
        if (link->is_leaving)
                return fail(link, EXIT_UNREACHABLE, "the server at %s is shutting down and closed the connection", at);
        return fail(link, EXIT_UNREACHABLE,
                    "the server at %s closed the connection without a reason: it stopped, or this client broke a limit "
                    "of it",
                    at);
}

static int link_refused(struct natslink *link, struct span text)
{
        char shown[256];
        const char *hint = NULL;
        for (size_t i = 0; i < array_count(hints) && hint == NULL; i++)
                if (text.size >= strlen(hints[i].start) &&
                    strncasecmp((const char *)text.bytes, hints[i].start, strlen(hints[i].start)) == 0)
                        hint = hints[i].hint;
        log_quote(shown, sizeof shown, text);
        return fail(link, EXIT_FAILED, "the server at %s says %s%s%s", link->endpoint->text, shown,
                    hint != NULL ? ": " : "", hint != NULL ? hint : "");
}

static int link_hear_info(struct natslink *link, struct span text)
{
        json_error_t unused;
        json_t *info = json_loadb((const char *)text.bytes, text.size, 0, &unused);
        if (!json_is_object(info)) {
                json_decref(info);
                return fail(link, EXIT_FAILED, "%s sent an INFO that cannot be read; is it a NATS server?",
                            link->endpoint->text);
        }
        const char *version = json_string_value(json_object_get(info, "version"));
        json_int_t payload_bytes_max = json_integer_value(json_object_get(info, "max_payload"));
        bool wants_tls = json_is_true(json_object_get(info, "tls_required"));
        link->has_info = true;
        link->takes_headers = json_is_true(json_object_get(info, "headers"));
        link->is_leaving = json_is_true(json_object_get(info, "ldm"));
        link->payload_bytes_max = payload_bytes_max > 0 ? (size_t)payload_bytes_max : SIZE_MAX;
        log_quote(link->version, sizeof link->version, span_of_text(version != NULL ? version : "unknown"));
        json_decref(info);
        if (wants_tls)
                return fail(link, EXIT_FAILED,
                            "the server at %s demands TLS, which is not spoken here yet; use an address without it",
                            link->endpoint->text);
        return 0;
}

int natslink_take(struct natslink *link, struct incoming *message, bool *got)
{
        for (*got = false; !*got;) {
                ssize_t size = incoming_decode(span_skip(span_of(link->in.bytes, link->in.size), link->taken), message);
                if (size < 0)
                        return fail(link, EXIT_FAILED,
                                    "%s sent something that is not NATS; is it another kind of server?",
                                    link->endpoint->text);
                if (size == 0)
                        return link->is_ended ? link_failed(link) : 0;
                link->taken += (size_t)size;
                int code = 0;
                if (message->kind == INCOMING_MESSAGE)
                        *got = true;
                else if (message->kind == INCOMING_PING)
                        natslink_write(link, SPAN("PONG\r\n"));
                else if (message->kind == INCOMING_PONG && link->pings_out > 0)
                        link->pings_out--;
                else if (message->kind == INCOMING_ERROR)
                        code = link_refused(link, message->argument);
                else if (message->kind == INCOMING_INFO)
                        code = link_hear_info(link, message->argument);
                if (code != 0)
                        return code;
        }
        return 0;
}

/* Hears everything that is here; messages are dropped. */
static int link_hear(struct natslink *link)
{
        struct incoming message;
        bool got;
        int code;
        do
                code = natslink_take(link, &message, &got);
        while (code == 0 && got);
        return code;
}

/* ---- steps ---- */

/* Sends until at most `queued_max` bytes are queued and at most `pings_max` PINGs unanswered; a server that takes some
 * bytes gets the whole timeout again. */
static int link_progress(struct natslink *link, size_t queued_max, unsigned pings_max)
{
        uint64_t until_ns = clock_monotonic_ns() + link->timeout_ns;
        for (bool is_late = false;;) {
                int code = link_hear(link);
                if (code != 0)
                        return code;
                size_t queued = link->out.size;
                unsigned pings = link->pings_out;
                if (queued <= queued_max && pings <= pings_max)
                        return 0;
                if (is_late)
                        return fail(
                                link, EXIT_UNREACHABLE,
                                "the server at %s %s for %llu ms; it is overloaded or gone (--timeout gives it longer)",
                                link->endpoint->text, queued > queued_max ? "took nothing" : "did not answer",
                                (unsigned long long)(link->timeout_ns / NS_PER_MS));
                is_late = natslink_wait(link, -1, until_ns) == 0;
                if (link->out.size < queued)
                        until_ns = clock_monotonic_ns() + link->timeout_ns;
        }
}

int natslink_relieve(struct natslink *link)
{
        if (link->out.size <= OUT_BYTES_MAX)
                return 0;
        return link_progress(link, OUT_BYTES_MAX / 4, UINT32_MAX);
}

int natslink_settle(struct natslink *link)
{
        natslink_ping(link);
        return link_progress(link, 0, 0);
}

static int link_await_info(struct natslink *link)
{
        uint64_t until_ns = clock_monotonic_ns() + link->timeout_ns;
        for (;;) {
                int code = link_hear(link);
                if (code != 0 || link->has_info)
                        return code;
                if (natslink_wait(link, -1, until_ns) == 0)
                        return fail(link, EXIT_UNREACHABLE,
                                    "%s took the connection and said nothing for %llu ms; is it a NATS address?",
                                    link->endpoint->text, (unsigned long long)(link->timeout_ns / NS_PER_MS));
        }
}

/* ,"key":"value", unless there is no value. */
static void link_write_field(struct natslink *link, const char *key, const char *value)
{
        if (value == NULL || value[0] == '\0')
                return;
        struct span text = span_of_text(value);
        natslink_write(link, SPAN(",\""));
        natslink_write(link, span_of_text(key));
        natslink_write(link, SPAN("\":"));
        uint8_t *room = growing_room(&link->out, JSON_STRING_BYTES_MAX(text.size));
        link->out.size += json_write_string(room, JSON_STRING_BYTES_MAX(text.size), text);
}

static void link_say_hello(struct natslink *link, const char *name, const struct natslink_login *login)
{
        natslink_write(link,
                       SPAN("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"
                            "\"protocol\":1,\"lang\":\"c\",\"version\":\"" SPATE_VERSION "\""));
        link_write_field(link, "name", name);
        if (login != NULL && login->user != NULL && login->user[0] != '\0') {
                link_write_field(link, "user", login->user);
                link_write_field(link, "pass", login->password);
        } else if (login != NULL) {
                link_write_field(link, "auth_token", login->token);
        }
        natslink_write(link, SPAN("}\r\n"));
}

struct natslink_login natslink_login_of(const char *user)
{
        return (struct natslink_login){
                .user = user, .password = getenv("SPATE_PASSWORD"), .token = getenv("SPATE_TOKEN")};
}

int natslink_open(struct natslink *link, const struct endpoint *endpoint, const char *name,
                  const struct natslink_login *login, uint64_t timeout_ns)
{
        char error[ENDPOINT_ERROR_BYTES];
        *link = (struct natslink){.fd = -1, .endpoint = endpoint, .timeout_ns = timeout_ns};
        link->fd = endpoint_connect(endpoint, timeout_ns, error);
        if (link->fd < 0)
                return fail(link, EXIT_UNREACHABLE, "%s; `spate run` starts a server, --server HOST:PORT names another",
                            error);
        growing_room(&link->in, READ_BYTES);
        int code = link_await_info(link);
        if (code != 0)
                return code;
        link_say_hello(link, name, login);
        return natslink_settle(link);
}

void natslink_close(struct natslink *link)
{
        if (link->fd >= 0)
                close(link->fd);
        link->fd = -1;
        growing_fini(&link->in);
        growing_fini(&link->out);
}
