/* permissions: rules in four sorted lists. A short list is compared text by text; a long one has a table beside it,
 * keyed as the matcher keys its patterns: one probe for each distinct shape of the list. See the header. */
#include "engine/access/permissions.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/base/bits.h"
#include "matcher/pattern.h"

#define LINEAR_MAX 16 /* as long a list is compared faster than a subject is hashed */

struct rule {
        struct span pattern, group; /* in list->text; group.size 0: of all, in groups or not */
        struct shape shape;
        struct subject_key key; /* only in a list with a table */
};

struct list_shape {
        struct shape shape;
        struct subject_key salt;
};

struct rules {
        struct rule *rules; /* by pattern, then by group, none twice */
        size_t rules_count;
        uint8_t *text;
        uint32_t *slots; /* of a long list: 1 + the first rule with a pattern, 0: free; open addressing */
        size_t slots_count;
        struct list_shape *shapes; /* of a long list: distinct ones */
        size_t shapes_count;
        bool is_given;
};

struct permissions {
        uint32_t id;
        struct rules publish_allow, publish_deny, subscribe_allow, subscribe_deny;
        struct subject_secrets secrets;
};

/* ---- entries ---- */

/* "pattern" or "pattern group"; blanks around and between do not matter. false: there is more, or nothing. */
static bool entry_split(struct span entry, struct span *pattern, struct span *group)
{
        struct span fields[2] = {SPAN_NONE, SPAN_NONE};
        size_t fields_count = 0, at = 0;
        while (at < entry.size) {
                size_t begin = at;
                while (at < entry.size && entry.bytes[at] != ' ' && entry.bytes[at] != '\t')
                        at++;
                if (at > begin) {
                        if (fields_count == array_count(fields))
                                return false;
                        fields[fields_count++] = span_of(entry.bytes + begin, at - begin);
                }
                at += at < entry.size;
        }
        *pattern = fields[0];
        *group = fields[1];
        return fields_count > 0;
}

static bool has_control_bytes(struct span text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.bytes[i] < ' ' || text.bytes[i] == 0x7f)
                        return true;
        return false;
}

const char *permission_entry_fault(struct span entry, bool may_name_group)
{
        struct span pattern, group;
        struct shape shape;
        if (entry.size > PERMISSION_ENTRY_BYTES_MAX)
                return "it is longer than 2048 bytes";
        if (has_control_bytes(entry))
                return "it has a control character";
        if (!entry_split(entry, &pattern, &group))
                return entry.size == 0 ? "it is empty" : "it is not one subject, or a subject and a queue group";
        if (group.size > 0 && !may_name_group)
                return "a queue group has no meaning where one publishes; a subject has no blanks";
        int error = pattern_parse(&shape, pattern, MATCH_NATS);
        if (error == 0 && group.size > 0)
                error = pattern_parse(&shape, group, MATCH_NATS);
        if (error == -E2BIG)
                return "it is longer than 1024 bytes or deeper than 32 tokens";
        return error == 0 ? NULL : "it has an empty token, or a '>' that is not its last";
}

/* ---- making ---- */

