/* permissions: all rules, patterns and subjects of a small world, against the plainest reading of what they mean: a
 * pattern is the set of subjects that it matches, written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/access/permissions.h"
#include "tests/oracle/match_oracle.h"
#include "tests/seeded.h"

/* Subjects over a, b, c up to four tokens; patterns over a, b, c and wildcards up to three: one token less, so that
 * what a '>' reaches and a '*' does not is in the world. */
#define LETTERS 3
#define SUBJECTS 120
#define PATTERNS 105
#define GROUPS 3

static char subjects[SUBJECTS][8], patterns[PATTERNS][8], entries[PATTERNS][12]; /* entries: "pattern g" */
static size_t subjects_count, patterns_count;
static bool matches[PATTERNS][SUBJECTS], covers[PATTERNS][PATTERNS]; /* covers[wide][narrow] */
static const char *const groups[GROUPS] = {"", "g", "h"};
static const uint8_t secret[16] = {1, 2, 3};

static void write_texts(char texts[][8], size_t *count, const char *tokens, size_t depth)
{
        size_t letters = strlen(tokens), total = 1;
        for (size_t i = 0; i < depth; i++)
                total *= letters;
        for (size_t i = 0; i < total; i++) {
                char text[8] = "";
                size_t number = i;
                for (size_t k = 0; k < depth; k++, number /= letters) {
                        text[2 * k] = tokens[number % letters];
                        text[2 * k + 1] = k + 1 < depth ? '.' : '\0';
                }
                if (oracle_is_legal(span_of_text(text)))
                        strcpy(texts[(*count)++], text);
        }
}

static int write_world(void **state)
{
        (void)state;
        for (size_t depth = 1; depth <= 4; depth++)
                write_texts(subjects, &subjects_count, "abc", depth);
        for (size_t depth = 1; depth <= 3; depth++)
                write_texts(patterns, &patterns_count, "abc*>", depth);
        assert_int_equal(subjects_count, SUBJECTS);
        assert_int_equal(patterns_count, PATTERNS);
        for (size_t p = 0; p < PATTERNS; p++) {
                strcat(strcpy(entries[p], patterns[p]), " g");
                for (size_t s = 0; s < SUBJECTS; s++)
                        matches[p][s] = oracle_matches(span_of_text(patterns[p]), span_of_text(subjects[s]));
        }
        for (size_t wide = 0; wide < PATTERNS; wide++)
                for (size_t narrow = 0; narrow < PATTERNS; narrow++) {
                        covers[wide][narrow] = true;
                        for (size_t s = 0; s < SUBJECTS; s++)
                                covers[wide][narrow] &= !matches[narrow][s] || matches[wide][s];
                }
        return 0;
}

/* One entry of a list: which pattern, and whether it names the group g. */
struct entry {
        size_t pattern;
        bool has_group;
};

struct entry_list {
        struct entry entries[64];
        size_t count;
        bool is_given;
};

static struct permission_list list_of(const struct entry_list *list, struct span spans[64])
{
        for (size_t i = 0; i < list->count; i++)
                spans[i] = span_of_text(list->entries[i].has_group ? entries[list->entries[i].pattern]
                                                                   : patterns[list->entries[i].pattern]);
        return (struct permission_list){.entries = spans, .entries_count = list->count, .is_given = list->is_given};
}

static struct permissions *permissions_of(const struct entry_list *allow, const struct entry_list *deny, bool publish)
{
        struct span allowed[64], denied[64];
        struct permission_lists lists = {0};
        struct permissions *permissions = NULL;
        *(publish ? &lists.publish_allow : &lists.subscribe_allow) = list_of(allow, allowed);
        *(publish ? &lists.publish_deny : &lists.subscribe_deny) = list_of(deny, denied);
        assert_int_equal(permissions_new(&permissions, &lists, 7, secret), 0);
        return permissions;
}

static bool oracle_may_publish(const struct entry_list *allow, const struct entry_list *deny, size_t subject)
{
        bool is_allowed = !allow->is_given;
        for (size_t i = 0; i < allow->count; i++)
                is_allowed |= matches[allow->entries[i].pattern][subject];
        for (size_t i = 0; i < deny->count; i++)
                is_allowed &= !matches[deny->entries[i].pattern][subject];
        return is_allowed;
}

static bool oracle_denies(const struct entry *entry, const char *group)
{
        return !entry->has_group || strcmp(group, "g") == 0;
}

