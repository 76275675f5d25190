/* lane: closed spans, one open span, and the walk over both that decides what leaves next. See the header. */
#include "engine/lane.h"

#include "engine/cohort.h"

int lanes_init(struct lanes *lanes, size_t memory_bytes, size_t spans_max, uint64_t lag_bytes_max,
               uint64_t stall_ns_max)
{
        *lanes = (struct lanes){.lag_bytes_max = lag_bytes_max, .stall_ns_max = stall_ns_max};
        list_init(&lanes->waiting);
        list_init(&lanes->dirty);
        list_init(&lanes->ready);
        list_init(&lanes->cut);
        int error = buddy_init(&lanes->memory, memory_bytes);
        if (error != 0)
                return error;
        error = pool_init(&lanes->spans, "closed spans", sizeof(struct lane_span), spans_max);
        if (error != 0)
                buddy_fini(&lanes->memory);
        return error;
}

void lanes_fini(struct lanes *lanes)
{
        pool_fini(&lanes->spans);
        buddy_fini(&lanes->memory);
}

void lane_init(struct lane *lane, io_id id)
{
        *lane = (struct lane){.id = id};
        list_init(&lane->link);
        list_init(&lane->ready_link);
        list_init(&lane->waiting_link);
        lane->own.chunk_bytes = STREAM_CHUNK_BYTES_SMALL;
}

static void lane_tell_loss(const struct lanes *lanes, const struct lane *lane, enum loss loss, uint64_t count,
                           struct span first, struct span last)
{
        if (count > 0 && lanes->lost != NULL)
                lanes->lost(lanes->context, lane, loss, count, first, last);
}

/* ---- closed spans ---- */

static struct stream *span_stream(struct lane *lane, const struct lane_span *span)
{
        return span->cohort != NULL ? &span->cohort->stream : &lane->own;
}

/* Its events before number `event` have been taken. */
static void lane_span_released(struct lanes *lanes, struct lane *lane, struct lane_span *span, uint64_t event)
{
        uint64_t count = event - span->begin_event;
        span->begin_event = event;
        lane->account.released += count;
        lanes->account.released += count;
        if (span->cohort != NULL)
                span->cohort->released += count;
}

/* `place` is pinned already; the pin becomes the span's. false: no span is left in the pool, and `by_force`, which has
 * the lane's spare one, is not given. */
static bool lane_push_span(struct lanes *lanes, struct lane *lane, struct cohort *cohort, struct place place,
                           uint64_t bytes, uint64_t begin_event, uint64_t end_event, bool by_force)
{
        struct lane_span *span = pool_take(&lanes->spans);
        if (span == NULL && !by_force)
                return false;
        if (span == NULL) {
                assert(!lane->spare_used);
                lane->spare_used = true;
                span = &lane->spare;
        }
        *span = (struct lane_span){
                .cohort = cohort,
                .place = place,
                .bytes = bytes,
                .begin_event = begin_event,
                .end_event = end_event,
        };
        if (lane->last != NULL)
                lane->last->next = span;
        else
                lane->first = span;
        lane->last = span;
        lane->spans_count++;
        if (cohort != NULL)
                cohort->spans_count++;
        return true;
}

static void cohort_end_if_deserted(struct lanes *lanes, struct cohort *cohort)
{
        if (cohort->members_count == 0 && cohort->spans_count == 0)
                lanes->cohort_ended(lanes->context, cohort);
}

/* Takes the span out at `link`, where it stands; its pin is gone already. */
static void lane_drop_span(struct lanes *lanes, struct lane *lane, struct lane_span **link)
{
        struct lane_span *span = *link;
        struct cohort *cohort = span->cohort;
        *link = span->next;
        lane->spans_count--;
        if (span == &lane->spare)
                lane->spare_used = false;
        else
                pool_give(&lanes->spans, span);
        if (cohort != NULL) {
                cohort->spans_count--;
                cohort_end_if_deserted(lanes, cohort);
        }
}

/* ---- the open span ---- */

/* Its events before number `event` have been taken. */
static void lane_open_released(struct lanes *lanes, struct lane *lane, uint64_t event)
{
        uint64_t count = event - lane->begin_event;
        lane->begin_event = event;
        lane->account.matched += count;
        lane->account.released += count;
        lane->cohort->released += count;
        lanes->account.released += count;
}

