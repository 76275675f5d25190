/* permissions: the corners that a small world does not have: groups with wildcards, broken entries, equal sets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/access/permissions.h"

static const uint8_t secret[16] = {9};

/* A list out of "a, b c, d". NULL: not given. */
static struct permission_list list_of(const char *text, struct span *spans)
{
        struct permission_list list = {.entries = spans, .is_given = text != NULL};
        while (text != NULL && *text != '\0') {
                size_t size = strcspn(text, ",");
                spans[list.entries_count++] = span_of(text, size);
                text += size + (text[size] == ',');
        }
        return list;
}

static struct permissions *subscribing(const char *allow, const char *deny)
{
        struct span spans[2][64];
        struct permission_lists lists = {.subscribe_allow = list_of(allow, spans[0]),
                                         .subscribe_deny = list_of(deny, spans[1])};
        struct permissions *permissions = NULL;
        assert_int_equal(permissions_new(&permissions, &lists, 1, secret), 0);
        return permissions;
}

/* Asks, and frees. */
static bool may_subscribe(const char *allow, const char *deny, const char *pattern, const char *group)
{
        struct permissions *permissions = subscribing(allow, deny);
        bool answer = permissions_may_subscribe(permissions, span_of_text(pattern), span_of_text(group));
        permissions_free(permissions);
        return answer;
}

static bool may_deliver(const char *deny, const char *subject, const char *group)
{
        struct permissions *permissions = subscribing(NULL, deny);
        bool answer = permissions_may_deliver(permissions, span_of_text(subject), span_of_text(group));
        permissions_free(permissions);
        return answer;
}

static void no_permissions_are_no_restrictions(void **state)
{
        (void)state;
        assert_true(permissions_may_publish(NULL, SPAN("a")));
        assert_true(permissions_may_subscribe(NULL, SPAN(">"), SPAN_NONE));
        assert_true(permissions_may_deliver(NULL, SPAN("a"), SPAN_NONE));
        assert_false(permissions_filter(NULL));
        assert_int_equal(permissions_id(NULL), 0);
        assert_true(permissions_unlimited(NULL));
        assert_true(may_subscribe(NULL, NULL, "not..legal", ""));
}

static void an_empty_allowance_allows_nothing(void **state)
{
        (void)state;
        assert_false(may_subscribe("", NULL, "a", ""));
        assert_false(may_subscribe("", NULL, ">", "g"));
        assert_true(may_subscribe(NULL, "", "a", ""));
        struct permission_lists lists = {.publish_allow = {.is_given = true}};
        struct permissions *permissions = NULL;
        assert_int_equal(permissions_new(&permissions, &lists, 3, secret), 0);
        assert_false(permissions_may_publish(permissions, SPAN("a")));
        assert_true(permissions_limit_publish(permissions));
        assert_false(permissions_unlimited(permissions));
        assert_int_equal(permissions_id(permissions), 3);
        permissions_free(permissions);
}

static void a_denial_holds_for_a_group_that_another_rule_does_not_name(void **state)
{
        (void)state;
        /* nats-server 2.9 lets "other" in: the rule with a group lifts the one without. */
        assert_false(may_subscribe(NULL, "foo,foo v1", "foo", "other"));
        assert_false(may_subscribe(NULL, "foo,foo v1", "foo", "v1"));
        assert_false(may_subscribe(NULL, "foo,foo v1", "foo", ""));
        assert_true(may_subscribe(NULL, "foo v1", "foo", "other"));
        assert_true(may_subscribe(NULL, "foo v1", "foo", ""));
        assert_false(may_deliver("foo,foo v1", "foo", "other"));
        assert_true(may_deliver("foo v1", "foo", "other"));
        assert_false(may_deliver("foo.* v1", "foo.7", "v1"));
}

static void groups_may_have_wildcards(void **state)
{
        (void)state;
        assert_true(may_subscribe("foo v1.*", NULL, "foo", "v1.a"));
        assert_false(may_subscribe("foo v1.*", NULL, "foo", "v1.a.b"));
        assert_false(may_subscribe("foo v1.*", NULL, "foo", ""));
        assert_true(may_subscribe("foo v1.>", NULL, "foo", "v1.*"));
        assert_false(may_subscribe("foo v1.*", NULL, "foo", "v1.>"));
        assert_false(may_subscribe(NULL, "foo *.prod", "foo", "eu.prod"));
        assert_true(may_subscribe(NULL, "foo *.prod", "foo", "eu.test"));
        /* Whatever a group is called, one that all groups are denied does not slip through. */
        assert_false(may_subscribe(NULL, "foo >", "foo", "a..b"));
        assert_false(may_subscribe(NULL, "foo >", "foo", ">"));
        assert_false(may_subscribe(NULL, "foo *", "foo", ">"));
        assert_false(may_deliver("foo >", "foo", "."));
        assert_true(may_subscribe(NULL, "foo >", "foo", ""));
}

