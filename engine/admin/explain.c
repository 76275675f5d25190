/* explain: see the header.
 *
 *      round 1      every reactor: who has subscribed to what matches, in rows          ─▶ something matches: told
 *      rounds 2 …   every reactor: NEAR_PAGES pages of its routes, compared by text     ─▶ all seen: told
 *
 * What all publish of themselves (interest) is read by the asker; what only a reactor knows, it writes. */
#include "engine/admin/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/admin/adminquery.h"
#include "engine/admin/jsontext.h"
#include "engine/admin/near.h"
#include "engine/queuegroup.h"
#include "engine/reactor.h"
#include "matcher/pattern.h"

#define NEAR_PAGES 2 /* a turn: 2048 patterns at most, which takes about as many times 100 ns */
#define NEAR_ROUNDS (EXPLAIN_NEAR_MAX / (NEAR_PAGES * ROUTE_PAGE_ROWS))
#define SHOWN_BYTES_MAX 256 /* of a sid or a queue group's name, which may be as long as a line */
#define ROWS_DEFAULT 20
#define GROUPS_COUNTED_MAX 256

enum explain_round { ROUND_ROWS, ROUND_NEAR };

/* What one reactor has found to be near: its own between a question and its answer. */
struct explain_part {
        struct near_best best;
        uint32_t looked_count;
        bool is_done;
};

struct explain {
        struct near_subject near;
        bool may_be_near, has_user;
        uint16_t subject_bytes, user_bytes;
        uint8_t subject[EXPLAIN_SUBJECT_BYTES_MAX], user[USER_NAME_BYTES_MAX];
        struct explain_part parts[]; /* by reactor */
};

static struct span explain_subject(const struct explain *explain)
{
        return span_of(explain->subject, explain->subject_bytes);
}

static struct span explain_user(const struct explain *explain)
{
        return span_of(explain->user, explain->user_bytes);
}

/* ---- what is asked ---- */

/* Decoded to `text`; its size, or -1. */
static ssize_t read_text(struct span word, uint8_t *text, size_t bytes_max)
{
        uint8_t decoded[8192];
        ssize_t size = word.size <= sizeof decoded ? adminquery_decode(word, decoded) : -1;
        if (size <= 0 || (size_t)size > bytes_max)
                return -1;
        memcpy(text, decoded, (size_t)size);
        return size;
}

int explain_read(struct reactor *reactor, struct span query, struct question_terms *terms,
                 char error[EXPLAIN_ERROR_BYTES])
{
        struct adminquery read = {.limit = ROWS_DEFAULT};
        unsigned taken = ADMINQUERY_SUBJECT | ADMINQUERY_USER | ADMINQUERY_LIMIT;
        if (!adminquery_read(query, taken, &read) || (read.given & ADMINQUERY_SUBJECT) == 0 || read.limit < 1 ||
            read.limit > EXPLAIN_ROWS_MAX) {
                snprintf(error, EXPLAIN_ERROR_BYTES,
                         "the query must hold subject=TEXT, and may hold user=NAME and limit=1..%d\n",
                         EXPLAIN_ROWS_MAX);
                return 400;
        }
        size_t parts = reactor->cores->count;
        struct explain *explain = calloc(1, sizeof *explain + parts * sizeof explain->parts[0]);
        if (explain == NULL) {
                snprintf(error, EXPLAIN_ERROR_BYTES, "out of memory\n");
                return 500;
        }
        ssize_t size = read_text(read.subject, explain->subject, sizeof explain->subject), user_size = 0;
        explain->has_user = (read.given & ADMINQUERY_USER) != 0;
        if (explain->has_user)
                user_size = read_text(read.user, explain->user, sizeof explain->user);
        int status = 200;
        if (size < 0 || user_size < 0) {
                snprintf(error, EXPLAIN_ERROR_BYTES,
                         "%s is empty, longer than %d bytes, or has a %% without two hexadecimal digits behind it\n",
                         size < 0 ? "subject" : "user", size < 0 ? EXPLAIN_SUBJECT_BYTES_MAX : USER_NAME_BYTES_MAX);
                status = 400;
        } else if (explain->has_user && reactor->gate == NULL) {
                snprintf(error, EXPLAIN_ERROR_BYTES, "there are no users: everyone on loopback may do everything\n");
                status = 400;
        } else if (explain->has_user &&
                   users_find_any(auth_users(reactor->gate), span_of(explain->user, (size_t)user_size)) == NULL) {
                snprintf(error, EXPLAIN_ERROR_BYTES, "there is no user and no token of that name\n");
                status = 404;
        }
        if (status != 200) {
                free(explain);
                return status;
        }
        explain->subject_bytes = (uint16_t)size;
        explain->user_bytes = (uint16_t)user_size;
        explain->may_be_near = near_read(&explain->near, explain_subject(explain));
        *terms = (struct question_terms){.limit = (uint32_t)read.limit, .order = ROUND_ROWS, .matter = explain};
        return 200;
}