static void lane_become_idle(struct lane *lane)
{
        list_remove(&lane->link);
        lane->idle = true;
        lane->place = (struct place){0};
        list_push_back(&lane->cohort->idle, &lane->link);
}

/* Turns what the cohort has for the lane so far into a closed span. The lane is then idle at the cohort's head. */
static bool lane_close_open_span(struct lanes *lanes, struct lane *lane, bool by_force)
{
        struct cohort *cohort = lane->cohort;
        if (cohort == NULL)
                return true;
        cohort_settle(lanes, cohort);
        if (lane->idle)
                return true;
        uint64_t bytes = cohort->stream.head_byte - place_byte(lane->place);
        if (!lane_push_span(lanes, lane, cohort, lane->place, bytes, lane->begin_event, cohort->stream.head_event,
                            by_force))
                return false;
        lane->account.matched += cohort->stream.head_event - lane->begin_event;
        lane->begin_event = cohort->stream.head_event;
        lane_become_idle(lane);
        return true;
}

void lane_join(struct lanes *lanes, struct lane *lane, struct cohort *cohort)
{
        assert(lane->cohort == NULL);
        assert(!lane->is_cut);
        cohort_settle(lanes, cohort); /* the others go on from an older place than the head */
        lane->cohort = cohort;
        lane->idle = true;
        lane->begin_event = cohort->stream.head_event;
        lane->refused_before = cohort->refused;
        list_push_back(&cohort->idle, &lane->link);
        cohort->members_count++;
        if (cohort->members_count > 3)
                cohort->stream.chunk_bytes = STREAM_CHUNK_BYTES_SHARED;
}

/* Takes the lane out of its cohort's lists; its open span must be idle or already be without a pin. */
static void lane_part(struct lanes *lanes, struct lane *lane)
{
        struct cohort *cohort = lane->cohort;
        uint64_t refused = cohort->refused - lane->refused_before;
        assert(lane->begin_event == cohort->stream.head_event);
        lane->account.matched += refused;
        lane->account.dropped[LOSS_NO_PERMISSION] += refused; /* the cohort and `lanes` have counted theirs */
        lane->refused_before = cohort->refused;
        lane_tell_loss(lanes, lane, LOSS_NO_PERMISSION, refused, SPAN_NONE, SPAN_NONE);
        list_remove(&lane->link);
        lane->cohort = NULL;
        lane->idle = false;
        lane->place = (struct place){0};
        cohort->members_count--;
        if (cohort->members_count <= 3)
                cohort->stream.chunk_bytes = STREAM_CHUNK_BYTES_SMALL;
        cohort_end_if_deserted(lanes, cohort);
}

void lane_leave(struct lanes *lanes, struct lane *lane)
{
        if (lane->cohort == NULL)
                return;
        if (lane_close_open_span(lanes, lane, false))
                lane_part(lanes, lane);
        else
                lane_cut(lanes, lane, LOSS_MEMORY_SHED);
}

/* ---- private operations ---- */

static void lane_count_dropped(struct lanes *lanes, struct lane *lane, enum loss loss, uint64_t count)
{
        lane->account.dropped[loss] += count;
        lanes->account.dropped[loss] += count;
}

void lane_refuse(struct lanes *lanes, struct lane *lane, enum loss loss)
{
        lane->account.matched++;
        lanes->account.matched++;
        lane_count_dropped(lanes, lane, loss, 1);
        lane_tell_loss(lanes, lane, loss, 1, SPAN_NONE, SPAN_NONE);
}

uint8_t *lane_reserve(struct lanes *lanes, struct lane *lane, size_t bytes, uint32_t flags)
{
        assert(bytes >= 1);
        assert(bytes <= STREAM_OPERATION_BYTES_MAX);
        if (lane->is_cut || lane->ended)
                return NULL;
        uint8_t *room = stream_reserve(&lane->own, &lanes->memory, bytes);
        while (unlikely(room == NULL) && lanes_shed(lanes) != NULL && !lane->is_cut)
                room = stream_reserve(&lane->own, &lanes->memory, bytes);
        if (unlikely(room == NULL)) {
                lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                if ((flags & STREAM_REPLY) == 0)
                        lane_refuse(lanes, lane, LOSS_MEMORY_SHED);
        }
        return room;
}

