/* cohort: encode once, share the bytes. See the header. */
#include "engine/cohort.h"

#define LOOKS_PER_LIMIT 8
#define LOOK_STEP_BYTES ((uint64_t)64 << 10)

/* Somebody is beyond the limit, as near as chunks tell: every so many bytes it is looked who. */
static uint64_t look_step(const struct lanes *lanes)
{
        uint64_t step = lanes->look_bytes / LOOKS_PER_LIMIT;
        return step < LOOK_STEP_BYTES ? step : LOOK_STEP_BYTES;
}

void cohort_init(struct cohort *cohort, enum wire_format format)
{
        *cohort = (struct cohort){.format = format};
        cohort->stream.chunk_bytes = STREAM_CHUNK_BYTES_SMALL;
        list_init(&cohort->idle);
        list_init(&cohort->behind);
        list_init(&cohort->dirty_link);
}

void cohort_fini(struct cohort *cohort)
{
        assert(cohort->members_count == 0);
        assert(cohort->spans_count == 0);
        assert(cohort->stream.oldest == NULL);
        assert(!list_is_linked(&cohort->dirty_link));
}

/* A member that has to give way for an event misses that event as well. */
static void cohort_miss(struct lanes *lanes, struct cohort *cohort, struct lane *lane)
{
        cohort->matched++;
        cohort->dropped++;
        lane_refuse(lanes, lane, LOSS_MEMORY_SHED);
}

/* The pool is dry: others give way first, then the members themselves. */
static uint8_t *cohort_reserve_by_force(struct lanes *lanes, struct cohort *cohort, size_t bytes)
{
        while (cohort->members_count > 0) {
                uint32_t members_before = cohort->members_count;
                struct lane *lane = lanes_shed(lanes);
                if (lane == NULL)
                        break;
                if (cohort->members_count < members_before)
                        cohort_miss(lanes, cohort, lane);
                uint8_t *room = NULL;
                if (cohort->members_count > 0)
                        room = stream_reserve(&cohort->stream, &lanes->memory, bytes);
                if (room != NULL)
                        return room;
        }
        if (cohort->members_count == 0)
                return NULL;
        cohort_settle(lanes, cohort);
        list_splice_back(&cohort->behind, &cohort->idle);
        list_for_each(&cohort->behind, link)
        {
                struct lane *lane = list_entry(link, struct lane, link);
                cohort_miss(lanes, cohort, lane);
                lane_cut(lanes, lane, LOSS_MEMORY_SHED);
        }
        return NULL;
}

void cohort_append(struct lanes *lanes, struct cohort *cohort, const struct event *event, struct span sid,
                   enum lag_policy policy)
{
        const struct wire_codec *codec = &wire_codecs[cohort->format];
        size_t bound = codec->bound(event, sid);
        assert_slow(cohort->members_count > 0);
        assert(bound <= STREAM_OPERATION_BYTES_MAX);
        uint8_t *room = stream_reserve(&cohort->stream, &lanes->memory, bound);
        if (unlikely(room == NULL)) {
                room = cohort_reserve_by_force(lanes, cohort, bound);
                if (room == NULL)
                        return;
        }
        struct place place =
                stream_commit(&cohort->stream, codec->write(room, event, sid), STREAM_EVENT | stream_lag_flags(policy));
        cohort->matched += cohort->members_count;
        lanes->account.matched += cohort->members_count;
        if (!list_is_linked(&cohort->dirty_link))
                list_push_back(&lanes->dirty, &cohort->dirty_link);
        if (cohort->idle_place.chunk == NULL && !list_is_empty(&cohort->idle)) {
                cohort->idle_place = place;
                stream_pin(place, 1);
        }
        /* Who has fallen too far behind pins old chunks. It is looked for when the stream has grown by a part of the
         * tightest limit, which bounds what looking costs each byte. */
        if (unlikely(stream_held_bytes(&cohort->stream) > lanes->look_bytes - lanes->look_bytes / 8 &&
                     cohort->stream.head_byte - cohort->looked_byte > look_step(lanes))) {
                cohort->looked_byte = cohort->stream.head_byte;
                lanes_look(lanes);
        }
        if (unlikely(policy == LAG_BLOCK && stream_held_bytes(&cohort->stream) > lanes->look_bytes)) {
                /* The idle ones have all of them as much to take: one stands for them until it is known who is slow. */
                if (!list_is_empty(&cohort->idle))
                        lane_meet_blocking(lanes, list_entry(cohort->idle.next, struct lane, link));
                if (cohort->blocking_count > 0)
                        lanes->was_blocking = true;
        }
}

void cohort_refuse(struct lanes *lanes, struct cohort *cohort, enum loss loss)
{
        /* Members derive theirs from one number: what else were refused would need numbers of its own. */
        assert(loss == LOSS_NO_PERMISSION);
        cohort->refused++;
        cohort->matched += cohort->members_count;
        cohort->dropped += cohort->members_count;
        lanes->account.matched += cohort->members_count;
        lanes->account.dropped[loss] += cohort->members_count;
}

void cohort_settle(struct lanes *lanes, struct cohort *cohort)
{
        struct place place = cohort->idle_place;
        if (place.chunk == NULL)
                return;
        uint32_t settled_count = 0;
        list_for_each(&cohort->idle, link)
        {
                struct lane *lane = list_entry(link, struct lane, link);
                lane->idle = false;
                lane->place = place;
                lane_mark_ready(lanes, lane);
                settled_count++;
        }
        list_splice_back(&cohort->behind, &cohort->idle);
        stream_pin(place, settled_count);
        cohort->idle_place = (struct place){0};
        stream_unpin(&cohort->stream, &lanes->memory, place.chunk);
}

void cohort_flush(struct lanes *lanes, struct cohort *cohort)
{
        struct place place = cohort->idle_place;
        assert(list_is_linked(&cohort->dirty_link));
        list_remove(&cohort->dirty_link);
        if (place.chunk == NULL)
                return; /* nobody was idle when the first event came: every member has a place of its own */

        /* All idle members want the same bytes: gather them once, as the first of them would. */
        struct lane as_first = {.cohort = cohort, .place = place};
        struct span pieces[IO_PIECES_MAX];
        size_t pieces_count = lane_gather(&as_first, 0, io_traits(lanes->io)->lent_bytes_max, pieces);
        size_t bytes = 0;
        for (size_t i = 0; i < pieces_count; i++)
                bytes += pieces[i].size;
        bool is_all = place_byte(place) + bytes == cohort->stream.head_byte;

        uint32_t members_count = 0;
        list_for_each(&cohort->idle, link)
        {
                struct lane *lane = list_entry(link, struct lane, link);
                lane->idle = false;
                lane->place = place;
                members_count++;
                if (likely(lane->first == NULL && lane->lent_bytes == 0 && !lane->blocked && !lane->ended && is_all &&
                           lanes->sends_left > 0)) {
                        lanes->sends_left--;
                        lane->lent_bytes = bytes;
                        lane->sends_count = 1;
                        io_send(lanes->io, lane->id, pieces, pieces_count);
                        lane_wait_for_release(lanes, lane);
                } else {
                        lane_mark_ready(lanes, lane);
                }
        }
        assert(members_count > 0);
        list_splice_back(&cohort->behind, &cohort->idle);
        stream_pin(place, members_count - 1); /* the one pin of the idle members becomes the last one's */
        cohort->idle_place = (struct place){0};
}