/* ---- what matches ---- */

/* The ids are in routes->ids, which is free between two events. */
static size_t match_subject(struct reactor *reactor, struct span subject, const pattern_id **ids, uint64_t *reactors)
{
        struct routes *routes = &reactor->routes;
        struct match_set set;
        size_t matched = match_batch(routes->table, &subject, 1, routes->ids, routes->ids_max, &set);
        assert(matched == 1);
        *ids = set.ids;
        *reactors = set.reactors;
        return set.ids_count;
}

/* ---- texts ---- */

static json_t *shown_text(struct span text)
{
        bool is_cut = text.size > SHOWN_BYTES_MAX;
        return jsontext_string(is_cut ? span_of(text.bytes, SHOWN_BYTES_MAX) : text, is_cut);
}

static json_t *subject_text(struct span text)
{
        bool is_cut = text.size > MATCH_SUBJECT_BYTES_MAX;
        return jsontext_string(is_cut ? span_of(text.bytes, MATCH_SUBJECT_BYTES_MAX) : text, is_cut);
}

/* "publish.deny orders.internal.>", or null: no rule has to do with it. */
static json_t *verdict_json(struct permission_verdict verdict)
{
        json_t *json = json_pack("{s:b}", "allowed", verdict.is_allowed);
        json_object_set_new(json, "list", verdict.list == NULL ? json_null() : json_string(verdict.list));
        json_object_set_new(json, "rule", verdict.pattern.size == 0 ? json_null() : subject_text(verdict.pattern));
        if (verdict.group.size > 0)
                json_object_set_new(json, "queue", shown_text(verdict.group));
        return json;
}

/* ---- the subscribers of one reactor ---- */

/* What is being written, and how much of it yet. */
struct rows {
        const struct reactor *reactor;
        const struct explain *explain;
        uint32_t rows_max, looked_count;
        json_t *cohorts, *subscribers;
        uint64_t cohorts_count, subscribers_count;
        bool is_whole;
};

/* Is there time for another? */
static bool rows_look(struct rows *rows)
{
        if (rows->looked_count == EXPLAIN_LOOK_MAX) {
                rows->is_whole = false;
                return false;
        }
        rows->looked_count++;
        return true;
}

static bool rows_want(const struct rows *rows, const struct session *session)
{
        return !rows->explain->has_user ||
               (session->login.user != NULL && span_equal(session->login.user->name, explain_user(rows->explain)));
}

static uint64_t limit_bytes_of(const struct reactor *reactor, struct span pattern, enum lag_policy policy)
{
        const struct lag_rules *rules = reactor->settings.lag;
        return rules == NULL ? reactor->settings.lag_bytes_max : lag_resolve(rules, policy, pattern).limit_bytes;
}

/* What an event without a payload costs a subscriber on the wire: each byte of payload is one more. */
static size_t event_bytes(struct span subject, struct span sid, enum wire_format format)
{
        uint8_t room[EXPLAIN_SUBJECT_BYTES_MAX + SHOWN_BYTES_MAX + 64];
        struct event event = {.subject = subject};
        const struct wire_codec *codec = &wire_codecs[format];
        size_t bound = codec->bound(&event, sid);
        return bound <= sizeof room ? codec->write(room, &event, sid) : bound;
}