static bool oracle_may_subscribe(const struct entry_list *allow, const struct entry_list *deny, size_t pattern,
                                 const char *group)
{
        bool plain = false, named = false;
        for (size_t i = 0; i < allow->count; i++)
                if (covers[allow->entries[i].pattern][pattern])
                        *(allow->entries[i].has_group ? &named : &plain) = true;
        bool is_allowed = !allow->is_given || (group[0] != '\0' && named ? strcmp(group, "g") == 0 : plain);
        for (size_t i = 0; i < deny->count; i++)
                if (covers[deny->entries[i].pattern][pattern] && oracle_denies(&deny->entries[i], group))
                        is_allowed = false;
        return is_allowed;
}

static bool oracle_may_deliver(const struct entry_list *deny, size_t subject, const char *group)
{
        for (size_t i = 0; i < deny->count; i++)
                if (matches[deny->entries[i].pattern][subject] && oracle_denies(&deny->entries[i], group))
                        return false;
        return true;
}

/* What is told of a decision is the decision; and its rule is one that decides so. */
static void check_verdict(struct permission_verdict verdict, bool is_allowed, const char *list, bool names_rule)
{
        assert_int_equal(verdict.is_allowed, is_allowed);
        if (verdict.list == NULL)
                assert_int_equal(verdict.pattern.size, 0);
        else
                assert_true(strncmp(verdict.list, list, strlen(list)) == 0);
        assert_true(!names_rule || verdict.pattern.size > 0);
        /* A refusal always has a reason. */
        assert_true(is_allowed || verdict.list != NULL);
}

static void check_publish(const struct entry_list *allow, const struct entry_list *deny)
{
        struct permissions *permissions = permissions_of(allow, deny, true);
        for (size_t s = 0; s < SUBJECTS; s++)
                if (permissions_may_publish(permissions, span_of_text(subjects[s])) !=
                    oracle_may_publish(allow, deny, s))
                        fail_msg("publish to %s, allow %s, deny %s", subjects[s],
                                 allow->count ? patterns[allow->entries[0].pattern] : "-",
                                 deny->count ? patterns[deny->entries[0].pattern] : "-");
        for (size_t s = 0; s < SUBJECTS; s++) {
                struct permission_verdict verdict = permissions_judge_publish(permissions, span_of_text(subjects[s]));
                bool is_allowed = oracle_may_publish(allow, deny, s);
                check_verdict(verdict, is_allowed, "publish.", is_allowed && allow->is_given);
                if (verdict.pattern.size > 0)
                        assert_true(oracle_matches(verdict.pattern, span_of_text(subjects[s])));
        }
        permissions_free(permissions);
}

static void check_subscribe(const struct entry_list *allow, const struct entry_list *deny)
{
        struct permissions *permissions = permissions_of(allow, deny, false);
        for (size_t p = 0; p < PATTERNS; p++)
                for (size_t g = 0; g < GROUPS; g++)
                        if (permissions_may_subscribe(permissions, span_of_text(patterns[p]),
                                                      span_of_text(groups[g])) !=
                            oracle_may_subscribe(allow, deny, p, groups[g]))
                                fail_msg("subscribe to %s in '%s', allow %s, deny %s", patterns[p], groups[g],
                                         allow->count ? patterns[allow->entries[0].pattern] : "-",
                                         deny->count ? patterns[deny->entries[0].pattern] : "-");
        for (size_t p = 0; p < PATTERNS; p++)
                for (size_t g = 0; g < GROUPS; g++)
                        check_verdict(permissions_judge_subscribe(permissions, span_of_text(patterns[p]),
                                                                  span_of_text(groups[g])),
                                      oracle_may_subscribe(allow, deny, p, groups[g]), "subscribe.",
                                      allow->is_given && oracle_may_subscribe(allow, deny, p, groups[g]));
        permissions_free(permissions);
}

static void check_deliver(const struct entry_list *deny)
{
        struct entry_list none = {0};
        struct permissions *permissions = permissions_of(&none, deny, false);
        for (size_t s = 0; s < SUBJECTS; s++)
                for (size_t g = 0; g < GROUPS; g++)
                        if (permissions_may_deliver(permissions, span_of_text(subjects[s]), span_of_text(groups[g])) !=
                            oracle_may_deliver(deny, s, groups[g]))
                                fail_msg("deliver %s to '%s', deny %s", subjects[s], groups[g],
                                         patterns[deny->entries[0].pattern]);
        for (size_t s = 0; s < SUBJECTS; s++)
                for (size_t g = 0; g < GROUPS; g++)
                        check_verdict(permissions_judge_delivery(permissions, span_of_text(subjects[s]),
                                                                 span_of_text(groups[g])),
                                      oracle_may_deliver(deny, s, groups[g]), "subscribe.deny",
                                      !oracle_may_deliver(deny, s, groups[g]));
        assert_int_equal(permissions_filter(permissions), deny->count > 0);
        permissions_free(permissions);
}

