/* nats: the NATS client protocol as a server speaks it (docs.nats.io, "Client Protocol"; nats-server's parser.go is
 * the reference where the text is silent). Decodes one operation at a time out of contiguous bytes; keeps no state,
 * so any split of the stream gives the same operations: on 0 the caller keeps the bytes and comes again with more. */
#ifndef SPATE_WIRE_NATS_H
#define SPATE_WIRE_NATS_H

#include <sys/types.h>

#include "io/wire/wire.h"

enum nats_kind {
        NATS_CONNECT, /* argument = the JSON text */
        NATS_PUB,     /* event; also HPUB, then event.headers is set unless its length is 0 (see has_headers) */
        NATS_SUB,     /* subject, queue (empty: none), sid */
        NATS_UNSUB,   /* sid, max (0: at once) */
        NATS_PING,
        NATS_PONG,
        NATS_INFO, /* tolerated from a client and ignored; argument = its text, not looked at */
        NATS_OK,   /* likewise */
        NATS_ERR,  /* argument = the text; the client reports an error, the server closes */
};

/* What the peer did wrong, and so what it is told before the connection is closed. */
enum nats_fault {
        NATS_FAULT_NONE,
        NATS_FAULT_SILENT,            /* malformed arguments: nats-server closes without a word */
        NATS_FAULT_UNKNOWN_OPERATION, /* 'Unknown Protocol Operation' */
        NATS_FAULT_CONTROL_LINE,      /* 'maximum control line exceeded' */
        NATS_FAULT_PAYLOAD,           /* 'Maximum Payload Violation' */
};

struct nats_limits {
        size_t control_line_bytes_max; /* of the argument part of a line, without its line end; default 4096. The same
                                          bounds the blanks before it and what follows a PING. */
        size_t payload_bytes_max;      /* for HPUB headers and payload together; default 1 MiB */
        bool headers; /* may this connection send HPUB (CONNECT headers:true)? otherwise NATS_FAULT_SILENT */
};

struct nats_operation {
        enum nats_kind kind;
        enum nats_fault fault; /* why nats_decode() returned a negative number */
        bool has_headers;      /* it was an HPUB */
        struct event event;
        struct span subject, queue, sid;
        struct span argument; /* CONNECT, INFO, -ERR */
        uint64_t max;
        size_t needed; /* when 0 was returned: the size of the whole operation where it is known by then, else 0 */
};

/* Decodes the operation at the start of `in`.
 *   > 0   so many bytes taken, `operation` filled; its spans point into `in`
 *     0   incomplete: come again with the same bytes and more behind them
 *   < 0   -EPROTO or -EMSGSIZE: the peer broke the rules, operation->fault says how. Told as early as the bytes show
 * it: a line that is too long or a verb that cannot be is refused before its end has arrived. Reads only in[0 .. size).
 * Linear in the bytes taken; a caller that waits for `needed` bytes makes it so for splits. */
ssize_t nats_decode(struct span in, const struct nats_limits *limits, struct nats_operation *operation);

/* CONNECT's JSON. Fields that are absent, or null, have the protocol's defaults. (nats-server takes a second CONNECT of
 * a connection as a change of the first, and names in any case; the official clients need neither.) */
struct nats_connect {
        bool verbose, pedantic, echo, headers, no_responders, tls_required;
        int protocol;
        struct span name, lang, version, user, pass, auth_token, nkey, jwt, sig; /* raw, JSON escapes not undone */
        bool has_account; /* "account" was given and not empty, or "new_account" was true */
};

/* 0, or -EPROTO where it is not one JSON object with fields of the right types (nats-server closes silently). */
int nats_parse_connect(struct span json, struct nats_connect *connect);

struct nats_info {
        struct span server_id, server_name, host, client_ip;
        uint16_t port;
        uint64_t client_id;
        size_t payload_bytes_max;
        bool auth_required, lame_duck;
};
/* Writes the INFO line, at most `out_size` bytes; returns its size, or 0 when it does not fit (1 KiB and six times the
 * spans always do: a byte may need an escape). What is not UTF-8 in a span becomes U+FFFD. */
size_t nats_write_info(uint8_t *out, size_t out_size, const struct nats_info *info);

/* What a legal subject to subscribe to is: tokens split at '.', none empty, '>' only last and alone, '*' only alone in
 * its token (elsewhere both are ordinary bytes), no space, tab, CR, LF. */
bool nats_subject_is_valid(struct span subject);
/* What pedantic mode demands of a subject to publish to: valid, and without wildcards. */
bool nats_subject_is_literal(struct span subject);

/* "-ERR 'text'\r\n" for a fault that is told, an empty span for NATS_FAULT_SILENT. Static bytes. */
struct span nats_fault_reply(enum nats_fault fault);

/* Rows of wire_codecs. */
size_t nats_message_bound(const struct event *event, struct span sid);
size_t nats_message_write(uint8_t *out, const struct event *event, struct span sid);
size_t nats_plain_bound(const struct event *event, struct span sid);
size_t nats_plain_write(uint8_t *out, const struct event *event, struct span sid);
/* "subject sid" of a MSG or HMSG: one stretch of it. */
struct span nats_message_key(struct span operation);
/* The part of such a key in front of its blank. */
struct span nats_key_subject(struct span key);
struct span nats_message_subject(struct span operation);

#endif