static uint64_t members_of_user(struct rows *rows, const struct list *lanes)
{
        uint64_t count = 0;
        list_for_each(lanes, link)
        {
                struct peer *peer = container_of(list_entry(link, struct lane, link), struct peer, lane);
                if (!rows_look(rows))
                        break;
                count += rows_want(rows, session_of(peer));
        }
        return count;
}

static void write_cohort(struct rows *rows, struct span pattern, const struct cohort_entry *entry)
{
        const struct registered_cohort *owner = entry->owner;
        struct span subject = explain_subject(rows->explain), sid = span_of(entry->sid, entry->sid_bytes);
        json_t *json = json_object();
        rows->cohorts_count++;
        if (json_array_size(rows->cohorts) == rows->rows_max) {
                json_decref(json);
                return;
        }
        json_object_set_new(json, "pattern", subject_text(pattern));
        json_object_set_new(json, "sid", shown_text(sid));
        json_object_set_new(json, "members", json_integer(owner->cohort.members_count));
        if (rows->explain->has_user)
                json_object_set_new(json, "members_of_user",
                                    json_integer((json_int_t)(members_of_user(rows, &owner->cohort.idle) +
                                                              members_of_user(rows, &owner->cohort.behind))));
        json_object_set_new(json, "event_bytes",
                            json_integer((json_int_t)event_bytes(subject, sid, owner->cohort.format)));
        json_object_set_new(json, "lag_policy", json_string(lag_policy_name((enum lag_policy)entry->policy)));
        json_object_set_new(
                json, "lag_limit_bytes",
                json_integer((json_int_t)limit_bytes_of(rows->reactor, pattern, (enum lag_policy)entry->policy)));
        json_object_set_new(json, "permission",
                            verdict_json(permissions_judge_delivery(owner->filter, subject, SPAN_NONE)));
        json_array_append_new(rows->cohorts, json);
}

static void write_subscriber(struct rows *rows, struct span pattern, const struct subscription *subscription)
{
        const struct session *session = subscription->session;
        struct span subject = explain_subject(rows->explain), sid = subscription_sid(subscription);
        struct span queue = SPAN_NONE;
        if (session->is_parting || !rows_want(rows, session))
                return;
        rows->subscribers_count++;
        if (json_array_size(rows->subscribers) == rows->rows_max)
                return;
        if (subscription->group != NULL)
                queue = span_of(subscription->group->name, subscription->group->name_bytes);
        json_t *json = json_object();
        json_object_set_new(json, "pattern", subject_text(pattern));
        json_object_set_new(json, "connection", json_integer((json_int_t)session->client_id));
        json_object_set_new(json, "address", jsontext_string(span_of_text(session->peer.address), false));
        json_object_set_new(json, "name", jsontext_string(span_of_text(session->name), false));
        json_object_set_new(json, "user",
                            session->login.user == NULL ? json_string("") : shown_text(session->login.user->name));
        json_object_set_new(json, "sid", shown_text(sid));
        json_object_set_new(json, "queue", queue.size == 0 ? json_null() : shown_text(queue));
        enum wire_format format = session->headers ? WIRE_NATS : WIRE_NATS_PLAIN;
        json_object_set_new(json, "event_bytes", json_integer((json_int_t)event_bytes(subject, sid, format)));
        enum lag_policy policy = (enum lag_policy)subscription->policy;
        json_object_set_new(json, "lag_policy", json_string(lag_policy_name(policy)));
        json_object_set_new(json, "lag_limit_bytes",
                            json_integer((json_int_t)limit_bytes_of(rows->reactor, pattern, policy)));
        json_object_set_new(json, "permission",
                            verdict_json(permissions_judge_delivery(session->filter, subject, queue)));
        json_array_append_new(rows->subscribers, json);
}

