/* permissions: what a user may publish to and subscribe to: an immutable set of rules.
 *
 *      publish    allow [orders.>]                deny [orders.internal.>]
 *      subscribe  allow [orders.*, jobs workers]  deny [orders.7]
 *
 * A list that is not given allows everything (allow) or denies nothing (deny). A list that is given and empty is an
 * empty list: an empty `allow` allows nothing. A subscribe rule may name a queue group behind a blank, and then speaks
 * of members of that group alone; the name may have wildcards ("jobs workers.*").
 *
 * As nats-server 2.9 does, but never weaker:
 *      publish    the subject must match `allow` and nothing in `deny`
 *      subscribe  the pattern must lie within one rule of `allow` and within none of `deny`. Where rules of `allow`
 *                 that name groups cover the pattern, a member's group must be one of theirs. A denial holds for
 *                 members whether it names their group or none (in 2.9 one that names another group lifts it).
 *      delivery   a pattern that only overlaps with a denial may be subscribed to; then each event's subject is asked.
 *
 * Published: any core reads it, nobody writes it. Belongs to whoever made it. */
#ifndef SPATE_ENGINE_ACCESS_PERMISSIONS_H
#define SPATE_ENGINE_ACCESS_PERMISSIONS_H

#include "engine/base/span.h"

struct permissions;

#define PERMISSION_ENTRY_BYTES_MAX 2048

struct permission_list {
        const struct span *entries; /* "pattern", for subscribing also "pattern group" */
        size_t entries_count;
        bool is_given;
};

struct permission_lists {
        struct permission_list publish_allow, publish_deny, subscribe_allow, subscribe_deny;
};

/* NULL, or why `entry` cannot stand in a list ("an empty token", ...). Static text. */
const char *permission_entry_fault(struct span entry, bool may_name_group);

/* 0, -EINVAL (an entry has a fault) or -ENOMEM. The lists are borrowed. `id` is the caller's, equal for equal sets;
 * `secret` keys the hashes of long lists. */
int permissions_new(struct permissions **permissions, const struct permission_lists *lists, uint32_t id,
                    const uint8_t secret[16]);
/* Accepts NULL. */
void permissions_free(struct permissions *permissions);

/* NULL stands for no restrictions in all of these. */

/* `subject`, here and below, is one that an event can have: subject_read() takes it. */
bool permissions_may_publish(const struct permissions *permissions, struct span subject);
/* `group` is empty for a subscription that is in none. A pattern that is not legal is refused where there is any rule.
 */
bool permissions_may_subscribe(const struct permissions *permissions, struct span pattern, struct span group);
/* May an event go to a subscription that was permitted? `subject` is literal: wildcard characters are ordinary bytes.
 */
bool permissions_may_deliver(const struct permissions *permissions, struct span subject, struct span group);
/* The same three questions, with the rule that decides; for people, off the event path. */
struct permission_verdict {
        bool is_allowed;
        const char *list; /* "publish.deny": where it stands, or where none was found; NULL: there is no such list */
        struct span pattern,
                group; /* of the rule, borrowed; empty: nothing in the list allows it, or nobody forbids it */
};

struct permission_verdict permissions_judge_publish(const struct permissions *permissions, struct span subject);
struct permission_verdict permissions_judge_subscribe(const struct permissions *permissions, struct span pattern,
                                                      struct span group);
struct permission_verdict permissions_judge_delivery(const struct permissions *permissions, struct span subject,
                                                     struct span group);

/* false: permissions_may_deliver() always says yes, so nobody need ask. */
bool permissions_filter(const struct permissions *permissions);
/* false: permissions_may_publish() always says yes. */
bool permissions_limit_publish(const struct permissions *permissions);
/* 0: no restrictions. */
uint32_t permissions_id(const struct permissions *permissions);
/* Do both allow and deny the same? By their rules, whatever order these came in; ids are not compared. */
bool permissions_equal(const struct permissions *a, const struct permissions *b);
/* Equal for equal sets. */
uint64_t permissions_hash(const struct permissions *permissions);
bool permissions_unlimited(const struct permissions *permissions);

#endif
