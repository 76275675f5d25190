/* fuzz_http: a request is the same wherever the network cuts it, needs nothing of what stands behind it, and what is
 * taken frames nothing: no body, one Host, no line that another reader could take for something else. */
#include <errno.h>
#include <strings.h>

#include "io/wire/http.h"
#include "tests/fuzz/fuzz.h"

#define BYTES_MAX 2048

static ssize_t decode(struct span text, struct http_request *request)
{
        uint8_t *copy = fuzz_copy(text);
        ssize_t taken = http_decode_request(span_of(copy, text.size), BYTES_MAX, request);
        assert(taken <= (ssize_t)text.size);
        assert(taken >= 0 || taken == -EPROTO || taken == -EMSGSIZE);
        free(copy); /* its spans are not looked at any more */
        return taken;
}

/* One line of a request that was taken, without its end. */
static struct span take_line(struct span *rest)
{
        const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->bytes, '\n', rest->size);
        assert(end != NULL);
        struct span line = span_of(rest->bytes, (size_t)(end - rest->bytes));
        *rest = span_skip(*rest, line.size + 1);
        if (line.size > 0 && line.bytes[line.size - 1] == '\r')
                line.size--;
        return line;
}

static bool is_called(struct span line, const char *name)
{
        return line.size > strlen(name) && strncasecmp((const char *)line.bytes, name, strlen(name)) == 0 &&
               line.bytes[strlen(name)] == ':';
}

static void check_framing(struct span text)
{
        unsigned hosts = 0;
        bool is_old = false;
        while (text.size > 0 && (text.bytes[0] == '\r' || text.bytes[0] == '\n')) /* in front: RFC 9112 section 2.2 */
                text = span_skip(text, 1);
        struct span line = take_line(&text);
        is_old = line.size >= 8 && memcmp(line.bytes + line.size - 8, "HTTP/1.1", 8) != 0;
        while ((line = take_line(&text)).size > 0) {
                assert(line.bytes[0] != ' ' && line.bytes[0] != '\t' && line.bytes[0] != ':');
                const uint8_t *colon = memchr(line.bytes, ':', line.size);
                assert(colon != NULL && memchr(line.bytes, ' ', (size_t)(colon - line.bytes)) == NULL);
                assert(memchr(line.bytes, '\0', line.size) == NULL);
                hosts += is_called(line, "host");
                assert(!is_called(line, "transfer-encoding") || memmem(line.bytes, line.size, "chunked", 7) == NULL);
                assert(!is_called(line, "transfer_encoding") && !is_called(line, "content_length"));
                for (const uint8_t *at = colon + 1; is_called(line, "content-length") && at < line.bytes + line.size;
                     at++)
                        assert(*at == '0' || *at == ' ' || *at == '\t');
        }
        assert(text.size == 0);
        assert(hosts == 1 || (hosts == 0 && is_old));
}

static void check_request(struct span text)
{
        struct http_request request;
        assert(http_decode_request(text, BYTES_MAX, &request) == (ssize_t)text.size);
        const uint8_t *end = text.bytes + text.size;
        assert(request.path.bytes > text.bytes && request.path.bytes + request.path.size <= end);
        assert(request.query.size == 0 ||
               (request.query.bytes > text.bytes && request.query.bytes + request.query.size <= end));
        assert(request.host.size == 0 ||
               (request.host.bytes > text.bytes && request.host.bytes + request.host.size <= end));
        assert(memchr(request.path.bytes, '?', request.path.size) == NULL);
        assert(request.is_get + request.is_head + request.is_post <= 1);
        check_framing(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct http_request request;
        struct span text = span_of(data, size);
        ssize_t whole = decode(text, &request);
        if (whole > 0)
                check_request(span_of(data, (size_t)whole));
        /* Nothing, then the answer for ever: told as early as may be, and never taken back. */
        size_t step = size / 256 + 1;
        ssize_t before = 0;
        for (size_t cut = 0; cut < size; cut += step) {
                ssize_t taken = decode(span_of(data, cut), &request);
                assert(before == 0 || taken == before);
                assert(taken == 0 || taken == whole);
                before = taken;
        }
        assert(whole <= 0 || decode(span_of(data, (size_t)whole - 1), &request) == 0);
        return 0;
}