static void write_route(struct rows *rows, const struct route *route)
{
        struct span pattern = route_text(route);
        list_for_each(&route->cohorts, link)
        {
                const struct cohort_entry *entry = list_entry(link, struct cohort_entry, route_link);
                if (!rows_look(rows))
                        return;
                if (entry->owner->cohort.members_count > 0)
                        write_cohort(rows, pattern, entry);
        }
        list_for_each(&route->privates, link)
        {
                if (!rows_look(rows))
                        return;
                write_subscriber(rows, pattern, list_entry(link, struct subscription, route_link));
        }
        list_for_each(&route->groups, link)
        {
                const struct queue_group *group = list_entry(link, struct queue_group, route_link);
                for (uint32_t i = 0; i < group->members_count; i++) {
                        if (!rows_look(rows))
                                return;
                        write_subscriber(rows, pattern, group->members[i]);
                }
        }
}

/* Beyond the rows; null: not all could be looked at. */
static json_t *count_of_rest(const struct rows *rows, uint64_t count, const json_t *list)
{
        return rows->is_whole ? json_integer((json_int_t)(count - json_array_size(list))) : json_null();
}

static char *write_rows(struct reactor *reactor, const struct explain *explain, uint32_t rows_max)
{
        struct rows rows = {.reactor = reactor,
                            .explain = explain,
                            .rows_max = rows_max,
                            .cohorts = json_array(),
                            .subscribers = json_array(),
                            .is_whole = true};
        const pattern_id *ids;
        uint64_t subscriptions_count = 0, reactors;
        size_t ids_count = match_subject(reactor, explain_subject(explain), &ids, &reactors);
        for (size_t i = 0; i < ids_count; i++) {
                const struct route *route = route_of(&reactor->routes, ids[i]);
                if (route == NULL)
                        continue;
                subscriptions_count += route->subscriptions_count;
                write_route(&rows, route);
        }
        json_t *json = json_object();
        json_object_set_new(json, "reactor", json_integer(reactor->settings.number));
        json_object_set_new(json, "subscriptions", json_integer((json_int_t)subscriptions_count));
        json_object_set_new(json, "is_whole", json_boolean(rows.is_whole));
        json_object_set_new(json, "cohorts_more", count_of_rest(&rows, rows.cohorts_count, rows.cohorts));
        json_object_set_new(json, "subscribers_more", count_of_rest(&rows, rows.subscribers_count, rows.subscribers));
        json_object_set_new(json, "cohorts", rows.cohorts);
        json_object_set_new(json, "subscribers", rows.subscribers);
        return jsontext_end(json);
}

/* ---- what is near ---- */

/* Round number `round` of this reactor: some pages of its routes. Where it has more than are looked at, every so many
 * of them. */
static void look_near(const struct reactor *reactor, struct explain *explain, uint32_t round)
{
        const struct routes *routes = &reactor->routes;
        struct explain_part *part = &explain->parts[reactor->settings.number];
        size_t stride = (routes->pages_count + NEAR_ROUNDS * NEAR_PAGES - 1) / (NEAR_ROUNDS * NEAR_PAGES);
        for (size_t i = 0; i < NEAR_PAGES; i++) {
                size_t page = (round * NEAR_PAGES + i) * stride;
                if (page >= routes->pages_count) {
                        part->is_done = true;
                        return;
                }
                for (size_t row = 0; routes->pages[page] != NULL && row < ROUTE_PAGE_ROWS; row++) {
                        const struct route *route = routes->pages[page][row];
                        if (route == NULL)
                                continue;
                        part->looked_count++;
                        near_best_offer(&part->best, near_compare(&explain->near, route_text(route)),
                                        route_text(route));
                }
        }
}

static char *explain_write(struct reactor *reactor, const struct question_terms *terms)
{
        if (terms->order == ROUND_ROWS)
                return write_rows(reactor, terms->matter, terms->limit);
        look_near(reactor, terms->matter, terms->from);
        return strdup("");
}

