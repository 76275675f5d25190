/* connz: /connz as nats-server's monitoring answers it, for nats-top and exporters. Only what is known here is told: no
 * rtt, no closed connections. in_bytes is payload and headers, out_bytes every byte that the network took;
 * last_activity is when something last came in. A subs list is cut at CONNZ_SUBJECTS_MAX, and all of them together
 * where their text reaches CONNZ_LISTS_BYTES (of each reactor its part, at most CONNZ_LIST_BYTES): a look must neither
 * hold up a turn nor take the events' memory. "subscriptions" tells how many there are.
 *
 * Ordered by cid, pages go on for ever: the cids of one reactor are all below those of the next. Ordered otherwise,
 * each reactor tells its best, and offset and limit together are at most CONNZ_ROWS_MAX. */
#ifndef SPATE_ENGINE_ADMIN_CONNZ_H
#define SPATE_ENGINE_ADMIN_CONNZ_H

#include "engine/admin/adminquery.h"
#include "engine/question.h"
#include "engine/reactor.h"

#define CONNZ_ROWS_MAX 1024
#define CONNZ_SUBJECTS_MAX 1000
#define CONNZ_LISTS_BYTES ((size_t)4 << 20)
#define CONNZ_LIST_BYTES ((size_t)1 << 20)
#define CONNZ_ERROR_BYTES 256

extern const struct question_kind connz_question;

/* What the query asks for. false: it cannot be answered, and `error` says why. */
bool connz_read(struct span query, struct question_terms *terms, char error[CONNZ_ERROR_BYTES]);

#endif
