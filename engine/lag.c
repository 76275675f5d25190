/* lag: reads the rules, finds the one that covers a pattern. See the header. */
#include "engine/lag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/log.h"
#include "io/wire/nats.h"
#include "matcher/match.h"

#define POLICY_CHOICES "disconnect|drop-oldest|conflate|block"
#define SHOWN_BYTES 96

static const char *const policy_names[LAG_POLICIES] = {"disconnect", "drop-oldest", "conflate", "block"};

const char *lag_policy_name(enum lag_policy policy)
{
        assert(policy < LAG_POLICIES);
        return policy_names[policy];
}

/* ---- patterns ---- */

/* Cuts the first token off. */
static struct span token_of(struct span *rest)
{
        const uint8_t *dot = rest->size == 0 ? NULL : memchr(rest->bytes, '.', rest->size);
        struct span token = dot == NULL ? *rest : span_of(rest->bytes, (size_t)(dot - rest->bytes));
        *rest = dot == NULL ? SPAN_NONE : span_skip(*rest, token.size + 1);
        return token;
}

bool lag_pattern_covers(struct span cover, struct span pattern)
{
        while (cover.size > 0 && pattern.size > 0) {
                struct span wide = token_of(&cover), narrow = token_of(&pattern);
                if (span_equal(wide, SPAN(">")))
                        return true; /* one token or more is left, whatever they are */
                if (span_equal(narrow, SPAN(">")))
                        return false; /* any depth, and the rule has only one */
                if (!span_equal(wide, SPAN("*")) && !span_equal(wide, narrow))
                        return false;
        }
        return cover.size == 0 && pattern.size == 0;
}

/* ---- reading ---- */