static bool explain_more(struct reactor *reactor, struct question_terms *terms, char *const *answers,
                         unsigned answers_count)
{
        const struct explain *explain = terms->matter;
        const pattern_id *ids;
        uint64_t reactors;
        (void)answers;
        if (terms->order == ROUND_ROWS) {
                if (!explain->may_be_near || match_subject(reactor, explain_subject(explain), &ids, &reactors) > 0)
                        return false;
                terms->order = ROUND_NEAR;
                terms->from = 0;
                return true;
        }
        bool are_done = true;
        for (unsigned i = 0; i < answers_count; i++)
                are_done = are_done && explain->parts[i].is_done;
        return !are_done && ++terms->from < NEAR_ROUNDS;
}

static json_t *near_json(const struct explain *explain, unsigned reactors_count)
{
        struct near_best best = {.count = 0};
        json_t *list = json_array();
        for (unsigned i = 0; i < reactors_count; i++)
                for (size_t j = 0; j < explain->parts[i].best.count; j++)
                        near_best_offer(&best, explain->parts[i].best.rows[j].near,
                                        span_of(explain->parts[i].best.rows[j].text,
                                                explain->parts[i].best.rows[j].text_bytes));
        for (size_t i = 0; i < best.count; i++)
                json_array_append_new(list, json_pack("{s:o,s:s}", "pattern",
                                                      subject_text(span_of(best.rows[i].text, best.rows[i].text_bytes)),
                                                      "why", near_meaning(best.rows[i].near)));
        return list;
}

/* ---- the subject itself ---- */

static bool has_empty_token(struct span subject)
{
        bool was_dot = true;
        for (size_t i = 0; i < subject.size; i++) {
                if (subject.bytes[i] == '.' && was_dot)
                        return true;
                was_dot = subject.bytes[i] == '.';
        }
        return was_dot;
}

static bool cannot_be_said(struct span subject)
{
        for (size_t i = 0; i < subject.size; i++)
                if (subject.bytes[i] == ' ' || subject.bytes[i] == '\t' || subject.bytes[i] == '\r' ||
                    subject.bytes[i] == '\n')
                        return true;
        return false;
}

/* Why nobody may publish to it; NULL: it is taken. */
static const char *subject_fault(struct span subject)
{
        if (cannot_be_said(subject))
                return "no client can say it: a subject has no blanks, tabs or line ends";
        switch (session_judge_subject(subject)) {
        case SESSION_SUBJECT_RESERVED:
                return "it is reserved, for the server itself: the publisher gets a Permissions Violation";
        case SESSION_SUBJECT_LONG:
                return "it is longer than 1024 bytes: the publisher gets a Permissions Violation";
        case SESSION_SUBJECT_DEEP:
                return "it has more than 32 tokens: the publisher gets a Permissions Violation";
        case SESSION_SUBJECT_TAKEN:
                break;
        }
        static_assert(MATCH_SUBJECT_BYTES_MAX == 1024 && MATCH_TOKENS_MAX == 32, "what is said of them");
        return NULL;
}

static json_t *subject_notes(struct span subject)
{
        json_t *notes = json_array();
        if (has_empty_token(subject))
                json_array_append_new(
                        notes, json_string("it has an empty token: an event with it is taken, and matches nothing"));
        if (!nats_subject_is_literal(subject) && !has_empty_token(subject) && !cannot_be_said(subject))
                json_array_append_new(
                        notes,
                        json_string("* and > are ordinary bytes in what is published: it is one subject, not many; "
                                    "a pedantic client is told Invalid Publish Subject, and it is taken nevertheless"));
        return notes;
}

/* ---- the patterns, as all reactors have published them ---- */

/* Who would get an event. */
struct receivers {
        uint64_t plain_count;
        uint64_t groups[GROUPS_COUNTED_MAX]; /* hashes of names: the same name on two patterns is one group */
        size_t groups_count;
};

static void receivers_add_group(struct receivers *receivers, uint64_t hash)
{
        for (size_t i = 0; i < receivers->groups_count; i++)
                if (receivers->groups[i] == hash)
                        return;
        if (receivers->groups_count < GROUPS_COUNTED_MAX)
                receivers->groups[receivers->groups_count++] = hash;
}