void lane_commit(struct lanes *lanes, struct lane *lane, size_t bytes, uint32_t flags)
{
        struct place place = stream_commit(&lane->own, bytes, flags);
        struct lane_span *last = lane->last;
        uint64_t events_count = (flags & STREAM_REPLY) == 0;
        uint64_t head_event = lane->own.head_event;
        lane->account.matched += events_count;
        lanes->account.matched += events_count;
        /* The open span is empty while the lane is idle and its cohort has appended nothing since the flush. */
        bool is_behind_last = lane->cohort == NULL || (lane->idle && lane->cohort->idle_place.chunk == NULL);
        if (last != NULL && last->cohort == NULL && is_behind_last) {
                last->bytes += bytes;
                last->end_event = head_event;
        } else {
                stream_pin(place, 1);
                if (!lane_close_open_span(lanes, lane, false) ||
                    !lane_push_span(lanes, lane, NULL, place, bytes, head_event - events_count, head_event, false)) {
                        struct span operation = place_event_bytes(place, false);
                        lane_count_dropped(lanes, lane, LOSS_MEMORY_SHED, events_count);
                        lane_tell_loss(lanes, lane, LOSS_MEMORY_SHED, events_count, operation, operation);
                        stream_unpin(&lane->own, &lanes->memory, place.chunk);
                        lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                        return;
                }
        }
        lane_mark_ready(lanes, lane);
        /* Whom the network was not even offered this has not fallen behind. */
        if (unlikely(stream_held_bytes(&lane->own) > lanes->lag_bytes_max) && list_is_linked(&lane->waiting_link))
                lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
}

void lane_append(struct lanes *lanes, struct lane *lane, struct span operation)
{
        uint8_t *room = lane_reserve(lanes, lane, operation.size, STREAM_REPLY);
        if (room == NULL)
                return;
        span_copy(room, operation);
        lane_commit(lanes, lane, operation.size, STREAM_REPLY);
}

/* ---- sending ---- */

void lane_mark_ready(struct lanes *lanes, struct lane *lane)
{
        if (!list_is_linked(&lane->ready_link) && !lane->blocked && !lane->ended)
                list_push_back(&lanes->ready, &lane->ready_link);
}

/* Cuts the stretch of `bytes` from `place` on into pieces, chunk by chunk, passing over *skip_bytes first. */
static size_t gather_stretch(struct place place, uint64_t bytes, uint64_t *skip_bytes, uint64_t *bytes_left,
                             struct span *pieces, size_t pieces_max)
{
        size_t count = 0;
        const struct chunk *chunk = place.chunk;
        uint32_t offset = place.offset;
        while (bytes > 0 && *bytes_left > 0 && count < pieces_max) {
                uint64_t part = chunk->used_bytes - offset;
                if (part > bytes)
                        part = bytes;
                bytes -= part;
                if (part <= *skip_bytes) {
                        *skip_bytes -= part;
                } else {
                        uint64_t size = part - *skip_bytes;
                        if (size > *bytes_left)
                                size = *bytes_left;
                        pieces[count++] = span_of(chunk->data + offset + *skip_bytes, size);
                        *skip_bytes = 0;
                        *bytes_left -= size;
                }
                chunk = chunk->next;
                offset = 0;
        }
        return count;
}

size_t lane_gather(const struct lane *lane, size_t skip_bytes, size_t bytes_max, struct span pieces[IO_PIECES_MAX])
{
        uint64_t skip = skip_bytes, left = bytes_max;
        size_t count = 0;
        for (const struct lane_span *span = lane->first; span != NULL && left > 0 && count < IO_PIECES_MAX;
             span = span->next)
                count += gather_stretch(span->place, span->bytes, &skip, &left, pieces + count, IO_PIECES_MAX - count);
        if (lane->cohort != NULL && lane->place.chunk != NULL && left > 0 && count < IO_PIECES_MAX) {
                uint64_t bytes = lane->cohort->stream.head_byte - place_byte(lane->place);
                count += gather_stretch(lane->place, bytes, &skip, &left, pieces + count, IO_PIECES_MAX - count);
        }
        return count;
}

/* On a network that keeps what it is lent until the other end has it, every lane with something lent waits, and its
 * place in the list tells for how long. A kernel gives everything back at once: there a lane waits only while it is
 * blocked. */
static void lane_wait(struct lanes *lanes, struct lane *lane, uint64_t now_ns)
{
        lane->waiting_ns = now_ns;
        list_remove(&lane->waiting_link);
        list_push_back(&lanes->waiting, &lane->waiting_link);
}