/* "--lag-rule …: why; what would do". */
__attribute__((format(printf, 4, 5))) static int refuse(char error[OPTIONS_ERROR_BYTES], const char *option,
                                                        struct span item, const char *format, ...)
{
        char shown[SHOWN_BYTES];
        va_list arguments;
        int size = snprintf(error, OPTIONS_ERROR_BYTES, "--%s %s: ", option, log_quote(shown, sizeof shown, item));
        va_start(arguments, format);
        vsnprintf(error + size, OPTIONS_ERROR_BYTES - (size_t)size, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

/* Takes the text up to the next comma. false: there is none. */
static bool next_item(const char **text, struct span *item)
{
        if (**text == '\0')
                return false;
        size_t size = strcspn(*text, ",");
        *item = span_of(*text, size);
        *text += size + ((*text)[size] == ',');
        return true;
}

/* Splits "what=policy" at its last '=', which a subject may contain as well. */
static int read_policy(const char *option, const char *form, struct span item, struct span *what,
                       enum lag_policy *policy, char error[OPTIONS_ERROR_BYTES])
{
        static const struct option_row row = {.type = OPTION_CHOICE, .choices = POLICY_CHOICES};
        char why[OPTIONS_WHY_BYTES];
        uint64_t number;
        size_t behind_equals = item.size;
        while (behind_equals > 0 && item.bytes[behind_equals - 1] != '=')
                behind_equals--;
        if (behind_equals <= 1)
                return refuse(error, option, item, "it is not %s", form);
        *what = span_of(item.bytes, behind_equals - 1);
        struct span word = span_skip(item, what->size + 1);
        if (options_read_word(&row, word, &number, why) != 0)
                return refuse(error, option, item, "%s; disconnect, drop-oldest, conflate or block would do", why);
        *policy = (enum lag_policy)number;
        return 0;
}

static int read_rule(struct lag_rules *rules, struct span item, char error[OPTIONS_ERROR_BYTES])
{
        struct lag_rule rule = {.lag = rules->lag};
        if (rules->rules_count == LAG_RULES_MAX)
                return refuse(error, "lag-rule", item, "there are %d rules already, which is as many as there may be",
                              LAG_RULES_MAX);
        int failed = read_policy("lag-rule",
                                 "PATTERN=POLICY or PATTERN=POLICY,LIMIT; for example telemetry.>=drop-oldest,1MiB",
                                 item, &rule.pattern, &rule.lag.policy, error);
        if (failed != 0)
                return failed;
        if (rule.pattern.size > MATCH_SUBJECT_BYTES_MAX || !nats_subject_is_valid(rule.pattern))
                return refuse(error, "lag-rule", item,
                              "what stands before '=' is not a pattern: tokens between dots, none empty, `*` for one "
                              "token, `>` only last; for example telemetry.>");
        for (size_t i = 0; i < rules->rules_count; i++)
                if (lag_pattern_covers(rules->rules[i].pattern, rule.pattern))
                        return refuse(
                                error, "lag-rule", item,
                                "it can never apply, for the rule of %.*s stands before it and covers it; put the "
                                "narrower one first",
                                (int)(rules->rules[i].pattern.size < 80 ? rules->rules[i].pattern.size : 80),
                                (const char *)rules->rules[i].pattern.bytes);
        rules->rules[rules->rules_count++] = rule;
        return 0;
}

/* A comma also stands between two rules: a word without '=' is the limit of the rule before it. */
static int read_limit(struct lag_rules *rules, bool *may_follow, uint64_t limit_bytes_max, struct span item,
                      char error[OPTIONS_ERROR_BYTES])
{
        const struct option_row row = {.type = OPTION_BYTES, .min = LAG_LIMIT_BYTES_MIN, .max = limit_bytes_max};
        char why[OPTIONS_WHY_BYTES];
        uint64_t number;
        if (!*may_follow)
                return refuse(error, "lag-rule", item,
                              "it is neither a rule nor the limit of one; write PATTERN=POLICY or "
                              "PATTERN=POLICY,LIMIT, for example telemetry.>=drop-oldest,1MiB");
        if (options_read_word(&row, item, &number, why) != 0)
                return refuse(error, "lag-rule", item,
                              "as the limit of the rule before it: %s; a size from 64KiB to half of --memory would do",
                              why);
        rules->rules[rules->rules_count - 1].lag.limit_bytes = number;
        *may_follow = false;
        return 0;
}

static int read_listener(struct lag_rules *rules, struct span item, char error[OPTIONS_ERROR_BYTES])
{
        struct lag_listener listener;
        if (rules->listeners_count == LAG_LISTENERS_MAX)
                return refuse(error, "lag-listener", item, "there are %d already, which is as many as there may be",
                              LAG_LISTENERS_MAX);
        int failed = read_policy("lag-listener", "ADDRESS=POLICY; for example 127.0.0.1:4222=drop-oldest", item,
                                 &listener.address, &listener.policy, error);
        if (failed != 0)
                return failed;
        for (size_t i = 0; i < rules->listeners_count; i++)
                if (span_equal(rules->listeners[i].address, listener.address))
                        return refuse(error, "lag-listener", item, "this address has a policy already; name it once");
        rules->listeners[rules->listeners_count++] = listener;
        return 0;
}

int lag_rules_init(struct lag_rules *rules, struct lag lag, uint64_t limit_bytes_max, const char *rules_text,
                   const char *listeners_text, char error[OPTIONS_ERROR_BYTES])
{
        struct span item;
        bool may_follow = false; /* a limit */
        int failed = 0;
        *rules = (struct lag_rules){.lag = lag};
        size_t rules_size = strlen(rules_text);
        if (rules_size > 0 && rules_text[rules_size - 1] == ',')
                failed = refuse(error, "lag-rule", span_of_text(rules_text),
                                "nothing stands behind its last comma; take the comma away, or write the limit there");
        while (failed == 0 && next_item(&rules_text, &item)) {
                bool is_rule = item.size > 0 && memchr(item.bytes, '=', item.size) != NULL;
                failed = is_rule ? read_rule(rules, item, error)
                                 : read_limit(rules, &may_follow, limit_bytes_max, item, error);
                may_follow = is_rule;
                /* A rule that was refused was not added; a limit that was belongs to the last one. */
                rules->fault.index = is_rule || rules->rules_count == 0 ? rules->rules_count : rules->rules_count - 1;
        }
        if (failed != 0)
                return failed;
        rules->fault.is_listener = true;
        while (failed == 0 && next_item(&listeners_text, &item)) {
                rules->fault.index = rules->listeners_count;
                failed = read_listener(rules, item, error);
        }
        return failed;
}

int lag_rules_check_listeners(struct lag_rules *rules, const char *listen, char error[OPTIONS_ERROR_BYTES])
{
        for (size_t i = 0; i < rules->listeners_count; i++) {
                struct span address = rules->listeners[i].address, item;
                const char *rest = listen;
                bool is_known = false;
                while (!is_known && next_item(&rest, &item))
                        is_known = span_equal(item, address);
                rules->fault = (struct lag_fault){.is_listener = true, .index = i};
                if (!is_known)
                        return refuse(error, "lag-listener", address,
                                      "nobody listens there; write it as --listen does, which has %.300s", listen);
        }
        return 0;
}

/* ---- asking ---- */

enum lag_policy lag_default_of(const struct lag_rules *rules, struct span listener)
{
        if (rules == NULL)
                return LAG_DISCONNECT;
        for (size_t i = 0; i < rules->listeners_count; i++)
                if (span_equal(rules->listeners[i].address, listener))
                        return rules->listeners[i].policy;
        return rules->lag.policy;
}

const struct lag_rule *lag_rule_of(const struct lag_rules *rules, struct span pattern)
{
        for (size_t i = 0; i < rules->rules_count; i++)
                if (lag_pattern_covers(rules->rules[i].pattern, pattern))
                        return &rules->rules[i];
        return NULL;
}

struct lag lag_resolve(const struct lag_rules *rules, enum lag_policy listener_policy, struct span pattern)
{
        const struct lag_rule *rule = lag_rule_of(rules, pattern);
        if (rule != NULL)
                return rule->lag;
        return (struct lag){.policy = listener_policy, .limit_bytes = rules->lag.limit_bytes};
}

uint64_t lag_limit_bytes_min(const struct lag_rules *rules)
{
        uint64_t min = rules->lag.limit_bytes;
        for (size_t i = 0; i < rules->rules_count; i++)
                if (rules->rules[i].lag.limit_bytes < min)
                        min = rules->rules[i].lag.limit_bytes;
        return min;
}

uint32_t lag_policies_in_use(const struct lag_rules *rules)
{
        uint32_t policies = UINT32_C(1) << rules->lag.policy;
        for (size_t i = 0; i < rules->rules_count; i++)
                policies |= UINT32_C(1) << rules->rules[i].lag.policy;
        for (size_t i = 0; i < rules->listeners_count; i++)
                policies |= UINT32_C(1) << rules->listeners[i].policy;
        return policies;
}