/* What of the subject each wildcard stands for, in their order. */
static json_t *wildcards_json(struct span pattern, struct span subject)
{
        json_t *list = json_array();
        while (pattern.size > 0 && subject.size > 0) {
                const uint8_t *end = memchr(pattern.bytes, '.', pattern.size);
                struct span wanted = span_of(pattern.bytes, end == NULL ? pattern.size : (size_t)(end - pattern.bytes));
                if (span_equal(wanted, SPAN(">"))) {
                        json_array_append_new(list, subject_text(subject));
                        break;
                }
                end = memchr(subject.bytes, '.', subject.size);
                struct span token = span_of(subject.bytes, end == NULL ? subject.size : (size_t)(end - subject.bytes));
                if (span_equal(wanted, SPAN("*")))
                        json_array_append_new(list, subject_text(token));
                pattern = span_skip(pattern, wanted.size + (wanted.size < pattern.size));
                subject = span_skip(subject, token.size + (token.size < subject.size));
        }
        return list;
}

/* Adds those of a name to the list, or to the row that there is. */
static void add_group(json_t *list, struct span name, uint32_t members_count, bool may_have)
{
        json_t *text = shown_text(name), *row;
        size_t i;
        json_array_foreach(list, i, row)
        {
                if (!json_equal(json_object_get(row, "name"), text))
                        continue;
                json_int_t members = json_integer_value(json_object_get(row, "members")) + members_count;
                json_int_t barred =
                        json_integer_value(json_object_get(row, "not_permitted")) + (may_have ? 0 : members_count);
                json_object_set_new(row, "members", json_integer(members));
                json_object_set_new(row, "not_permitted", json_integer(barred));
                json_decref(text);
                return;
        }
        json_array_append_new(list, json_pack("{s:o,s:I,s:I}", "name", text, "members", (json_int_t)members_count,
                                              "not_permitted", (json_int_t)(may_have ? 0 : members_count)));
}

static json_t *pattern_json(const struct reactor *reactor, struct span subject, pattern_id id, uint64_t reactors,
                            struct receivers *receivers)
{
        struct span pattern = match_text(reactor->routes.table, id);
        json_t *json = json_object(), *numbers = json_array(), *groups = json_array();
        uint64_t plain_count = 0, barred_count = 0;
        unsigned looked_count = 0;
        for (; reactors != 0; reactors &= reactors - 1) {
                unsigned number = (unsigned)__builtin_ctzll(reactors);
                const struct interests *interests = &reactor->cores->core[number].interests;
                const struct interest_row *row = interest_filtered(interests, id);
                const struct interest_row *grouped = interest_groups(interests, id);
                uint32_t plain = interest_plain(interests, id);
                if (plain > 0 || row != NULL || grouped != NULL)
                        json_array_append_new(numbers, json_integer(number));
                plain_count += plain;
                receivers->plain_count += plain;
                for (; row != NULL && looked_count < EXPLAIN_LOOK_MAX; row = interest_next(row), looked_count++) {
                        bool may_have = permissions_may_deliver(row->filter, subject, SPAN_NONE);
                        uint32_t count = interest_row_count(row);
                        plain_count += count;
                        barred_count += may_have ? 0 : count;
                        receivers->plain_count += may_have ? count : 0;
                }
                for (row = grouped; row != NULL && looked_count < GROUPS_COUNTED_MAX;
                     row = interest_next(row), looked_count++) {
                        struct span name = span_of(row->name, row->name_bytes);
                        bool may_have = permissions_may_deliver(row->filter, subject, name);
                        uint32_t count = interest_row_count(row);
                        add_group(groups, name, count, may_have);
                        if (may_have && count > 0)
                                receivers_add_group(receivers, row->name_hash);
                }
        }
        json_object_set_new(json, "id", json_integer(id));
        json_object_set_new(json, "pattern", subject_text(pattern));
        json_object_set_new(json, "wildcards", wildcards_json(pattern, subject));
        json_object_set_new(json, "plain", json_integer((json_int_t)plain_count));
        json_object_set_new(json, "not_permitted", json_integer((json_int_t)barred_count));
        json_object_set_new(json, "groups", groups);
        json_object_set_new(json, "reactors", numbers);
        const struct lag_rules *rules = reactor->settings.lag;
        const struct lag_rule *rule = rules == NULL ? NULL : lag_rule_of(rules, pattern);
        json_object_set_new(json, "lag_rule", rule == NULL ? json_null() : subject_text(rule->pattern));
        return json;
}

