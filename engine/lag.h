/* lag: what becomes of those who read too slowly: four policies, and the rules that say which one a subscription has.
 *
 *      disconnect    beyond the limit the connection is cut
 *      drop-oldest   beyond the limit its oldest events are skipped, down to half of the limit
 *      conflate      beyond the limit only the latest event of each subject is kept; then as drop-oldest
 *      block         from half of the limit on its publishers wait for a moment; beyond the limit it is cut
 *
 * A subscription gets the policy of the first rule that covers its pattern (every subject that the pattern matches,
 * the rule's pattern matches, too), and without one that of the listener it came by. Set before the reactors start,
 * read by all of them. */
#ifndef SPATE_ENGINE_LAG_H
#define SPATE_ENGINE_LAG_H

#include "engine/base/options.h"
#include "engine/base/span.h"

/* Two bits beside each operation in a stream. */
enum lag_policy { LAG_DISCONNECT, LAG_DROP_OLDEST, LAG_CONFLATE, LAG_BLOCK, LAG_POLICIES };

#define LAG_RULES_MAX 64
#define LAG_LISTENERS_MAX 16
#define LAG_LIMIT_BYTES_MIN ((uint64_t)64 << 10)

/* What a subscription has: its policy, and how far its connection may fall behind before that applies. */
struct lag {
        enum lag_policy policy;
        uint64_t limit_bytes;
};

struct lag_rule {
        struct span pattern; /* in the text that was parsed */
        struct lag lag;
};

struct lag_listener {
        struct span address;
        enum lag_policy policy;
};

/* Which of them could not be read. */
struct lag_fault {
        bool is_listener;
        size_t index;
};

struct lag_rules {
        struct lag lag; /* of a listener without one of its own */
        struct lag_fault fault;
        size_t rules_count, listeners_count;
        struct lag_rule rules[LAG_RULES_MAX];
        struct lag_listener listeners[LAG_LISTENERS_MAX];
};

/* Reads "PATTERN=POLICY[,LIMIT],…" (--lag-rule) and "ADDRESS=POLICY,…" (--lag-listener); both texts are borrowed for as
 * long as the rules are used. `lag` is for all that neither of them names; a rule without a limit has its limit. No
 * limit is above `limit_bytes_max`. 0, or -EINVAL with one line in `error` and rules->fault. */
int lag_rules_init(struct lag_rules *rules, struct lag lag, uint64_t limit_bytes_max, const char *rules_text,
                   const char *listeners_text, char error[OPTIONS_ERROR_BYTES]);

/* 0, or -EINVAL with one line in `error` and rules->fault: --lag-listener names an address that is not in `listen`
 * (--listen). */
int lag_rules_check_listeners(struct lag_rules *rules, const char *listen, char error[OPTIONS_ERROR_BYTES]);

/* The policy of those who come by this listener, called as in --listen. `rules` may be NULL: disconnect. */
enum lag_policy lag_default_of(const struct lag_rules *rules, struct span listener);

/* What a subscription to `pattern` gets that came by a listener with this policy. `rules` is not NULL. */
struct lag lag_resolve(const struct lag_rules *rules, enum lag_policy listener_policy, struct span pattern);

/* The first rule that covers the pattern, or NULL: the listener's policy holds. */
const struct lag_rule *lag_rule_of(const struct lag_rules *rules, struct span pattern);

/* The tightest limit of any rule: how far anybody may fall behind at least. */
uint64_t lag_limit_bytes_min(const struct lag_rules *rules);
/* Bit enum lag_policy of each that a subscription may get. */
uint32_t lag_policies_in_use(const struct lag_rules *rules);

/* Does `cover` match every subject that `pattern` matches? Both are legal NATS patterns. */
bool lag_pattern_covers(struct span cover, struct span pattern);

/* "drop-oldest"; static. */
const char *lag_policy_name(enum lag_policy policy);

#endif
