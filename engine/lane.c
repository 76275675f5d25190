/* lane: closed spans, one open span, and the walk over both that decides what leaves next. See the header. */
#include "engine/lane.h"

#include "engine/base/mark.h"
#include "engine/cohort.h"
#include "engine/skip.h"

#define LOOK_NS (25 * UINT64_C(1000000))   /* while events come, nobody is beyond its limit for longer and not seen */
#define SKIP_BYTES_MAX ((uint64_t)4 << 20) /* that lagging lanes look at in one call */

int lanes_init(struct lanes *lanes, size_t memory_bytes, size_t spans_max, uint64_t lag_bytes_max,
               uint64_t stall_ns_max)
{
        *lanes = (struct lanes){
                .lag_bytes_max = lag_bytes_max, .stall_ns_max = stall_ns_max, .look_bytes = lag_bytes_max};
        list_init(&lanes->waiting);
        list_init(&lanes->patient);
        list_init(&lanes->lagging);
        list_init(&lanes->news);
        list_init(&lanes->blocking);
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

int lanes_set_lag(struct lanes *lanes, uint64_t limit_bytes_min, uint32_t policies, uint64_t block_ns, uint64_t secret)
{
        lanes->look_bytes = UINT64_MAX;
        lanes_change_lag(lanes, lanes->lag_bytes_max, limit_bytes_min, policies, block_ns);
        return conflation_init(&lanes->conflation, secret);
}

void lanes_change_lag(struct lanes *lanes, uint64_t lag_bytes_max, uint64_t limit_bytes_min, uint32_t policies,
                      uint64_t block_ns)
{
        uint64_t look_bytes = (policies >> LAG_BLOCK & 1) != 0 ? limit_bytes_min / 2 : limit_bytes_min;
        lanes->lag_bytes_max = lag_bytes_max;
        lanes->block_ns = block_ns;
        /* Lanes that were there before have their old limits. */
        if (look_bytes < lanes->look_bytes)
                lanes->look_bytes = look_bytes;
}

void lanes_fini(struct lanes *lanes)
{
        conflation_fini(&lanes->conflation);
        pool_fini(&lanes->spans);
        buddy_fini(&lanes->memory);
}

void lane_init(struct lane *lane, io_id id)
{
        *lane = (struct lane){.id = id, .skip_bytes = UINT64_MAX, .cut_bytes = UINT64_MAX};
        list_init(&lane->link);
        list_init(&lane->ready_link);
        list_init(&lane->waiting_link);
        list_init(&lane->lagging_link);
        list_init(&lane->news_link);
        list_init(&lane->blocking_link);
        lane->own.chunk_bytes = STREAM_CHUNK_BYTES_SMALL;
}

void lane_tell_loss(const struct lanes *lanes, const struct lane *lane, enum loss loss, uint64_t count,
                    struct span first, struct span last)
{
        if (count > 0 && lanes->lost != NULL)
                lanes->lost(lanes->context, lane, loss, count, first, last);
}

/* ---- closed spans ---- */

struct stream *lane_span_stream(struct lane *lane, const struct lane_span *span)
{
        return span->cohort != NULL ? &span->cohort->stream : &lane->own;
}

void lane_span_released(struct lanes *lanes, struct lane *lane, struct lane_span *span, uint64_t event)
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
                seen("a lane used its spare span");
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

void lane_drop_span(struct lanes *lanes, struct lane *lane, struct lane_span **link)
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

bool lane_close_open_span(struct lanes *lanes, struct lane *lane, bool by_force)
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

uint64_t lane_sent_bytes(const struct lane *lane)
{
        uint64_t cohort_bytes = lane->cohort == NULL ? 0 : lane->cohort->stream.head_byte;
        return lane->own.head_byte + lane->elsewhere_bytes + cohort_bytes - lane_pending_bytes(lane);
}

void lane_keep_sent(struct lane *lane, uint64_t sent_bytes)
{
        lane->elsewhere_bytes += sent_bytes - lane_sent_bytes(lane);
}

void lane_join(struct lanes *lanes, struct lane *lane, struct cohort *cohort)
{
        assert(lane->cohort == NULL);
        assert(!lane->is_cut);
        cohort_settle(lanes, cohort); /* the others go on from an older place than the head */
        lane->cohort = cohort;
        lane->elsewhere_bytes -= cohort->stream.head_byte;
        lane->idle = true;
        lane->begin_event = cohort->stream.head_event;
        lane->refused_before = cohort->refused;
        list_push_back(&cohort->idle, &lane->link);
        cohort->members_count++;
        cohort->blocking_count += lane->blocking == LANE_BLOCKS;
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
        lane->elsewhere_bytes += cohort->stream.head_byte;
        lane->idle = false;
        lane->place = (struct place){0};
        cohort->members_count--;
        cohort->blocking_count -= lane->blocking == LANE_BLOCKS;
        if (cohort->members_count <= 3)
                cohort->stream.chunk_bytes = STREAM_CHUNK_BYTES_SMALL;
        cohort_end_if_deserted(lanes, cohort);
}

void lane_leave(struct lanes *lanes, struct lane *lane)
{
        if (lane->cohort == NULL)
                return;
        if (lane_close_open_span(lanes, lane, false)) {
                lane_part(lanes, lane);
        } else {
                seen("a lane left its cohort and there was no span to close");
                lane_cut(lanes, lane, LOSS_MEMORY_SHED);
        }
}

/* ---- who lags ----
 *
 * A lane has two limits: skip_bytes, beyond which what may be dropped of it is (skip.c), and cut_bytes, beyond which it
 * is cut. Both bound all that it has to take, whatever the policy of the operations in it. */

#define DROPPABLE_POLICIES (1u << LAG_DROP_OLDEST | 1u << LAG_CONFLATE)
#define CUTTING_POLICIES (1u << LAG_DISCONNECT | 1u << LAG_BLOCK)

static bool lane_may_skip(const struct lane *lane)
{
        return (lane->policies & DROPPABLE_POLICIES) != 0;
}

/* It is never cut for taking nothing, as it never holds more than its limit. Its keep-alive tells whether it lives. */
static bool lane_is_patient(const struct lane *lane)
{
        return lane_may_skip(lane) && (lane->policies & CUTTING_POLICIES) == 0;
}

static uint64_t lane_cut_bytes(const struct lanes *lanes, const struct lane *lane)
{
        if (lane->cut_bytes != UINT64_MAX)
                return lane->cut_bytes;
        return lane_is_patient(lane) && lane->skip_bytes > lanes->lag_bytes_max ? lane->skip_bytes
                                                                                : lanes->lag_bytes_max;
}

static uint64_t lane_skip_bytes(const struct lanes *lanes, const struct lane *lane)
{
        uint64_t cut_bytes = lane_cut_bytes(lanes, lane);
        return lane->skip_bytes < cut_bytes ? lane->skip_bytes : cut_bytes;
}

/* On a network that keeps what it is lent until the other end has it, every lane with something lent waits, and its
 * place in the list tells for how long. A kernel gives everything back at once: there a lane waits only while it is
 * blocked. */
static void lane_wait(struct lanes *lanes, struct lane *lane, uint64_t now_ns)
{
        lane->waiting_ns = now_ns;
        list_remove(&lane->waiting_link);
        list_push_back(lane_is_patient(lane) ? &lanes->patient : &lanes->waiting, &lane->waiting_link);
}

/* In lanes->waiting or ->patient, and not because it has just become writable: then this turn's flush offers the
 * network what it holds, which may take all. */
static bool lane_is_kept_waiting(const struct lane *lane)
{
        return list_is_linked(&lane->waiting_link) && (lane->blocked || lane->lent_bytes > 0);
}

void lane_set_lag(struct lanes *lanes, struct lane *lane, struct lag lag)
{
        bool may_be_dropped = (DROPPABLE_POLICIES >> lag.policy & 1) != 0, was_patient = lane_is_patient(lane);
        uint64_t *limit = may_be_dropped ? &lane->skip_bytes : &lane->cut_bytes;
        if (lag.limit_bytes < *limit)
                *limit = lag.limit_bytes;
        lane->policies |= (uint8_t)(1u << lag.policy);
        /* Into the other list at its end: its clock starts anew, but no more often than its patience can change. */
        if (list_is_linked(&lane->waiting_link) && lane_is_patient(lane) != was_patient)
                lane_wait(lanes, lane, io_now_ns(lanes->io));
}

/* Publishers of what has the policy block wait from here on. */
static void lane_block(struct lanes *lanes, struct lane *lane)
{
        lane->blocking = LANE_BLOCKS;
        lane->blocking_ns = io_now_ns(lanes->io) + lanes->block_ns;
        list_push_back(&lanes->blocking, &lane->blocking_link);
        if (lane->cohort != NULL)
                lane->cohort->blocking_count++;
}

static void lane_unblock(struct lane *lane, enum lane_blocking blocking)
{
        if (lane->blocking == LANE_BLOCKS) {
                list_remove(&lane->blocking_link);
                if (lane->cohort != NULL)
                        lane->cohort->blocking_count--;
        }
        lane->blocking = (uint8_t)blocking;
}

/* An operation with the policy block was appended. Other than a cut, this does not wait until the network was offered
 * what there is: who publishes much in one turn is held before it is too much. */
void lane_meet_blocking(struct lanes *lanes, struct lane *lane)
{
        if (lane->blocking == LANE_BLOCKS_NOBODY && !lane->is_cut &&
            lane_pending_bytes(lane) > lane_cut_bytes(lanes, lane) / 2)
                lane_block(lanes, lane);
        if (lane->blocking == LANE_BLOCKS)
                lanes->was_blocking = true;
}

/* What so many bytes behind takes of the memory: whole chunks, the first and the last of them hardly used at worst, and
 * where each operation ends. A limit is a promise about memory. */
static uint64_t held_bytes(uint64_t pending_bytes)
{
        uint64_t chunks_bytes = 2 * STREAM_CHUNK_BYTES_LARGE;
        return pending_bytes + pending_bytes / 32 +
               (pending_bytes / 8 < chunks_bytes ? pending_bytes / 8 : chunks_bytes);
}

/* It waits for the network, and may be beyond a limit. */
static void lane_look(struct lanes *lanes, struct lane *lane)
{
        uint64_t pending_bytes = held_bytes(lane_pending_bytes(lane));
        uint64_t cut_bytes = lane_cut_bytes(lanes, lane), skip_bytes = lane_skip_bytes(lanes, lane);
        if (lane->is_cut || !lane_is_kept_waiting(lane))
                return;
        if (pending_bytes <= skip_bytes / 2)
                lane->look_bytes = 0;
        if ((lane->policies >> LAG_BLOCK & 1) != 0 && lane->blocking == LANE_BLOCKS_NOBODY &&
            pending_bytes > cut_bytes / 2)
                lane_block(lanes, lane);
        if (lane_may_skip(lane) && pending_bytes > skip_bytes && pending_bytes > lane->look_bytes) {
                if (!list_is_linked(&lane->lagging_link))
                        list_push_back(&lanes->lagging, &lane->lagging_link);
        } else if (!lane_may_skip(lane) && pending_bytes > cut_bytes) {
                lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
        }
}

/* The network has just taken all that it would. */
static void lane_look_when_blocked(struct lanes *lanes, struct lane *lane, uint64_t now_ns)
{
        uint64_t pending_bytes = held_bytes(lane_pending_bytes(lane));
        if (likely(pending_bytes <= lanes->look_bytes) ||
            pending_bytes <= (lane_may_skip(lane) ? lane_skip_bytes(lanes, lane) : lane_cut_bytes(lanes, lane))) {
                lane->over_ns = 0;
        } else if (lane->over_ns == 0) {
                lane->over_ns = now_ns;
                lanes->must_look = true;
        } else if (now_ns - lane->over_ns >= LANE_OVER_NS) {
                lane->is_over = true;
                lane_look(lanes, lane);
        }
}

void lanes_look(struct lanes *lanes)
{
        list_for_each(&lanes->waiting, link) lane_look(lanes, list_entry(link, struct lane, waiting_link));
        list_for_each(&lanes->patient, link) lane_look(lanes, list_entry(link, struct lane, waiting_link));
        lanes->looked_matched = lanes->account.matched;
        lanes->must_look = false;
        lanes->looked_ns = io_now_ns(lanes->io);
}

/* Lets a lane of lanes->lagging skip, or cuts it; returns how much that cost. */
static uint64_t lane_catch_up(struct lanes *lanes, struct lane *lane)
{
        uint64_t skip_bytes = lane_skip_bytes(lanes, lane), cut_bytes = lane_cut_bytes(lanes, lane), cost_bytes = 0;
        if (lane->is_cut || (!lane_is_kept_waiting(lane) && !lane->is_over))
                return 0; /* the network takes from it again, and may take all */
        lane->is_over = false;
        /* The limit as bytes, where what they take of the memory has reached it. */
        uint64_t waiting_bytes = lane_pending_bytes(lane);
        if (held_bytes(waiting_bytes) > skip_bytes)
                cost_bytes = lane_skip(lanes, lane, waiting_bytes < skip_bytes ? waiting_bytes - 1 : skip_bytes,
                                       LOSS_LAG_SKIP);
        uint64_t pending_bytes = lane_pending_bytes(lane);
        if (pending_bytes - lane->lent_bytes > cut_bytes) {
                lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
                return cost_bytes;
        }
        /* Much that may not be dropped: looked through again when it has grown by a fraction. */
        lane->look_bytes = pending_bytes > skip_bytes - skip_bytes / 4 ? pending_bytes + skip_bytes / 4 : 0;
        if (lane->look_bytes > cut_bytes)
                lane->look_bytes = cut_bytes;
        return cost_bytes;
}

static void lanes_catch_up(struct lanes *lanes)
{
        for (uint64_t cost_bytes = 0; cost_bytes < SKIP_BYTES_MAX && !list_is_empty(&lanes->lagging);) {
                struct lane *lane = list_entry(lanes->lagging.next, struct lane, lagging_link);
                list_remove(&lane->lagging_link);
                cost_bytes += lane_catch_up(lanes, lane);
        }
}

struct lane *lanes_take_news(struct lanes *lanes)
{
        if (list_is_empty(&lanes->news))
                return NULL;
        struct lane *lane = list_entry(lanes->news.next, struct lane, news_link);
        list_remove(&lane->news_link);
        lane->has_news = false;
        return lane;
}

/* ---- private operations ---- */

void lane_count_dropped(struct lanes *lanes, struct lane *lane, enum loss loss, uint64_t count)
{
        lane->account.dropped[loss] += count;
        lanes->account.dropped[loss] += count;
}

void lanes_count_unowned(struct lanes *lanes, enum loss loss, uint64_t count)
{
        /* With those that are gone, so that the sum of all lanes stays that of the accounts. */
        struct account *accounts[] = {&lanes->account, &lanes->closed};
        for (size_t i = 0; i < array_count(accounts); i++) {
                accounts[i]->matched += count;
                accounts[i]->dropped[loss] += count;
        }
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
        while (unlikely(room == NULL) && lanes_shed(lanes) != NULL && !lane->is_cut) {
                seen("memory ran short, and somebody who lagged was shed for an operation");
                room = stream_reserve(&lane->own, &lanes->memory, bytes);
        }
        if (unlikely(room == NULL)) {
                seen("memory ran short for a lane's own operation");
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
        /* What was copied while the lane skipped lies behind the last span in the stream, and before it in the lane. */
        if (last != NULL && last->cohort == NULL && is_behind_last &&
            place_byte(last->place) + last->bytes == place_byte(place)) {
                last->bytes += bytes;
                last->end_event = head_event;
        } else {
                stream_pin(place, 1);
                if (!lane_close_open_span(lanes, lane, false) ||
                    !lane_push_span(lanes, lane, NULL, place, bytes, head_event - events_count, head_event, false)) {
                        seen("an operation was appended and there was no span for it");
                        struct span operation = place_event_bytes(place, false);
                        lane_count_dropped(lanes, lane, LOSS_MEMORY_SHED, events_count);
                        lane_tell_loss(lanes, lane, LOSS_MEMORY_SHED, events_count, operation, operation);
                        stream_unpin(&lane->own, &lanes->memory, place.chunk);
                        lane->elsewhere_bytes -= bytes;
                        lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                        return;
                }
        }
        lane_mark_ready(lanes, lane);
        /* Whom the network was not even offered this has not fallen behind. */
        if (unlikely(stream_held_bytes(&lane->own) > lanes->look_bytes)) {
                if (stream_lag_of(flags) == LAG_BLOCK)
                        lane_meet_blocking(lanes, lane);
                if (list_is_linked(&lane->waiting_link))
                        lane_look(lanes, lane);
        }
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

/* Those that are ready, the first first, as long as there are any and some may be sent. */
static void lanes_send_ready(struct lanes *lanes)
{
        while (lanes->sends_left > 0 && !list_is_empty(&lanes->ready)) {
                struct lane *lane = list_entry(lanes->ready.next, struct lane, ready_link);
                list_remove(&lane->ready_link);
                lane_send(lanes, lane);
                lanes->sends_left--;
        }
}

bool lanes_flush(struct lanes *lanes, size_t sends_max)
{
        lanes->sends_left = sends_max;
        /* Whoever was left over last time has waited longest. */
        lanes_send_ready(lanes);
        list_for_each(&lanes->dirty, link) cohort_flush(lanes, list_entry(link, struct cohort, dirty_link));
        lanes_send_ready(lanes);
        assert(list_is_empty(&lanes->dirty));
        return list_is_empty(&lanes->ready);
}

/* The network took the lane's lowest `bytes`: moves on over closed spans and into the open one. Where the place comes
 * to lie inside a chunk, the chunk's first event is as far as the account follows: to look for the event itself would
 * cost every send of a lagging lane a search. */
static void lane_advance(struct lanes *lanes, struct lane *lane, uint64_t bytes)
{
        while (bytes > 0 && lane->first != NULL) {
                struct lane_span *span = lane->first;
                struct stream *stream = lane_span_stream(lane, span);
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
        if (unlikely(lane->has_news) && sent > 0 && !list_is_linked(&lane->news_link))
                list_push_back(&lanes->news, &lane->news_link);
        if (unlikely(lane->blocking != LANE_BLOCKS_NOBODY) &&
            lane_pending_bytes(lane) <= lane_cut_bytes(lanes, lane) / 4)
                lane_unblock(lane, LANE_BLOCKS_NOBODY);
        if (lane->blocked || lane->lent_bytes > 0) {
                if (sent > 0 || !list_is_linked(&lane->waiting_link))
                        lane_wait(lanes, lane, now_ns);
        } else {
                list_remove(&lane->waiting_link);
        }
        if (sent < bytes)
                lane_look_when_blocked(lanes, lane, now_ns);
        if (!lane_is_drained(lane))
                lane_mark_ready(lanes, lane);
}

void lane_writable(struct lanes *lanes, struct lane *lane)
{
        lane->blocked = false;
        /* All that it had to take may have been skipped: then nothing is sent whose release would tell it. */
        if (unlikely(lane->has_news) && !list_is_linked(&lane->news_link))
                list_push_back(&lanes->news, &lane->news_link);
        /* It keeps its place among those that wait until the network takes something: that it calls itself writable is
         * no more than a hint. */
        if (lane_is_drained(lane) || lane->ended)
                list_remove(&lane->waiting_link);
        else
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

struct place place_behind(struct place place, uint64_t bytes)
{
        bytes += place.offset;
        while (bytes >= place.chunk->used_bytes) {
                bytes -= place.chunk->used_bytes;
                place.chunk = place.chunk->next;
        }
        place.offset = (uint32_t)bytes;
        return place;
}

bool lane_place_not_lent(const struct lane *lane, struct place *place)
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
        if (count > 0) {
                first_lost = place_event_bytes(place_behind(from, moved_bytes), false);
                /* The span may end inside an event that an earlier cut has told of. */
                if (place_event(last) < span->end_event)
                        last_lost = place_event_bytes(last, true);
                else if (count == 1)
                        last_lost = first_lost;
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
                stream_unpin(lane_span_stream(lane, span), &lanes->memory, span->place.chunk);
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
        *copy = stream_commit(&lane->own, bytes, (place_flags(place) & STREAM_REPLY) | STREAM_REST);
        stream_pin(*copy, 1);
        return true;
}

void lane_cut(struct lanes *lanes, struct lane *lane, enum loss loss)
{
        struct place place, copy;
        uint64_t moved_events = 0;
        if (lane->is_cut)
                return;
        uint64_t sent_bytes = lane_sent_bytes(lane);
        size_t rest_bytes = !lane->ended && lane_place_not_lent(lane, &place) ? place_rest_bytes(place) : 0;
        bool is_copied = lane->lent_bytes == 0 && rest_bytes > 0 && lane_copy(lanes, lane, place, rest_bytes, &copy);
        lane_unblock(lane, LANE_HAS_BLOCKED);
        lane->is_cut = true;
        lane->loss = (uint8_t)loss;
        if (loss == LOSS_MEMORY_SHED)
                lanes->shed_count++;
        if (is_copied) {
                seen("a lane was cut inside an operation, whose rest was copied");
                moved_events = (place_flags(copy) & STREAM_REPLY) == 0;
                lane_truncate(lanes, lane, 0, rest_bytes, moved_events, loss);
                uint64_t head_event = lane->own.head_event;
                lane_push_span(lanes, lane, NULL, copy, rest_bytes, head_event - moved_events, head_event, true);
        } else {
                if (rest_bytes > 0)
                        seen("a lane was cut inside an operation, whose rest stayed pinned");
                if (lane->lent_bytes > 0)
                        seen("a lane was cut while a send had its bytes");
                lane_truncate(lanes, lane, lane->lent_bytes + rest_bytes, 0, 0, loss);
        }
        lane_keep_sent(lane, sent_bytes);
        list_remove(&lane->ready_link);
        list_push_back(&lanes->cut, &lane->ready_link);
}

void lane_give_up(struct lanes *lanes, struct lane *lane)
{
        uint64_t sent_bytes = lane_sent_bytes(lane);
        assert(lane->is_cut);
        lane->ended = true;
        list_remove(&lane->ready_link);
        if (lane->lent_bytes > 0)
                seen("a cut lane was given up while a send had its bytes");
        lane_truncate(lanes, lane, lane->lent_bytes, 0, 0, (enum loss)lane->loss);
        lane_keep_sent(lane, sent_bytes);
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

/* The first of a list that holds more than is lent; it skips that, or is cut. NULL: nobody has any to give. */
static struct lane *lanes_shed_from(struct lanes *lanes, struct list *list, bool may_cut)
{
        list_for_each(list, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                if (lane->is_cut || !lane_is_kept_waiting(lane) || (!may_cut && !lane_may_skip(lane)) ||
                    lane_pending_bytes(lane) <= lane->lent_bytes)
                        continue;
                if (may_cut)
                        lane_cut(lanes, lane, LOSS_MEMORY_SHED);
                else if (lane_skip(lanes, lane, 0, LOSS_MEMORY_SHED) == 0)
                        continue;
                return lane;
        }
        return NULL;
}

struct lane *lanes_skip_for_memory(struct lanes *lanes)
{
        struct lane *lane = lanes_shed_from(lanes, &lanes->patient, false);
        return lane != NULL ? lane : lanes_shed_from(lanes, &lanes->waiting, false);
}

struct lane *lanes_shed(struct lanes *lanes)
{
        struct lane *lane = lanes_skip_for_memory(lanes);
        if (lane == NULL)
                lane = lanes_shed_from(lanes, &lanes->waiting, true);
        if (lane == NULL)
                lane = lanes_shed_from(lanes, &lanes->patient, true);
        return lane;
}

static uint64_t lanes_cut_stalled(struct lanes *lanes, uint64_t now_ns)
{
        list_for_each(&lanes->waiting, link)
        {
                struct lane *lane = list_entry(link, struct lane, waiting_link);
                if (lane->is_cut)
                        continue; /* its peer gives it a second of its own */
                if (!lane_is_kept_waiting(lane))
                        continue; /* who was asleep with us may be awake, too */
                if (lane->waiting_ns + lanes->stall_ns_max > now_ns)
                        return lane->waiting_ns + lanes->stall_ns_max;
                lane_cut(lanes, lane, LOSS_SLOW_CONSUMER);
        }
        return UINT64_MAX;
}

/* Who has held publishers for long enough holds them no more, until it has drained. */
static uint64_t lanes_end_blocks(struct lanes *lanes, uint64_t now_ns)
{
        while (!list_is_empty(&lanes->blocking)) {
                struct lane *lane = list_entry(lanes->blocking.next, struct lane, blocking_link);
                if (lane->blocking_ns > now_ns)
                        return lane->blocking_ns;
                lane_unblock(lane, LANE_HAS_BLOCKED);
        }
        return UINT64_MAX;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

uint64_t lanes_tend(struct lanes *lanes, uint64_t now_ns)
{
        uint64_t next_ns = min_of(lanes_cut_stalled(lanes, now_ns), lanes_end_blocks(lanes, now_ns));
        bool is_waiting = !list_is_empty(&lanes->waiting) || !list_is_empty(&lanes->patient);
        if (is_waiting && (lanes->must_look || lanes->looked_matched != lanes->account.matched)) {
                if (now_ns >= lanes->looked_ns + LOOK_NS)
                        lanes_look(lanes);
                else
                        next_ns = min_of(next_ns, lanes->looked_ns + LOOK_NS);
        }
        lanes_catch_up(lanes);
        return list_is_empty(&lanes->lagging) && list_is_empty(&lanes->cut) ? next_ns : now_ns;
}

void lane_fini(struct lanes *lanes, struct lane *lane, enum loss loss)
{
        assert(lane->lent_bytes == 0);
        lane_unblock(lane, LANE_BLOCKS_NOBODY);
        lane_truncate(lanes, lane, 0, 0, 0, lane->is_cut ? (enum loss)lane->loss : loss);
        account_add(&lanes->closed, &lane->account);
        list_remove(&lane->waiting_link);
        list_remove(&lane->ready_link);
        list_remove(&lane->lagging_link);
        list_remove(&lane->news_link);
        assert(lane->blocking != LANE_BLOCKS);
        assert(lane->first == NULL);
        assert(lane->own.oldest == NULL);
}
