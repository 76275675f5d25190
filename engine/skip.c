/* skip: see the header. */
#include "engine/skip.h"

#include "engine/base/mark.h"
#include "engine/cohort.h"
#include "engine/lag.h"

#define DROPPABLE_POLICIES (UINT32_C(1) << LAG_DROP_OLDEST | UINT32_C(1) << LAG_CONFLATE)
#define NOTICE_KIND STREAM_KIND(STREAM_REPLY | LAG_DROP_OLDEST << STREAM_LAG_SHIFT)
/* Events, and replies that are marked so. */
#define DROPPABLE_KINDS                                                                                                \
        (STREAM_KIND(STREAM_EVENT | LAG_DROP_OLDEST << STREAM_LAG_SHIFT) |                                             \
         STREAM_KIND(STREAM_EVENT | LAG_CONFLATE << STREAM_LAG_SHIFT) | NOTICE_KIND)

/* As much of an operation as is told of a loss. */
struct sample {
        size_t size;
        uint8_t bytes[512];
};

/* What is told of the events that were lost for one reason. */
struct loss_told {
        uint64_t count;
        struct sample first, last;
};

struct skip {
        struct lanes *lanes;
        struct lane *lane;
        struct lane_span **link;       /* the next span to be looked at */
        struct lane_span *copies;      /* of what may not be dropped; NULL while there is none */
        struct conflation *conflation; /* NULL: nothing is superseded */
        uint64_t excess_bytes;         /* still to be dropped from the oldest on */
        uint64_t dropped_bytes, looked_bytes;
        struct loss_told skipped, conflated;
        uint32_t number; /* of the next operation, as the conflation counts them */
        enum loss loss;
        bool is_stuck;      /* what comes next may not be dropped and cannot be copied */
        bool has_lost_news; /* a notice of what was skipped before may be among what goes */
};