void lane_wait_for_release(struct lanes *lanes, struct lane *lane)
{
        if (io_traits(lanes->io)->lent_bytes_max != SIZE_MAX && !list_is_linked(&lane->waiting_link))
                lane_wait(lanes, lane, io_now_ns(lanes->io));
}

static void lane_send(struct lanes *lanes, struct lane *lane)
{
        const struct io_traits *traits = io_traits(lanes->io);
        struct span pieces[IO_PIECES_MAX];
        if (lane->ended || lane->blocked || lane->sends_count >= traits->sends_max ||
            lane->lent_bytes >= traits->lent_bytes_max)
                return;
        size_t count = lane_gather(lane, lane->lent_bytes, traits->lent_bytes_max - lane->lent_bytes, pieces);
        if (count == 0)
                return;
        for (size_t i = 0; i < count; i++)
                lane->lent_bytes += pieces[i].size;
        lane->sends_count++;
        io_send(lanes->io, lane->id, pieces, count);
        lane_wait_for_release(lanes, lane);
}

void lanes_flush(struct lanes *lanes)
{
        list_for_each(&lanes->dirty, link) cohort_flush(lanes, list_entry(link, struct cohort, dirty_link));
        list_for_each(&lanes->ready, link)
        {
                struct lane *lane = list_entry(link, struct lane, ready_link);
                list_remove(&lane->ready_link);
                lane_send(lanes, lane);
        }
        assert(list_is_empty(&lanes->dirty));
        assert(list_is_empty(&lanes->ready));
}

/* The network took the lane's lowest `bytes`: moves on over closed spans and into the open one. Where the place comes
 * to lie inside a chunk, the chunk's first event is as far as the account follows: to look for the event itself would
 * cost every send of a lagging lane a search. */
static void lane_advance(struct lanes *lanes, struct lane *lane, uint64_t bytes)
{
        while (bytes > 0 && lane->first != NULL) {
                struct lane_span *span = lane->first;
                struct stream *stream = span_stream(lane, span);
                if (bytes < span->bytes) {
                        stream_advance(stream, &lanes->memory, &span->place, bytes);
                        span->bytes -= bytes;
                        if (span->place.chunk->first_event > span->begin_event)
                                lane_span_released(lanes, lane, span, span->place.chunk->first_event);
                        return;
                }
                bytes -= span->bytes;
                lane_span_released(lanes, lane, span, span->end_event);
                stream_unpin(stream, &lanes->memory, span->place.chunk);
                if (span->next == NULL)
                        lane->last = NULL;
                lane_drop_span(lanes, lane, &lane->first);
        }
        if (bytes == 0)
                return;
        if (!stream_advance(&lane->cohort->stream, &lanes->memory, &lane->place, bytes)) {
                lane_open_released(lanes, lane, lane->cohort->stream.head_event);
                lane_become_idle(lane);
        } else if (lane->place.chunk->first_event > lane->begin_event) {
                lane_open_released(lanes, lane, lane->place.chunk->first_event);
        }
}

void lane_released(struct lanes *lanes, struct lane *lane, size_t bytes, size_t sent, uint32_t sends, uint64_t now_ns)
{
        assert(bytes <= lane->lent_bytes);
        assert(sent <= bytes);
        assert(sends <= lane->sends_count);
        lane->lent_bytes -= bytes;
        lane->sends_count -= (uint8_t)sends;
        if (sent < bytes) {
                assert(lane->lent_bytes == 0);
                lane->blocked = true;
        }
        lane_advance(lanes, lane, sent);
        if (lane->blocked || lane->lent_bytes > 0) {
                if (sent > 0 || !list_is_linked(&lane->waiting_link))
                        lane_wait(lanes, lane, now_ns);
        } else {
                list_remove(&lane->waiting_link);
        }
        if (!lane_is_drained(lane))
                lane_mark_ready(lanes, lane);
}

void lane_writable(struct lanes *lanes, struct lane *lane)
{
        lane->blocked = false;
        list_remove(&lane->waiting_link);
        if (!lane_is_drained(lane))
                lane_mark_ready(lanes, lane);
}

uint64_t lane_pending_bytes(const struct lane *lane)
{
        uint64_t bytes = 0;
        for (const struct lane_span *span = lane->first; span != NULL; span = span->next)
                bytes += span->bytes;
        if (lane->cohort != NULL && !lane->idle)
                bytes += lane->cohort->stream.head_byte - place_byte(lane->place);
        else if (lane->cohort != NULL && lane->cohort->idle_place.chunk != NULL)
                bytes += lane->cohort->stream.head_byte - place_byte(lane->cohort->idle_place);
        return bytes;
}

