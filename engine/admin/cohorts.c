/* cohorts: one row for each of the largest. See the header. */
#include "engine/admin/cohorts.h"

#include "engine/admin/jsontext.h"
#include "engine/base/best.h"

#define PATTERN_SHOWN_BYTES 128

/* Any member: all of them have subscribed to the same. NULL: it is deserted. */
static const struct session *cohort_member(const struct cohort *cohort)
{
        const struct list *list = list_is_empty(&cohort->idle) ? &cohort->behind : &cohort->idle;
        if (list_is_empty(list))
                return NULL;
        struct peer *peer = container_of(list_entry(list->next, struct lane, link), struct peer, lane);
        return session_of(peer);
}

static json_t *pattern_json(struct span pattern)
{
        bool is_cut = pattern.size > PATTERN_SHOWN_BYTES;
        return jsontext_string(span_of(pattern.bytes, is_cut ? PATTERN_SHOWN_BYTES : pattern.size), is_cut);
}

static json_t *sample_pattern(const struct cohort *cohort)
{
        const struct session *session = cohort_member(cohort);
        if (session == NULL)
                return json_null();
        list_for_each(&session->subscriptions, link)
        {
                const struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (subscription->entry != NULL)
                        return pattern_json(route_text(subscription->route));
        }
        return json_null();
}

static json_t *cohort_json(const struct registered_cohort *owner)
{
        const struct cohort *cohort = &owner->cohort;
        bool is_behind = !list_is_empty(&cohort->behind) || cohort->spans_count > 0;
        json_int_t held_bytes = (json_int_t)stream_held_bytes(&cohort->stream);
        return json_pack("{s:I,s:I,s:o,s:I,s:I,s:I}", "members", (json_int_t)cohort->members_count, "patterns_count",
                         (json_int_t)owner->entries_count, "pattern", sample_pattern(cohort), "stream_bytes",
                         held_bytes, "appended", (json_int_t)cohort->stream.head_event, "lag_bytes",
                         is_behind ? held_bytes : 0);
}

char *cohorts_write_json(const struct reactor *reactor, size_t rows_max)
{
        struct best_row room[COHORTS_ROWS_MAX];
        struct best best;
        uint32_t looked_at = 0;
        json_t *json = json_pack("{s:i}", "reactor", (int)reactor->settings.number), *rows = json_array();
        assert(rows_max <= COHORTS_ROWS_MAX);
        best_init(&best, room, rows_max);
        list_for_each(&reactor->registry.shared, link)
        {
                const struct registered_cohort *owner = list_entry(link, struct registered_cohort, shared_link);
                if (looked_at == COHORTS_LOOK_MAX)
                        break;
                looked_at++;
                if (owner->cohort.members_count > 0)
                        best_offer(&best, owner->cohort.members_count, owner);
        }
        best_sort(&best);
        for (size_t i = 0; i < best.count; i++)
                json_array_append_new(rows, cohort_json(room[i].what));
        json_object_set_new(json, "shared", json_integer(reactor->registry.shared_count));
        json_object_set_new(json, "looked_at", json_integer(looked_at));
        json_object_set_new(json, "cohorts", rows);
        return jsontext_end(json);
}