static int compare_spans(struct span a, struct span b)
{
        size_t shorter = a.size < b.size ? a.size : b.size;
        int order = shorter == 0 ? 0 : memcmp(a.bytes, b.bytes, shorter);
        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_rules(const void *a, const void *b)
{
        const struct rule *one = a, *other = b;
        int order = compare_spans(one->pattern, other->pattern);
        return order != 0 ? order : compare_spans(one->group, other->group);
}

static int compare_shapes(const void *a, const void *b)
{
        uint64_t one = shape_code(((const struct list_shape *)a)->shape);
        uint64_t other = shape_code(((const struct list_shape *)b)->shape);
        return (one > other) - (one < other);
}

static int rules_index(struct rules *rules, const struct subject_secrets *secrets)
{
        rules->slots_count = (size_t)1 << bits_log2_ceil(2 * rules->rules_count);
        rules->slots = calloc(rules->slots_count, sizeof *rules->slots);
        rules->shapes = calloc(rules->rules_count, sizeof *rules->shapes);
        if (rules->slots == NULL || rules->shapes == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < rules->rules_count; i++) {
                struct rule *rule = &rules->rules[i];
                rule->key = pattern_key(secrets, rule->pattern, rule->shape);
                rules->shapes[i].shape = rule->shape;
                if (i > 0 && span_equal(rule->pattern, rules->rules[i - 1].pattern))
                        continue; /* found by way of the first of them */
                size_t slot = rule->key.lo & (rules->slots_count - 1);
                while (rules->slots[slot] != 0)
                        slot = (slot + 1) & (rules->slots_count - 1);
                rules->slots[slot] = (uint32_t)i + 1;
        }
        qsort(rules->shapes, rules->rules_count, sizeof *rules->shapes, compare_shapes);
        for (size_t i = 0; i < rules->rules_count; i++) {
                struct shape shape = rules->shapes[i].shape;
                size_t count = rules->shapes_count;
                if (count > 0 && shape_equal(rules->shapes[count - 1].shape, shape))
                        continue;
                rules->shapes[count] =
                        (struct list_shape){.shape = shape, .salt = subject_salt(secrets, shape_code(shape))};
                rules->shapes_count++;
        }
        return 0;
}

static int rules_init(struct rules *rules, const struct permission_list *list, bool may_name_group,
                      const struct subject_secrets *secrets)
{
        size_t text_bytes = 0, count = 0;
        if (list->entries_count > UINT32_MAX / 4)
                return -ENOMEM;
        for (size_t i = 0; i < list->entries_count; i++) {
                if (permission_entry_fault(list->entries[i], may_name_group) != NULL)
                        return -EINVAL;
                text_bytes += list->entries[i].size;
        }
        rules->is_given = list->is_given;
        if (list->entries_count == 0)
                return 0;
        rules->rules = calloc(list->entries_count, sizeof *rules->rules);
        rules->text = malloc(text_bytes);
        if (rules->rules == NULL || rules->text == NULL)
                return -ENOMEM;
        uint8_t *at = rules->text;
        for (size_t i = 0; i < list->entries_count; i++) {
                struct rule *rule = &rules->rules[i];
                struct span entry = span_of(at, list->entries[i].size);
                at = span_copy(at, list->entries[i]);
                entry_split(entry, &rule->pattern, &rule->group);
                int error = pattern_parse(&rule->shape, rule->pattern, MATCH_NATS);
                assert(error == 0);
                (void)error;
        }
        qsort(rules->rules, list->entries_count, sizeof *rules->rules, compare_rules);
        for (size_t i = 0; i < list->entries_count; i++)
                if (count == 0 || compare_rules(&rules->rules[i], &rules->rules[count - 1]) != 0)
                        rules->rules[count++] = rules->rules[i];
        rules->rules_count = count;
        return count > LINEAR_MAX ? rules_index(rules, secrets) : 0;
}

static void rules_fini(struct rules *rules)
{
        free(rules->rules);
        free(rules->text);
        free(rules->slots);
        free(rules->shapes);
}

int permissions_new(struct permissions **out, const struct permission_lists *lists, uint32_t id,
                    const uint8_t secret[16])
{
        struct permissions *permissions = calloc(1, sizeof *permissions);
        if (permissions == NULL)
                return -ENOMEM;
        permissions->id = id;
        subject_secrets_init(&permissions->secrets, secret);
        int error = rules_init(&permissions->publish_allow, &lists->publish_allow, false, &permissions->secrets);
        if (error == 0)
                error = rules_init(&permissions->publish_deny, &lists->publish_deny, false, &permissions->secrets);
        if (error == 0)
                error = rules_init(&permissions->subscribe_allow, &lists->subscribe_allow, true, &permissions->secrets);
        if (error == 0)
                error = rules_init(&permissions->subscribe_deny, &lists->subscribe_deny, true, &permissions->secrets);
        if (error != 0) {
                permissions_free(permissions);
                return error;
        }
        *out = permissions;
        return 0;
}

void permissions_free(struct permissions *permissions)
{
        if (permissions == NULL)
                return;
        rules_fini(&permissions->publish_allow);
        rules_fini(&permissions->publish_deny);
        rules_fini(&permissions->subscribe_allow);
        rules_fini(&permissions->subscribe_deny);
        free(permissions);
}

/* ---- asking ---- */

/* Is `group` one that a denial's group means? Its tokens are plain text here, and need not be well formed: whatever a
 * client calls its group, a denial for "*" or ">" reaches it. */
static bool group_is_denied(struct span denied, struct span group)
{
        struct span wanted, token;
        bool more_denied = true, more_group = true;
        while (subject_next_token(&denied, &more_denied, &wanted)) {
                if (!subject_next_token(&group, &more_group, &token))
                        return false;
                if (span_equal(wanted, SPAN(">")))
                        return true;
                if (!span_equal(wanted, SPAN("*")) && !span_equal(wanted, token))
                        return false;
        }
        return !more_group;
}

/* Is `group` one that an allowance's group means? As nats-server: by its name, or as a pattern that lies within. */
static bool group_is_allowed(struct span allowed, struct span group)
{
        struct shape wide, narrow;
        if (span_equal(allowed, group))
                return true;
        return pattern_parse(&wide, allowed, MATCH_NATS) == 0 && pattern_parse(&narrow, group, MATCH_NATS) == 0 &&
               pattern_covers(allowed, wide, group, narrow);
}

/* Does the rule speak of subscriptions in `group` (empty: in none), as a denial? */
static bool rule_denies(const struct rule *rule, struct span group)
{
        return rule->group.size == 0 || (group.size > 0 && group_is_denied(rule->group, group));
}

/* Among the rules with the pattern of rules[i]: one that denies a subscription in `group`, or NULL. */
static const struct rule *rules_deny_from(const struct rules *rules, size_t i, struct span group)
{
        struct span pattern = rules->rules[i].pattern;
        for (; i < rules->rules_count && span_equal(rules->rules[i].pattern, pattern); i++)
                if (rule_denies(&rules->rules[i], group))
                        return &rules->rules[i];
        return NULL;
}

/* A rule for `subject` that speaks of `group`, or NULL. In a list for publishing no rule has a group. */
static const struct rule *rules_find_indexed(const struct rules *rules, const struct subject_secrets *secrets,
                                             struct span text, struct span group)
{
        struct subject subject;
        const struct rule *found;
        if (!subject_read(&subject, secrets, text))
                return NULL;
        for (size_t i = 0; i < rules->shapes_count; i++) {
                const struct list_shape *shape = &rules->shapes[i];
                if (subject.tokens_count < (uint32_t)shape->shape.tokens_count + shape->shape.tail ||
                    (!shape->shape.tail && subject.tokens_count > shape->shape.tokens_count))
                        continue;
                struct subject_key key = pattern_key_of_subject(&subject, shape->shape, shape->salt);
                size_t slot = key.lo & (rules->slots_count - 1);
                for (; rules->slots[slot] != 0; slot = (slot + 1) & (rules->slots_count - 1)) {
                        size_t first = rules->slots[slot] - 1;
                        const struct rule *rule = &rules->rules[first];
                        /* The text decides, not the hash: here a mistake would let somebody in. */
                        if (subject_key_equal(rule->key, key) && pattern_matches(rule->pattern, rule->shape, text) &&
                            (found = rules_deny_from(rules, first, group)) != NULL)
                                return found;
                }
        }
        return NULL;
}

static const struct rule *rules_find(const struct rules *rules, const struct subject_secrets *secrets,
                                     struct span subject, struct span group)
{
        if (rules->slots != NULL)
                return rules_find_indexed(rules, secrets, subject, group);
        for (size_t i = 0; i < rules->rules_count; i++)
                if (pattern_matches(rules->rules[i].pattern, rules->rules[i].shape, subject) &&
                    rule_denies(&rules->rules[i], group))
                        return &rules->rules[i];
        return NULL;
}

static bool rules_hold(const struct rules *rules, const struct subject_secrets *secrets, struct span subject,
                       struct span group)
{
        return rules_find(rules, secrets, subject, group) != NULL;
}

bool permissions_may_publish(const struct permissions *permissions, struct span subject)
{
        if (permissions == NULL)
                return true;
        const struct subject_secrets *secrets = &permissions->secrets;
        if (permissions->publish_allow.is_given &&
            !rules_hold(&permissions->publish_allow, secrets, subject, SPAN_NONE))
                return false;
        return !rules_hold(&permissions->publish_deny, secrets, subject, SPAN_NONE);
}

/* Off the event path: each rule is looked at. */
static bool rules_allow_subscription(const struct rules *rules, struct span pattern, struct shape shape,
                                     struct span group)
{
        bool is_covered = false, names_groups = false;
        for (size_t i = 0; i < rules->rules_count; i++) {
                const struct rule *rule = &rules->rules[i];
                if (!pattern_covers(rule->pattern, rule->shape, pattern, shape))
                        continue;
                if (rule->group.size == 0)
                        is_covered = true;
                else if (group.size > 0 && group_is_allowed(rule->group, group))
                        return true;
                else
                        names_groups = true;
        }
        return is_covered && !(group.size > 0 && names_groups);
}

bool permissions_may_subscribe(const struct permissions *permissions, struct span pattern, struct span group)
{
        struct shape shape;
        if (permissions == NULL)
                return true;
        const struct rules *allow = &permissions->subscribe_allow, *deny = &permissions->subscribe_deny;
        if (!allow->is_given && deny->rules_count == 0)
                return true;
        if (pattern_parse(&shape, pattern, MATCH_NATS) != 0)
                return false;
        if (allow->is_given && !rules_allow_subscription(allow, pattern, shape, group))
                return false;
        for (size_t i = 0; i < deny->rules_count; i++)
                if (pattern_covers(deny->rules[i].pattern, deny->rules[i].shape, pattern, shape) &&
                    rule_denies(&deny->rules[i], group))
                        return false;
        return true;
}

bool permissions_may_deliver(const struct permissions *permissions, struct span subject, struct span group)
{
        if (permissions == NULL || permissions->subscribe_deny.rules_count == 0)
                return true;
        return !rules_hold(&permissions->subscribe_deny, &permissions->secrets, subject, group);
}

/* ---- why ---- */

static struct permission_verdict verdict_of(bool is_allowed, const char *list, const struct rule *rule)
{
        return (struct permission_verdict){.is_allowed = is_allowed,
                                           .list = list,
                                           .pattern = rule == NULL ? SPAN_NONE : rule->pattern,
                                           .group = rule == NULL ? SPAN_NONE : rule->group};
}

struct permission_verdict permissions_judge_publish(const struct permissions *permissions, struct span subject)
{
        if (!permissions_limit_publish(permissions))
                return verdict_of(true, NULL, NULL);
        const struct rules *allow = &permissions->publish_allow, *deny = &permissions->publish_deny;
        const struct rule *allowed = rules_find(allow, &permissions->secrets, subject, SPAN_NONE);
        const struct rule *denied = rules_find(deny, &permissions->secrets, subject, SPAN_NONE);
        if (allow->is_given && allowed == NULL)
                return verdict_of(false, "publish.allow", NULL);
        if (denied != NULL)
                return verdict_of(false, "publish.deny", denied);
        return allow->is_given ? verdict_of(true, "publish.allow", allowed) : verdict_of(true, NULL, NULL);
}

struct permission_verdict permissions_judge_delivery(const struct permissions *permissions, struct span subject,
                                                     struct span group)
{
        const struct rule *denied = NULL;
        if (permissions_filter(permissions))
                denied = rules_find(&permissions->subscribe_deny, &permissions->secrets, subject, group);
        return denied == NULL ? verdict_of(true, NULL, NULL) : verdict_of(false, "subscribe.deny", denied);
}

/* By the rules as permissions_may_subscribe() asks them; the one that is told is the first that decides. */
struct permission_verdict permissions_judge_subscribe(const struct permissions *permissions, struct span pattern,
                                                      struct span group)
{
        struct shape shape;
        bool is_allowed = permissions_may_subscribe(permissions, pattern, group);
        if (permissions == NULL || pattern_parse(&shape, pattern, MATCH_NATS) != 0)
                return verdict_of(is_allowed, NULL, NULL);
        const struct rules *allow = &permissions->subscribe_allow, *deny = &permissions->subscribe_deny;
        for (size_t i = 0; i < deny->rules_count && !is_allowed; i++)
                if (pattern_covers(deny->rules[i].pattern, deny->rules[i].shape, pattern, shape) &&
                    rule_denies(&deny->rules[i], group))
                        return verdict_of(false, "subscribe.deny", &deny->rules[i]);
        for (size_t i = 0; i < allow->rules_count && is_allowed && allow->is_given; i++)
                if (pattern_covers(allow->rules[i].pattern, allow->rules[i].shape, pattern, shape) &&
                    (allow->rules[i].group.size == 0 ||
                     (group.size > 0 && group_is_allowed(allow->rules[i].group, group))))
                        return verdict_of(true, "subscribe.allow", &allow->rules[i]);
        return verdict_of(is_allowed, is_allowed ? NULL : "subscribe.allow", NULL);
}

bool permissions_filter(const struct permissions *permissions)
{
        return permissions != NULL && permissions->subscribe_deny.rules_count > 0;
}

bool permissions_limit_publish(const struct permissions *permissions)
{
        return permissions != NULL &&
               (permissions->publish_allow.is_given || permissions->publish_deny.rules_count > 0);
}

uint32_t permissions_id(const struct permissions *permissions)
{
        return permissions == NULL ? 0 : permissions->id;
}

static bool rules_equal(const struct rules *a, const struct rules *b, bool is_allow)
{
        /* A denial that is given and empty denies nothing, as one that is not given. */
        if ((is_allow && a->is_given != b->is_given) || a->rules_count != b->rules_count)
                return false;
        for (size_t i = 0; i < a->rules_count; i++)
                if (compare_rules(&a->rules[i], &b->rules[i]) != 0)
                        return false;
        return true;
}

bool permissions_equal(const struct permissions *a, const struct permissions *b)
{
        return rules_equal(&a->publish_allow, &b->publish_allow, true) &&
               rules_equal(&a->publish_deny, &b->publish_deny, false) &&
               rules_equal(&a->subscribe_allow, &b->subscribe_allow, true) &&
               rules_equal(&a->subscribe_deny, &b->subscribe_deny, false);
}

static uint64_t rules_hash(const struct rules *rules, uint64_t seed)
{
        for (size_t i = 0; i < rules->rules_count; i++) {
                const struct rule *rule = &rules->rules[i];
                seed = XXH3_64bits_withSeed(rule->pattern.bytes, rule->pattern.size, seed + 1);
                seed = XXH3_64bits_withSeed(rule->group.bytes, rule->group.size, seed + 2);
        }
        return seed;
}

uint64_t permissions_hash(const struct permissions *permissions)
{
        uint64_t hash = rules_hash(&permissions->publish_allow, permissions->publish_allow.is_given);
        hash = rules_hash(&permissions->publish_deny, hash + 3);
        hash = rules_hash(&permissions->subscribe_allow, hash + 4 + permissions->subscribe_allow.is_given);
        return rules_hash(&permissions->subscribe_deny, hash + 6);
}

bool permissions_unlimited(const struct permissions *permissions)
{
        return permissions == NULL ||
               (!permissions_limit_publish(permissions) && !permissions->subscribe_allow.is_given &&
                permissions->subscribe_deny.rules_count == 0);
}