/* ---- all together ---- */

static json_t *user_json(const struct reactor *reactor, const struct explain *explain)
{
        const struct user *user =
                reactor->gate == NULL ? NULL : users_find_any(auth_users(reactor->gate), explain_user(explain));
        struct span subject = explain_subject(explain);
        if (user == NULL)
                return json_null(); /* gone since the question came */
        return json_pack("{s:o,s:o,s:o,s:o}", "name", shown_text(user->name), "publish",
                         verdict_json(permissions_judge_publish(user->permissions, subject)), "subscribe",
                         verdict_json(permissions_judge_subscribe(user->permissions, subject, SPAN_NONE)), "receive",
                         verdict_json(permissions_judge_delivery(user->permissions, subject, SPAN_NONE)));
}

static char *explain_join(struct reactor *reactor, const struct question_terms *terms, char *const *answers,
                          unsigned answers_count)
{
        const struct explain *explain = terms->matter;
        struct span subject = explain_subject(explain);
        struct receivers receivers = {.plain_count = 0};
        const pattern_id *ids;
        uint64_t reactors;
        uint32_t looked_count = 0;
        json_t *json = json_object(), *patterns = json_array();
        size_t ids_count = match_subject(reactor, subject, &ids, &reactors);
        const char *fault = subject_fault(subject);
        for (size_t i = 0; i < ids_count; i++) {
                /* Of those beyond the limit the receivers are counted as well, as far as that goes in a turn. */
                json_t *row =
                        i < EXPLAIN_LOOK_MAX ? pattern_json(reactor, subject, ids[i], reactors, &receivers) : NULL;
                if (row != NULL && i < terms->limit)
                        json_array_append_new(patterns, row);
                else
                        json_decref(row);
        }
        for (unsigned i = 0; i < answers_count; i++)
                looked_count += explain->parts[i].looked_count;
        bool is_heard = fault == NULL && receivers.plain_count + receivers.groups_count > 0;
        json_object_set_new(json, "subject", subject_text(subject));
        json_object_set_new(json, "is_taken", json_boolean(fault == NULL));
        json_object_set_new(json, "reason", fault == NULL ? json_null() : json_string(fault));
        json_object_set_new(json, "notes", subject_notes(subject));
        if (explain->has_user)
                json_object_set_new(json, "user", user_json(reactor, explain));
        json_object_set_new(json, "matches", json_integer((json_int_t)ids_count));
        json_object_set_new(json, "deliveries",
                            json_integer((json_int_t)(receivers.plain_count + receivers.groups_count)));
        json_object_set_new(json, "no_responders", json_boolean(!is_heard));
        json_object_set_new(json, "patterns_more", json_integer((json_int_t)(ids_count - json_array_size(patterns))));
        json_object_set_new(json, "patterns", patterns);
        json_object_set_new(json, "nearest", near_json(explain, answers_count));
        json_object_set_new(json, "nearest_looked_at", json_integer(looked_count));
        char *head = jsontext_end(json);
        if (head == NULL || terms->order != ROUND_ROWS)
                answers_count = 0; /* their rows were given before: there were none */
        size_t size = head == NULL ? 0 : strlen(head) + sizeof ",\"reactors\":[]}\n";
        for (unsigned i = 0; i < answers_count; i++)
                size += strlen(answers[i]) + 1;
        char *text = head == NULL ? NULL : malloc(size), *end = text;
        if (text != NULL) {
                end = stpcpy(end, head) - 1; /* over its last brace */
                end = stpcpy(end, ",\"reactors\":[");
                for (unsigned i = 0; i < answers_count; i++) {
                        if (i > 0)
                                *end++ = ',';
                        end = stpcpy(end, answers[i]);
                }
                stpcpy(end, "]}\n");
        }
        free(head);
        return text;
}

const struct question_kind explain_question = {.write = explain_write, .join = explain_join, .more = explain_more};