static uint64_t min_of(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static uint32_t is_event(uint32_t flags)
{
        return (flags & STREAM_REPLY) == 0;
}

static void sample_take(struct sample *sample, struct span operation)
{
        sample->size = min_of(operation.size, sizeof sample->bytes);
        span_copy(sample->bytes, span_of(operation.bytes, sample->size));
}

/* `first` and `last` events of a chunk that go; empty: none does. */
static void loss_told_note(struct loss_told *told, struct span first, struct span last)
{
        if (told->first.size == 0)
                sample_take(&told->first, first);
        if (last.size > 0)
                sample_take(&told->last, last);
}

static bool skip_is_done(const struct skip *skip)
{
        return skip->is_stuck ||
               (skip->excess_bytes == 0 && (skip->conflation == NULL || skip->number >= skip->conflation->last));
}

/* Puts a span in front of *skip->link; its place is pinned already. */
static void skip_insert(struct skip *skip, struct lane_span *span)
{
        span->next = *skip->link;
        *skip->link = span;
        skip->link = &span->next;
        skip->lane->spans_count++;
        if (span->cohort != NULL)
                span->cohort->spans_count++;
}

/* Copies an operation, or the rest of one, behind the others that stay. false: there is no room for it. */
static bool skip_copy(struct skip *skip, struct span operation, uint32_t flags)
{
        struct lane *lane = skip->lane;
        if (skip->loss == LOSS_MEMORY_SHED)
                return false;
        struct lane_span *span = skip->copies != NULL ? skip->copies : pool_take(&skip->lanes->spans);
        uint8_t *room = span == NULL ? NULL : stream_reserve(&lane->own, &skip->lanes->memory, operation.size);
        if (room == NULL) {
                seen("a lane skipped and what had to stay could not be copied");
                if (span != skip->copies)
                        pool_give(&skip->lanes->spans, span);
                return false;
        }
        span_copy(room, operation);
        struct place place = stream_commit(&lane->own, operation.size, flags);
        if (skip->copies == NULL) {
                stream_pin(place, 1);
                *span = (struct lane_span){.place = place, .begin_event = lane->own.head_event - is_event(flags)};
                skip_insert(skip, span);
                skip->copies = span;
        }
        span->bytes += operation.size;
        span->end_event = lane->own.head_event;
        skip->looked_bytes += operation.size;
        return true;
}

/* Looks at `part_bytes` from `place` on, which lie in its chunk, until it is done; returns how many of them are gone.
 */
static uint64_t skip_chunk(struct skip *skip, struct place place, uint64_t part_bytes, uint64_t *moved,
                           uint64_t *conflated)
{
        if (skip->conflation == NULL && (place.chunk->kinds & ~DROPPABLE_KINDS) == 0) {
                uint64_t bytes = part_bytes;
                struct place first = place;
                if (skip->excess_bytes < part_bytes) {
                        seen("a skip ended inside a chunk of which all may be dropped");
                        place.offset += (uint32_t)skip->excess_bytes;
                        bytes = skip->excess_bytes + place_rest_bytes(place);
                }
                skip->excess_bytes -= min_of(skip->excess_bytes, bytes);
                skip->dropped_bytes += bytes;
                skip->has_lost_news |= (place.chunk->kinds & NOTICE_KIND) != 0;
                struct place last = {.chunk = place.chunk, .offset = first.offset + (uint32_t)bytes - 1};
                loss_told_note(&skip->skipped, place_event_bytes(first, false), place_event_bytes(last, true));
                return bytes;
        }
        struct stream_walk walk = stream_walk_from(place);
        uint64_t taken = 0;
        struct span first_skipped = SPAN_NONE, last_skipped = SPAN_NONE;
        struct span first_conflated = SPAN_NONE, last_conflated = SPAN_NONE;
        while (taken < part_bytes && !skip_is_done(skip)) {
                uint32_t flags;
                struct span operation = stream_walk_next(&walk, &flags);
                bool is_superseded =
                        skip->conflation != NULL && conflation_is_superseded(skip->conflation, skip->number);
                if (is_superseded) {
                        *conflated += 1;
                        first_conflated = first_conflated.size == 0 ? operation : first_conflated;
                        last_conflated = operation;
                        skip->dropped_bytes += operation.size;
                } else if (skip->excess_bytes > 0 && (STREAM_KIND(flags) & DROPPABLE_KINDS) != 0) {
                        skip->excess_bytes -= min_of(skip->excess_bytes, operation.size);
                        skip->dropped_bytes += operation.size;
                        if (is_event(flags)) {
                                first_skipped = first_skipped.size == 0 ? operation : first_skipped;
                                last_skipped = operation;
                        } else {
                                skip->has_lost_news = true;
                        }
                } else if (skip_copy(skip, operation, flags)) {
                        *moved += is_event(flags);
                } else {
                        skip->is_stuck = true;
                        break;
                }
                skip->number++;
                taken += operation.size;
        }
        loss_told_note(&skip->skipped, first_skipped, last_skipped);
        loss_told_note(&skip->conflated, first_conflated, last_conflated);
        return taken;
}

/* Events of a span that are no longer its own: some of them only moved. */
static void skip_count(struct skip *skip, struct lane_span *span, uint64_t gone, uint64_t moved, uint64_t conflated)
{
        uint64_t skipped = gone - moved - conflated;
        span->begin_event += gone;
        lane_count_dropped(skip->lanes, skip->lane, skip->loss, skipped);
        lane_count_dropped(skip->lanes, skip->lane, LOSS_CONFLATED, conflated);
        skip->skipped.count += skipped;
        skip->conflated.count += conflated;
        if (span->cohort != NULL) {
                span->cohort->matched -= moved;
                span->cohort->dropped += skipped + conflated;
        }
}

/* Takes the span at skip->link off from its front on, until it is done. */
static void skip_span(struct skip *skip)
{
        struct lane_span *span = *skip->link;
        struct stream *stream = lane_span_stream(skip->lane, span);
        uint64_t moved = 0, conflated = 0;
        lane_span_released(skip->lanes, skip->lane, span, place_event(span->place));
        while (span->bytes > 0 && !skip_is_done(skip)) {
                uint64_t part_bytes = min_of(span->place.chunk->used_bytes - span->place.offset, span->bytes);
                uint64_t taken = skip_chunk(skip, span->place, part_bytes, &moved, &conflated);
                span->bytes -= taken;
                if (span->bytes > 0)
                        stream_advance(stream, &skip->lanes->memory, &span->place, taken);
        }
        uint64_t event = span->bytes > 0 ? place_event(span->place) : span->end_event;
        skip_count(skip, span, event - span->begin_event, moved, conflated);
        if (span->bytes > 0)
                return;
        stream_unpin(stream, &skip->lanes->memory, span->place.chunk);
        /* The walk may have put the copies in front of it. */
        lane_drop_span(skip->lanes, skip->lane, skip->link);
}

/* ---- what is half sent ---- */

/* Copies the rest of the half-sent operation, with which the lane begins, and takes it off the span it is in. */
static bool skip_copy_half(struct skip *skip, struct place place, size_t rest_bytes)
{
        struct lane_span *span = skip->lane->first;
        uint32_t flags = (place_flags(place) & STREAM_REPLY) | STREAM_REST; /* finished whatever its policy */
        if (!skip_copy(skip, span_of(place.chunk->data + place.offset, rest_bytes), flags))
                return false;
        struct stream *stream = lane_span_stream(skip->lane, span);
        lane_span_released(skip->lanes, skip->lane, span, place_event(span->place));
        skip_count(skip, span, is_event(flags), is_event(flags), 0);
        seen("a lane skipped while an operation was half sent");
        span->bytes -= rest_bytes;
        if (span->bytes > 0) {
                stream_advance(stream, &skip->lanes->memory, &span->place, rest_bytes);
        } else {
                stream_unpin(stream, &skip->lanes->memory, span->place.chunk);
                lane_drop_span(skip->lanes, skip->lane, skip->link);
        }
        return true;
}

/* Passes over the first `keep_bytes`, where there are more; false: they end inside a span, and there is no second one
 * for what is behind. */
static bool skip_pass_over(struct skip *skip, uint64_t keep_bytes)
{
        while (keep_bytes >= (*skip->link)->bytes) {
                keep_bytes -= (*skip->link)->bytes;
                skip->link = &(*skip->link)->next;
                if (*skip->link == NULL)
                        return keep_bytes == 0;
        }
        if (keep_bytes == 0)
                return true;
        struct lane_span *front = *skip->link, *behind = pool_take(&skip->lanes->spans);
        if (behind == NULL)
                return false;
        *behind = *front;
        behind->place = place_behind(front->place, keep_bytes);
        behind->bytes -= keep_bytes;
        behind->begin_event = place_event(behind->place);
        stream_pin(behind->place, 1);
        front->bytes = keep_bytes;
        front->end_event = behind->begin_event;
        skip->link = &front->next;
        struct lane_span **link = skip->link;
        skip_insert(skip, behind);
        skip->link = link;
        return true;
}

/* ---- what is superseded ---- */

static void skip_note(struct skip *skip)
{
        struct conflation *conflation = &skip->lanes->conflation;
        conflation_begin(conflation);
        for (struct lane_span *span = *skip->link; span != NULL; span = span->next) {
                enum wire_format format = span->cohort != NULL ? span->cohort->format : skip->lane->format;
                struct stream_walk walk = stream_walk_from(span->place);
                for (uint64_t left = span->bytes; left > 0;) {
                        uint32_t flags;
                        struct span key = SPAN_NONE, operation = stream_walk_next(&walk, &flags);
                        if (is_event(flags) && stream_lag_of(flags) == LAG_CONFLATE)
                                key = wire_codecs[format].key(operation);
                        if (!conflation_note(conflation, key, operation.size))
                                return;
                        left -= operation.size;
                        skip->looked_bytes += operation.size;
                }
        }
}

/* Decides how much has to go. */
static void skip_decide(struct skip *skip, uint64_t limit_bytes)
{
        uint64_t pending_bytes = lane_pending_bytes(skip->lane);
        uint64_t enough_bytes = limit_bytes;
        bool may_conflate = (skip->lane->policies >> LAG_CONFLATE & 1) != 0 && skip->loss != LOSS_MEMORY_SHED &&
                            conflation_is_there(&skip->lanes->conflation);
        if (may_conflate && pending_bytes > limit_bytes) {
                skip_note(skip);
                if (skip->lanes->conflation.bytes > 0) {
                        skip->conflation = &skip->lanes->conflation;
                        pending_bytes -= skip->conflation->bytes;
                        /* So that the next look is not due at once, and each costs a fraction of what came since. */
                        enough_bytes = limit_bytes - limit_bytes / 4;
                }
        }
        if (pending_bytes > enough_bytes)
                skip->excess_bytes = pending_bytes - limit_bytes / 2;
}

/* ---- all together ---- */

static void loss_told_tell(const struct skip *skip, const struct loss_told *told, enum loss loss)
{
        lane_tell_loss(skip->lanes, skip->lane, loss, told->count, span_of(told->first.bytes, told->first.size),
                       span_of(told->last.bytes, told->last.size));
}

/* The last closed span follows the cohort's head again. */
static void skip_reopen(struct skip *skip)
{
        struct lane *lane = skip->lane;
        struct lane_span **link = &lane->first;
        lane->last = NULL;
        while (*link != NULL) {
                lane->last = *link;
                if ((*link)->next == NULL)
                        break;
                link = &(*link)->next;
        }
        struct lane_span *last = lane->last;
        struct cohort *cohort = lane->cohort;
        if (last == NULL || cohort == NULL || last->cohort != cohort || !lane->idle ||
            place_byte(last->place) + last->bytes != cohort->stream.head_byte)
                return;
        assert(cohort->idle_place.chunk == NULL);
        list_remove(&lane->link);
        lane->idle = false;
        lane->place = last->place; /* with its pin */
        lane->begin_event = last->begin_event;
        lane->account.matched -= last->end_event - last->begin_event;
        list_push_back(&cohort->behind, &lane->link);
        lane_drop_span(skip->lanes, lane, link);
        lane->last = NULL;
        for (struct lane_span *span = lane->first; span != NULL; span = span->next)
                lane->last = span;
}

uint64_t lane_skip(struct lanes *lanes, struct lane *lane, uint64_t limit_bytes, enum loss loss)
{
        struct skip skip = {.lanes = lanes, .lane = lane, .link = &lane->first, .loss = loss};
        struct place place;
        if (lane->is_cut || lane->ended || !lane_close_open_span(lanes, lane, false))
                return 0;
        uint64_t sent_bytes = lane_sent_bytes(lane);
        if (lane_place_not_lent(lane, &place)) {
                size_t rest_bytes = place_rest_bytes(place);
                bool is_ready = (lane->lent_bytes == 0 && rest_bytes > 0 && skip_copy_half(&skip, place, rest_bytes)) ||
                                skip_pass_over(&skip, lane->lent_bytes + rest_bytes);
                if (is_ready && *skip.link != NULL)
                        skip_decide(&skip, limit_bytes);
                while (is_ready && *skip.link != NULL && !skip_is_done(&skip))
                        skip_span(&skip);
        }
        skip_reopen(&skip);
        lane_keep_sent(lane, sent_bytes);
        lane->skipped_bytes += skip.dropped_bytes;
        lane->has_news |= skip.skipped.count + skip.conflated.count > 0 || skip.has_lost_news;
        lane->has_lost_news |= skip.has_lost_news;
        loss_told_tell(&skip, &skip.skipped, loss);
        loss_told_tell(&skip, &skip.conflated, LOSS_CONFLATED);
        return skip.dropped_bytes + skip.looked_bytes;
}
