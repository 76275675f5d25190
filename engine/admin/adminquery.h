/* adminquery: what may stand behind the '?' of a request to the admin address:
 * limit=N&from=N&reactor=N&sort=WORD&verbose, in any order. Words are as they came: a text that may hold anything is
 * percent-encoded, and read by adminquery_decode(). */
#ifndef SPATE_ENGINE_ADMIN_ADMINQUERY_H
#define SPATE_ENGINE_ADMIN_ADMINQUERY_H

#include <sys/types.h>

#include "engine/base/span.h"

/* A bit each, of those that a page takes. */
enum adminquery_key {
        ADMINQUERY_LIMIT = 1,
        ADMINQUERY_FROM = 2,
        ADMINQUERY_REACTOR = 4,
        ADMINQUERY_SORT = 8,
        ADMINQUERY_VERBOSE = 16,
        ADMINQUERY_OFFSET = 32,
        ADMINQUERY_SUBS = 64,
        ADMINQUERY_AUTH = 128,
        ADMINQUERY_STATE = 256,
        ADMINQUERY_SUBJECT = 512,
        ADMINQUERY_USER = 1024,
};

struct adminquery {
        unsigned given; /* enum adminquery_key, or-ed: those that stand in it */
        uint64_t limit, from, reactor, offset;
        struct span sort, subs, auth, state, subject, user; /* borrowed */
};

/* Reads the keys in `taken`; what is not given stays as it is in *read. false: something else stands there, a key
 * twice, or a number of no or more than 9 digits. */
bool adminquery_read(struct span query, unsigned taken, struct adminquery *read);

/* Writes `word` to `text`, which has room for word.size bytes, with %41 as A. A '+' is a '+', as RFC 3986 has it.
 * Returns its size; -EPROTO: a '%' without two hexadecimal digits. */
ssize_t adminquery_decode(struct span word, uint8_t *text);

#endif
