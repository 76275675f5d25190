/* http: a strict wrapper around llhttp. See the header. */
#include "io/wire/http.h"

#include <errno.h>
#include <llhttp.h>
#include <strings.h>

struct http_scan {
        struct span url;
        struct span field;
        struct span host, admin;
        unsigned hosts_count;
        unsigned values_count; /* pieces of the current header's value */
        bool is_complete;
        bool is_refused;
};

static int scan_url(llhttp_t *parser, const char *at, size_t size)
{
        struct http_scan *scan = parser->data;
        scan->url = span_of(at, size);
        return 0;
}

static int scan_field(llhttp_t *parser, const char *at, size_t size)
{
        struct http_scan *scan = parser->data;
        scan->field = span_of(at, size);
        return 0;
}

static bool is_called(struct span field, const char *name)
{
        return field.size == strlen(name) && strncasecmp((const char *)field.bytes, name, field.size) == 0;
}

static int scan_field_complete(llhttp_t *parser)
{
        struct http_scan *scan = parser->data;
        scan->hosts_count += is_called(scan->field, "host");
        /* Some gateways read '_' as '-': such a header would frame the body for them and not for us. */
        if (is_called(scan->field, "content_length") || is_called(scan->field, "transfer_encoding"))
                scan->is_refused = true;
        /* llhttp takes a name of no bytes, passes over spaces in front of the colon where it knows the name, and takes
         * them for a part of any other. */
        if (scan->field.size == 0 || scan->field.bytes[scan->field.size] != ':' ||
            memchr(scan->field.bytes, ' ', scan->field.size) != NULL)
                scan->is_refused = true;
        scan->values_count = 0;
        return 0;
}

static int scan_value(llhttp_t *parser, const char *at, size_t size)
{
        struct http_scan *scan = parser->data;
        if (++scan->values_count > 1)
                scan->is_refused = true; /* obs-fold comes in pieces, RFC 9112 section 5.2 */
        struct span value = span_of(at, size);
        while (value.size > 0 && (at[value.size - 1] == ' ' || at[value.size - 1] == '\t'))
                value.size--; /* not a part of it, RFC 9110 section 5.5 */
        if (is_called(scan->field, "host"))
                scan->host = value;
        else if (is_called(scan->field, "spate-admin"))
                scan->admin = value;
        return 0;
}

static int scan_headers_complete(llhttp_t *parser)
{
        struct http_scan *scan = parser->data;
        if (((parser->flags & F_CONTENT_LENGTH) != 0 && parser->content_length > 0) || (parser->flags & F_CHUNKED) != 0)
                scan->is_refused = true; /* a body */
        return 0;
}

static int scan_complete(llhttp_t *parser)
{
        struct http_scan *scan = parser->data;
        scan->is_complete = true;
        return HPE_PAUSED;
}

ssize_t http_decode_request(struct span in, size_t bytes_max, struct http_request *request)
{
        struct http_scan scan = {.hosts_count = 0};
        llhttp_settings_t settings;
        llhttp_t parser;
        llhttp_settings_init(&settings);
        settings.on_url = scan_url;
        settings.on_header_field = scan_field;
        settings.on_header_field_complete = scan_field_complete;
        settings.on_header_value = scan_value;
        settings.on_headers_complete = scan_headers_complete;
        settings.on_message_complete = scan_complete;
        llhttp_init(&parser, HTTP_REQUEST, &settings);
        parser.data = &scan;
        size_t size = in.size < bytes_max ? in.size : bytes_max;
        enum llhttp_errno error = llhttp_execute(&parser, (const char *)in.bytes, size);
        if (scan.is_refused || (error != HPE_OK && error != HPE_PAUSED))
                return -EPROTO;
        if (!scan.is_complete)
                return in.size >= bytes_max ? -EMSGSIZE : 0;
        size_t taken = (size_t)((const uint8_t *)llhttp_get_error_pos(&parser) - in.bytes);
        /* llhttp takes a bare LF for the empty line, and a bare CR with any byte behind it, which it swallows. */
        if (taken < 4 || memcmp(in.bytes + taken - 4, "\r\n\r\n", 4) != 0)
                return -EPROTO;
        if (scan.hosts_count > 1 || (scan.hosts_count == 0 && parser.http_minor >= 1))
                return -EPROTO; /* RFC 9112 section 3.2 */
        const uint8_t *mark = memchr(scan.url.bytes, '?', scan.url.size);
        size_t path_bytes = mark == NULL ? scan.url.size : (size_t)(mark - scan.url.bytes);
        request->path = span_of(scan.url.bytes, path_bytes);
        request->query = mark == NULL ? SPAN_NONE : span_of(mark + 1, scan.url.size - path_bytes - 1);
        request->is_get = parser.method == HTTP_GET;
        request->is_head = parser.method == HTTP_HEAD;
        request->is_post = parser.method == HTTP_POST;
        request->host = scan.host;
        request->admin = scan.admin;
        request->keep_alive = llhttp_should_keep_alive(&parser) != 0;
        return (ssize_t)taken;
}
