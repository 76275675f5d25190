/* admin: the operator's HTTP address. GET / lists what there is; each answer is made by the file of its noun (metrics,
 * statusjson, connections, cohorts, ledger). A protocol of peers like any other; the requests are few and small, so
 * answers are made on the heap. GET and HEAD only; keep-alive. Belongs to one reactor. */
#ifndef SPATE_ENGINE_ADMIN_ADMIN_H
#define SPATE_ENGINE_ADMIN_ADMIN_H

#include "engine/peer.h"

struct admin {
        struct peer peer;
        bool keep_alive, is_head; /* of the request that waits for an answer */
        const char *allow;        /* the methods of the path that was asked for with another one */
};

extern const struct peer_protocol admin_protocol;

/* To who asked for something and may be gone: what came of it, as JSON; NULL: no memory for that. */
void admin_done(struct reactor *reactor, io_id asker, bool is_done, const char *text);

#endif
