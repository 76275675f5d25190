/* cohort: one byte stream shared by every subscriber that wants the same events in one format.
 *
 * An event is encoded once at the end of the stream, whatever the number of members; a member costs only its sends.
 * Members are lanes, in one of two lists:
 *
 *      idle     want nothing before the idle place: the head as it was at the last flush. They have no place of their
 * own: one pin stands for all of them, and one gather of pieces serves all their sends behind   pin a place of their
 * own: being sent to, or blocked, or something private goes first
 *
 * Its account counts an event once for each member: matched = released + dropped + lane_pending_of() of every lane.
 *
 * Belongs to one reactor. Lives until it has neither members nor closed spans (lanes->cohort_ended). */
#ifndef SPATE_ENGINE_COHORT_H
#define SPATE_ENGINE_COHORT_H

#include "engine/lane.h"
#include "io/wire/wire.h"

struct cohort {
        struct stream stream;
        struct list idle, behind; /* lanes, by link */
        struct list dirty_link;   /* in lanes->dirty while events wait for the flush */
        struct place idle_place;  /* while dirty and idle is not empty: where the idle members go on; pinned once */
        uint32_t members_count;
        uint32_t spans_count;    /* closed spans of lanes in this stream */
        uint32_t blocking_count; /* members that hold publishers */
        uint64_t looked_byte;    /* the head when lanes were last looked at because of it */
        uint64_t matched, released, dropped;
        uint64_t refused; /* events that every member was refused; in matched and dropped already */
        enum wire_format format;
};

void cohort_init(struct cohort *cohort, enum wire_format format);
/* Asserts that it is empty and drained. */
void cohort_fini(struct cohort *cohort);

/* Encodes `event` once at the end of the stream for subscribers known as `sid`. Borrows both during the call; the
 * cohort has members. Cannot fail: when memory is short the lanes that pin the oldest are cut, in the end this cohort's
 * own members, and each is counted. */
void cohort_append(struct lanes *lanes, struct cohort *cohort, const struct event *event, struct span sid,
                   enum lag_policy policy);

/* An event that no member may have, for `loss` (today only NO_PERMISSION): matched and dropped at once. */
void cohort_refuse(struct lanes *lanes, struct cohort *cohort, enum loss loss);

/* Gives each idle member its own place, so that one of them can leave the others' company. Costs a step per idle
 * member, once between two flushes. */
void cohort_settle(struct lanes *lanes, struct cohort *cohort);
/* Sends to every idle member what has come since the last flush. */
void cohort_flush(struct lanes *lanes, struct cohort *cohort);

#endif