static void a_wildcard_is_taken_and_its_events_are_asked_one_by_one(void **state)
{
        (void)state;
        struct permissions *permissions = subscribing(NULL, "foo.secret.>,bar");
        assert_true(permissions_filter(permissions));
        assert_true(permissions_may_subscribe(permissions, SPAN("foo.>"), SPAN_NONE));
        assert_true(permissions_may_subscribe(permissions, SPAN(">"), SPAN_NONE));
        assert_false(permissions_may_subscribe(permissions, SPAN("foo.secret.*"), SPAN_NONE));
        assert_false(permissions_may_deliver(permissions, SPAN("foo.secret.x"), SPAN_NONE));
        assert_false(permissions_may_deliver(permissions, SPAN("bar"), SPAN_NONE));
        assert_true(permissions_may_deliver(permissions, SPAN("foo.secret"), SPAN_NONE));
        permissions_free(permissions);
}

static void a_star_is_not_within_a_word_nor_a_tail_within_a_star(void **state)
{
        (void)state;
        assert_false(may_subscribe("foo.*", NULL, "foo.>", ""));
        assert_false(may_subscribe("foo.a", NULL, "foo.*", ""));
        assert_true(may_subscribe("foo.>", NULL, "foo.*.b", ""));
        assert_false(may_subscribe("foo.>", NULL, "foo", ""));
        assert_false(may_subscribe("foo.>", NULL, "foo..b", ""));
}

static void a_broken_entry_makes_no_set(void **state)
{
        (void)state;
        static const char *const broken[] = {"", " ", ".", "a.", "a..b", "a.>.b", "a b c", "a\tb c", "a\nb", "a b..c"};
        for (size_t i = 0; i < array_count(broken); i++) {
                struct span entry = span_of_text(broken[i]);
                struct permission_lists lists = {
                        .subscribe_deny = {.entries = &entry, .entries_count = 1, .is_given = true}};
                struct permissions *permissions = NULL;
                assert_non_null(permission_entry_fault(entry, true));
                assert_int_equal(permissions_new(&permissions, &lists, 1, secret), -EINVAL);
        }
        assert_non_null(permission_entry_fault(SPAN("a group"), false));
        assert_null(permission_entry_fault(SPAN("a  group "), true));
        assert_null(permission_entry_fault(SPAN("a.*.>"), false));
        static uint8_t deep[2 * 40];
        for (size_t i = 0; i < sizeof deep; i++)
                deep[i] = i % 2 ? '.' : 'a';
        assert_non_null(permission_entry_fault(span_of(deep, 65), false));
        assert_null(permission_entry_fault(span_of(deep, 63), false));
}

static void equal_sets_are_known_whatever_their_order(void **state)
{
        (void)state;
        struct permissions *one = subscribing("b,a, c g,a", "");
        struct permissions *other = subscribing("c  g,a,b", NULL);
        struct permissions *less = subscribing("a,b", NULL);
        struct permissions *none = subscribing(NULL, NULL);
        struct permissions *empty = subscribing("", NULL);
        assert_true(permissions_equal(one, other));
        assert_true(permissions_hash(one) == permissions_hash(other));
        assert_false(permissions_hash(one) == permissions_hash(less));
        assert_false(permissions_equal(one, less));
        assert_false(permissions_equal(none, empty));
        assert_true(permissions_unlimited(none));
        assert_false(permissions_unlimited(empty));
        permissions_free(one);
        permissions_free(other);
        permissions_free(less);
        permissions_free(none);
        permissions_free(empty);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_permissions_are_no_restrictions),
                cmocka_unit_test(an_empty_allowance_allows_nothing),
                cmocka_unit_test(a_denial_holds_for_a_group_that_another_rule_does_not_name),
                cmocka_unit_test(groups_may_have_wildcards),
                cmocka_unit_test(a_wildcard_is_taken_and_its_events_are_asked_one_by_one),
                cmocka_unit_test(a_star_is_not_within_a_word_nor_a_tail_within_a_star),
                cmocka_unit_test(a_broken_entry_makes_no_set),
                cmocka_unit_test(equal_sets_are_known_whatever_their_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