/* The number of the first event of the open span that is still to be released. */
static uint64_t lane_open_event(const struct lane *lane)
{
        const struct cohort *cohort = lane->cohort;
        if (!lane->idle)
                return place_event(lane->place);
        return cohort->idle_place.chunk != NULL ? place_event(cohort->idle_place) : cohort->stream.head_event;
}

void lane_account(const struct lane *lane, struct account *account, uint64_t *pending)
{
        *account = lane->account;
        *pending = 0;
        for (const struct lane_span *span = lane->first; span != NULL; span = span->next) {
                uint64_t event = place_event(span->place);
                account->released += event - span->begin_event;
                *pending += span->end_event - event;
        }
        if (lane->cohort == NULL)
                return;
        uint64_t event = lane_open_event(lane);
        uint64_t refused = lane->cohort->refused - lane->refused_before;
        account->matched += lane->cohort->stream.head_event - lane->begin_event + refused;
        account->released += event - lane->begin_event;
        account->dropped[LOSS_NO_PERMISSION] += refused;
        *pending += lane->cohort->stream.head_event - event;
}

uint64_t lane_pending_of(const struct lane *lane, const struct cohort *cohort)
{
        uint64_t pending = 0;
        for (const struct lane_span *span = lane->first; span != NULL; span = span->next)
                if (span->cohort == cohort)
                        pending += span->end_event - span->begin_event;
        if (lane->cohort == cohort)
                pending += cohort->stream.head_event - lane->begin_event;
        return pending;
}

/* ---- the end ---- */

/* The place `bytes` behind `place`, in which something lies. */
static struct place place_behind(struct place place, uint64_t bytes)
{
        bytes += place.offset;
        while (bytes >= place.chunk->used_bytes) {
                bytes -= place.chunk->used_bytes;
                place.chunk = place.chunk->next;
        }
        place.offset = (uint32_t)bytes;
        return place;
}

/* The place of the first byte that is not lent; false: everything is. */
static bool lane_place_not_lent(const struct lane *lane, struct place *place)
{
        uint64_t skip = lane->lent_bytes;
        for (const struct lane_span *span = lane->first; span != NULL; span = span->next) {
                if (skip < span->bytes) {
                        *place = place_behind(span->place, skip);
                        return true;
                }
                skip -= span->bytes;
        }
        if (lane->cohort == NULL || lane->place.chunk == NULL ||
            place_byte(lane->place) + skip >= lane->cohort->stream.head_byte)
                return false;
        *place = place_behind(lane->place, skip);
        return true;
}

/* Keeps the lowest `keep_bytes` of a span and drops the rest, but for `moved_bytes` behind those, the rest of
 * `moved_events` (0 or 1) operations, which are the lane's own from now on. */
static void lane_truncate_span(struct lanes *lanes, struct lane *lane, struct lane_span *span, uint64_t keep_bytes,
                               uint64_t moved_bytes, uint64_t moved_events, enum loss loss)
{
        /* An operation that is kept in part is dropped: it will never be whole. */
        struct place from = place_behind(span->place, keep_bytes);
        struct place last = place_behind(span->place, span->bytes - 1);
        uint64_t event = place_event(from);
        uint64_t count = span->end_event - event - moved_events;
        struct span first_lost = SPAN_NONE, last_lost = SPAN_NONE;
        if (count > 0 && !span->is_rest) {
                first_lost = place_event_bytes(place_behind(from, moved_bytes), false);
                last_lost = place_event_bytes(last, true);
        }
        span->end_event = event;
        span->bytes = keep_bytes;
        if (span->cohort != NULL) {
                span->cohort->matched -= moved_events;
                span->cohort->dropped += count;
        }
        lane_count_dropped(lanes, lane, loss, count);
        lane_tell_loss(lanes, lane, loss, count, first_lost, last_lost);
}

/* Keeps the lowest `keep_bytes` as closed spans, drops and counts the rest, but for what has been moved (see above),
 * leaves the cohort. */
