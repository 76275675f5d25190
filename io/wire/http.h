/* http: HTTP/1.1 request heads, for addresses that take requests without a body. llhttp parses the text (RFC 9112);
 * what it lets pass that makes framing doubtful is refused here: a body, two Hosts or none, obs-fold, space before a
 * colon, an empty line at the end that is not CR LF, '_' in a framing header's place. */
#ifndef SPATE_WIRE_HTTP_H
#define SPATE_WIRE_HTTP_H

#include <sys/types.h>

#include "engine/base/span.h"

struct http_request {
        struct span path;  /* without the query */
        struct span query; /* behind the '?', empty: none */
        struct span host;  /* its value; empty: none was given */
        struct span admin; /* the value of Spate-Admin, by which somebody says that he means it */
        bool is_get, is_head, is_post;
        bool keep_alive;
};

/* Decodes the request at the start of `in`. > 0: so many bytes taken; 0: incomplete; -EPROTO: not a request that is
 * taken; -EMSGSIZE: longer than `bytes_max`. Spans point into `in`. Keeps no state. */
ssize_t http_decode_request(struct span in, size_t bytes_max, struct http_request *request);

#endif