/* A list of none (n = PATTERNS: not given; PATTERNS + 1: given and empty) or one. */
static struct entry_list list_number(size_t n, bool has_group)
{
        struct entry_list list = {.is_given = n != PATTERNS};
        if (n < PATTERNS)
                list.entries[list.count++] = (struct entry){.pattern = n, .has_group = has_group};
        return list;
}

static void every_pair_of_rules_says_who_may_publish(void **state)
{
        (void)state;
        for (size_t a = 0; a < PATTERNS + 2; a++)
                for (size_t d = 0; d < PATTERNS + 2; d++) {
                        struct entry_list allow = list_number(a, false), deny = list_number(d, false);
                        check_publish(&allow, &deny);
                }
}

static void every_pair_of_rules_says_who_may_subscribe(void **state)
{
        (void)state;
        for (size_t a = 0; a < PATTERNS + 2; a++)
                for (size_t d = 0; d < PATTERNS + 2; d++)
                        for (int named = 0; named < 4; named++) {
                                struct entry_list allow = list_number(a, named & 1), deny = list_number(d, named & 2);
                                check_subscribe(&allow, &deny);
                        }
}

/* Two rules in one list, one of which names the group: neither may hide the other. */
static void rules_with_and_without_a_group_do_not_undo_each_other(void **state)
{
        (void)state;
        for (size_t one = 0; one < PATTERNS; one++)
                for (size_t other = 0; other < PATTERNS; other++) {
                        struct entry_list none = {0};
                        struct entry_list both = {
                                .entries = {{one, false}, {other, true}}, .count = 2, .is_given = true};
                        check_subscribe(&both, &none);
                        check_subscribe(&none, &both);
                        check_deliver(&both);
                }
}

/* What was let in and is delivered lies within what is allowed and outside of what is denied, subject by subject. */
static void nothing_denied_is_ever_delivered(void **state)
{
        (void)state;
        for (size_t a = 0; a < PATTERNS; a++)
                for (size_t d = 0; d < PATTERNS; d++) {
                        struct entry_list allow = list_number(a, false), deny = list_number(d, false);
                        struct permissions *permissions = permissions_of(&allow, &deny, false);
                        for (size_t s = 0; s < SUBJECTS; s++) {
                                if (!permissions_may_deliver(permissions, span_of_text(subjects[s]), SPAN_NONE))
                                        continue;
                                assert_false(matches[d][s]);
                                for (size_t p = 0; p < PATTERNS && !matches[a][s]; p++)
                                        if (matches[p][s])
                                                assert_false(permissions_may_subscribe(
                                                        permissions, span_of_text(patterns[p]), SPAN_NONE));
                        }
                        permissions_free(permissions);
                }
}

static void long_lists_say_the_same_as_short_ones(void **state)
{
        (void)state;
        uint64_t seed = 20261121;
        for (int round = 0; round < 3000; round++) {
                struct entry_list lists[2] = {{.is_given = seeded_below(&seed, 4) != 0}, {.is_given = true}};
                for (int i = 0; i < 2; i++) {
                        lists[i].count = lists[i].is_given ? seeded_below(&seed, 64) : 0;
                        for (size_t k = 0; k < lists[i].count; k++)
                                lists[i].entries[k] = (struct entry){.pattern = seeded_below(&seed, PATTERNS)};
                }
                check_publish(&lists[0], &lists[1]);
                for (int i = 0; i < 2; i++)
                        for (size_t k = 0; k < lists[i].count; k++)
                                lists[i].entries[k].has_group = seeded_below(&seed, 2) != 0;
                check_subscribe(&lists[0], &lists[1]);
                check_deliver(&lists[1]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_of_rules_says_who_may_publish),
                cmocka_unit_test(every_pair_of_rules_says_who_may_subscribe),
                cmocka_unit_test(rules_with_and_without_a_group_do_not_undo_each_other),
                cmocka_unit_test(nothing_denied_is_ever_delivered),
                cmocka_unit_test(long_lists_say_the_same_as_short_ones),
        };
        return cmocka_run_group_tests(tests, write_world, NULL);
}