static void lane_truncate(struct lanes *lanes, struct lane *lane, uint64_t keep_bytes, uint64_t moved_bytes,
                          uint64_t moved_events, enum loss loss)
{
        if (lane->cohort != NULL) {
                lane_close_open_span(lanes, lane, true);
                lane_part(lanes, lane);
        }
        struct lane_span **link = &lane->first;
        lane->last = NULL;
        for (struct lane_span *span = lane->first; span != NULL; span = *link) {
                if (keep_bytes < span->bytes) {
                        lane_truncate_span(lanes, lane, span, keep_bytes, moved_bytes, moved_events, loss);
                        moved_bytes = 0;
                        moved_events = 0;
                }
                keep_bytes -= span->bytes;
                if (span->bytes > 0) {
                        lane->last = span;
                        link = &span->next;
                        continue;
                }
                lane_span_released(lanes, lane, span, span->end_event);
                stream_unpin(span_stream(lane, span), &lanes->memory, span->place.chunk);
                lane_drop_span(lanes, lane, link);
        }
}

/* Copies the rest of a half-sent operation to the lane's own stream, so that nothing shared stays pinned for it. */
static bool lane_copy(struct lanes *lanes, struct lane *lane, struct place place, size_t bytes, struct place *copy)
{
        uint8_t *room = stream_reserve(&lane->own, &lanes->memory, bytes);
        if (room == NULL)
                return false;
        memcpy(room, place.chunk->data + place.offset, bytes);
        *copy = stream_commit(&lane->own, bytes, place_flags(place));
        stream_pin(*copy, 1);
        return true;
}

void lane_cut(struct lanes *lanes, struct lane *lane, enum loss loss)
{
        struct place place, copy;
        uint64_t moved_events = 0;
        if (lane->is_cut)
                return;
        size_t rest_bytes = !lane->ended && lane_place_not_lent(lane, &place) ? place_rest_bytes(place) : 0;
        bool is_copied = lane->lent_bytes == 0 && rest_bytes > 0 && lane_copy(lanes, lane, place, rest_bytes, &copy);
        lane->is_cut = true;
        lane->loss = (uint8_t)loss;
        if (loss == LOSS_MEMORY_SHED)
                lanes->shed_count++;
        if (is_copied) {
                moved_events = (place_flags(copy) & STREAM_REPLY) == 0;
                lane_truncate(lanes, lane, 0, rest_bytes, moved_events, loss);
                uint64_t head_event = lane->own.head_event;
                lane_push_span(lanes, lane, NULL, copy, rest_bytes, head_event - moved_events, head_event, true);
                lane->last->is_rest = true;
        } else {
                lane_truncate(lanes, lane, lane->lent_bytes + rest_bytes, 0, 0, loss);
        }
        list_remove(&lane->ready_link);
        list_push_back(&lanes->cut, &lane->ready_link);
}

struct lane *lanes_take_cut(struct lanes *lanes)
{
        if (list_is_empty(&lanes->cut))
                return NULL;
        struct lane *lane = list_entry(lanes->cut.next, struct lane, ready_link);
        list_remove(&lane->ready_link);
        if (!lane_is_drained(lane))
                lane_mark_ready(lanes, lane);
        return lane;
}

struct lane *lanes_shed(struct lanes *lanes)
{
        list_for_each(&lanes->waiting, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                if (!lane->is_cut && lane_pending_bytes(lane) > lane->lent_bytes) {
                        lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                        return lane;
                }
        }
        return NULL;
}

void lanes_cut_laggards(struct lanes *lanes)
{
        list_for_each(&lanes->waiting, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                if (lane_pending_bytes(lane) > lanes->lag_bytes_max)
                        lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
        }
}

uint64_t lanes_cut_stalled(struct lanes *lanes, uint64_t now_ns)
{
        list_for_each(&lanes->waiting, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                if (lane->is_cut)
                        continue; /* its peer gives it a second of its own */
                if (lane->waiting_ns + lanes->stall_ns_max > now_ns)
                        return lane->waiting_ns + lanes->stall_ns_max;
                lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
        }
        return UINT64_MAX;
}

void lane_fini(struct lanes *lanes, struct lane *lane, enum loss loss)
{
        assert(lane->lent_bytes == 0);
        lane_truncate(lanes, lane, 0, 0, 0, lane->is_cut ? (enum loss)lane->loss : loss);
        account_add(&lanes->closed, &lane->account);
        list_remove(&lane->waiting_link);
        list_remove(&lane->ready_link);
        assert(lane->first == NULL);
        assert(lane->own.oldest == NULL);
}
