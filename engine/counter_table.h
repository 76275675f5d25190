/* Everything that is counted, one row each: name, labels, help, kind. /metrics, `spate status` and the reference come
 * from here. */
#ifndef SPATE_ENGINE_COUNTER_TABLE_H
#define SPATE_ENGINE_COUNTER_TABLE_H

#include "engine/account.h"
#include "engine/base/counters.h"

/* clang-format off */
/*      id                      name                    labels                        help                                                      kind */
#define COUNTER_TABLE(ROW)                                                                                                                                  \
        ROW(EVENTS_RECEIVED, "events_received", "protocol=\"nats\"", "Events that publishers sent", COUNTER_TOTAL)                                           \
        ROW(EVENT_BYTES_RECEIVED, "event_bytes_received", "protocol=\"nats\"", "Payload and header bytes of these events", COUNTER_TOTAL)                    \
        ROW(EVENTS_UNMATCHED, "events_unmatched", "", "Events that nobody had subscribed to", COUNTER_TOTAL)                                                 \
        ROW(EVENTS_REFUSED, "events_refused", "", "Events refused for their subject: reserved, too long or too deep", COUNTER_TOTAL)                         \
        ROW(DELIVERIES_MATCHED, "deliveries_matched", "", "Deliveries owed: one for each event and matching subscriber", COUNTER_TOTAL)                      \
        ROW(DELIVERIES_RELEASED, "deliveries_released", "", "Deliveries that the network took", COUNTER_TOTAL)                                               \
        ROW(DROPPED_SLOW_CONSUMER, "deliveries_dropped", "reason=\"slow_consumer\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)               \
        ROW(DROPPED_LAG_SKIP, "deliveries_dropped", "reason=\"lag_skip\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                         \
        ROW(DROPPED_CONFLATED, "deliveries_dropped", "reason=\"conflated\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                       \
        ROW(DROPPED_OVER_LIMIT, "deliveries_dropped", "reason=\"over_limit\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                     \
        ROW(DROPPED_NO_PERMISSION, "deliveries_dropped", "reason=\"no_permission\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)               \
        ROW(DROPPED_INVALID, "deliveries_dropped", "reason=\"invalid\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                           \
        ROW(DROPPED_DRAINING, "deliveries_dropped", "reason=\"draining\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                         \
        ROW(DROPPED_UPGRADE, "deliveries_dropped", "reason=\"upgrade\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                           \
        ROW(DROPPED_TRANSPORT_ERROR, "deliveries_dropped", "reason=\"transport_error\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)           \
        ROW(DROPPED_MEMORY_SHED, "deliveries_dropped", "reason=\"memory_shed\"", "Deliveries owed and not made, by reason", COUNTER_TOTAL)                   \
        ROW(DELIVERIES_PENDING, "deliveries_pending", "", "Deliveries owed and still on their way: matched less released less dropped", COUNTER_GAUGE)       \
        ROW(NO_RESPONDERS, "no_responders", "", "Requests answered with 503 because nobody listens", COUNTER_TOTAL)                                          \
        ROW(COHORT_APPENDS, "cohort_appends", "", "Events encoded into a cohort's stream", COUNTER_TOTAL)                                                    \
        ROW(PRIVATE_APPENDS, "private_appends", "", "Events encoded for one subscriber alone", COUNTER_TOTAL)                                                \
        ROW(CACHE_HITS, "topic_cache_lookups", "result=\"hit\"", "Events asked of the topic cache, by whether it knew what they match", COUNTER_TOTAL)              \
        ROW(CACHE_MISSES, "topic_cache_lookups", "result=\"miss\"", "Events asked of the topic cache, by whether it knew what they match", COUNTER_TOTAL)            \
        ROW(CROSSINGS, "crossings", "", "Events sent to another reactor, once for each", COUNTER_TOTAL)                                                      \
        ROW(PUBLISHERS_BLOCKED, "publishers_blocked", "", "Times that a publisher was held for a subscriber with the lag policy block", COUNTER_TOTAL) \
        ROW(PUBLISHERS_HELD, "publishers_held", "", "Times that a publisher was held because a mailbox was full", COUNTER_TOTAL)                             \
        ROW(PUBLISHERS_PACED, "publishers_paced", "", "Times that a publisher was held because it was faster than --publish-rate or --publish-bytes", COUNTER_TOTAL)       \
        ROW(WATERMARK_CUTS, "watermark_cuts", "", "Subscribers cut off because memory was nearly full and they were furthest behind", COUNTER_TOTAL)           \
        ROW(CONNECTIONS_ACCEPTED, "connections_accepted", "", "Connections accepted", COUNTER_TOTAL)                                                         \
        ROW(CLIENTS_LET_IN, "clients_let_in", "", "Clients let in by the limits", COUNTER_TOTAL)                                                             \
        ROW(CLOSED_BY_PEER, "connections_closed", "reason=\"peer\"", "Connections closed, by reason", COUNTER_TOTAL)                                         \
        ROW(CLOSED_BROKEN, "connections_closed", "reason=\"transport_error\"", "Connections closed, by reason", COUNTER_TOTAL)                               \
        ROW(CLOSED_PROTOCOL, "connections_closed", "reason=\"protocol_error\"", "Connections closed, by reason", COUNTER_TOTAL)                              \
        ROW(CLOSED_SLOW, "connections_closed", "reason=\"slow_consumer\"", "Connections closed, by reason", COUNTER_TOTAL)                                   \
        ROW(CLOSED_MEMORY, "connections_closed", "reason=\"memory_shed\"", "Connections closed, by reason", COUNTER_TOTAL)                                   \
        ROW(CLOSED_STALE, "connections_closed", "reason=\"stale\"", "Connections closed, by reason", COUNTER_TOTAL)                                          \
        ROW(CLOSED_HANDSHAKE, "connections_closed", "reason=\"handshake_timeout\"", "Connections closed, by reason", COUNTER_TOTAL)                          \
        ROW(CLOSED_REFUSED, "connections_closed", "reason=\"over_limit\"", "Connections closed, by reason", COUNTER_TOTAL)                                   \
        ROW(CLOSED_UNAUTHORIZED, "connections_closed", "reason=\"unauthorized\"", "Connections closed, by reason", COUNTER_TOTAL)                            \
        ROW(CLOSED_DRAINING, "connections_closed", "reason=\"draining\"", "Connections closed, by reason", COUNTER_TOTAL)                                    \
        ROW(CLOSED_DONE, "connections_closed", "reason=\"done\"", "Connections closed, by reason", COUNTER_TOTAL)                                            \
        ROW(CLOSED_BANNED, "connections_closed", "reason=\"banned\"", "Connections closed, by reason", COUNTER_TOTAL)                                         \
        ROW(LOGINS_GRANTED, "logins", "result=\"granted\"", "Logins, by result; busy: too many at a time, not tried", COUNTER_TOTAL)                           \
        ROW(LOGINS_REFUSED, "logins", "result=\"refused\"", "Logins, by result; busy: too many at a time, not tried", COUNTER_TOTAL)                           \
        ROW(LOGINS_BUSY, "logins", "result=\"busy\"", "Logins, by result; busy: too many at a time, not tried", COUNTER_TOTAL)                                 \
        ROW(PUBLISHES_DENIED, "permission_denials", "of=\"publish\"", "Operations that the user may not do", COUNTER_TOTAL)                                  \
        ROW(SUBSCRIBES_DENIED, "permission_denials", "of=\"subscribe\"", "Operations that the user may not do", COUNTER_TOTAL)                               \
        ROW(SUBSCRIPTIONS_REFUSED, "subscriptions_refused", "", "SUBs refused: over the limit or not a legal subject", COUNTER_TOTAL)                        \
        ROW(SUBSCRIPTIONS_OVER_CONNECTION, "subscriptions_over_limit", "option=\"max-subscriptions\"", "SUBs refused for a limit, by the option that sets it", COUNTER_TOTAL) \
        ROW(SUBSCRIPTIONS_OVER_ALL, "subscriptions_over_limit", "option=\"max-patterns\"", "SUBs refused for a limit, by the option that sets it", COUNTER_TOTAL) \
        ROW(SUBSCRIPTIONS_OVER_USER, "subscriptions_over_limit", "option=\"max-user-patterns\"", "SUBs refused for a limit, by the option that sets it", COUNTER_TOTAL) \
        ROW(SUBSCRIPTIONS_OVER_SHAPES, "subscriptions_over_limit", "option=\"max-user-shapes\"", "SUBs refused for a limit, by the option that sets it", COUNTER_TOTAL) \
        ROW(SUBSCRIBERS_HELD_TURN, "subscribers_held", "reason=\"turn\"", "Times that a connection was held because it subscribed faster than a turn takes, or than --subscribe-rate", COUNTER_TOTAL) \
        ROW(SUBSCRIBERS_HELD_RATE, "subscribers_held", "reason=\"rate\"", "Times that a connection was held because it subscribed faster than a turn takes, or than --subscribe-rate", COUNTER_TOTAL) \
        ROW(RELOADS_TAKEN, "reloads", "result=\"taken\"", "Times that the configuration was read again, by result", COUNTER_TOTAL)                           \
        ROW(RELOADS_REFUSED, "reloads", "result=\"refused\"", "Times that the configuration was read again, by result", COUNTER_TOTAL)                       \
        ROW(RELOAD_IS_TAKEN, "config_last_reload_successful", "", "Was the configuration taken up when it was last read", COUNTER_GAUGE)                     \
        ROW(RELOAD_TIME, "config_last_reload_success_timestamp_seconds", "", "When the configuration was last taken up, since 1970", COUNTER_GAUGE)          \
        ROW(REACTORS_STUCK, "reactors_stuck", "", "Reactors that have not turned since they were last woken", COUNTER_GAUGE)                                 \
        ROW(REACTOR_STALLS, "reactor_stalls", "", "Times that a reactor was found not to turn", COUNTER_TOTAL)                                               \
        ROW(TURNS, "turns", "", "Turns of the reactor", COUNTER_TOTAL)                                                                                       \
        ROW(POLLS, "polls", "", "Calls of the backend's poll", COUNTER_TOTAL)                                                                                \
        ROW(SYSTEM_CALLS, "system_calls", "", "System calls made to move bytes", COUNTER_TOTAL)                                                              \
        ROW(SENDS, "sends", "", "Sends handed to the backend", COUNTER_TOTAL)                                                                                \
        ROW(SENDS_SHORT, "sends_short", "", "Sends of which the network took only a part", COUNTER_TOTAL)                                                    \
        ROW(BYTES_SENT, "bytes_sent", "", "Bytes the network took", COUNTER_TOTAL)                                                                           \
        ROW(RECEIVES, "receives", "", "Receives completed", COUNTER_TOTAL)                                                                                   \
        ROW(BYTES_RECEIVED, "bytes_received", "", "Bytes received", COUNTER_TOTAL)                                                                           \
        ROW(ACCEPTS_REFUSED, "accepts_refused", "", "Connections closed at once: no slot or no file descriptor", COUNTER_TOTAL)                              \
        ROW(BUFFERS_SHORT, "receive_buffers_short", "", "Times that no receive buffer was free", COUNTER_TOTAL)                                              \
        ROW(CONNECTIONS, "connections", "", "Connections open now", COUNTER_GAUGE)                                                                           \
        ROW(CLIENTS, "clients", "", "Clients let in and not gone, which --max-connections limits", COUNTER_GAUGE)                                            \
        ROW(SUBSCRIPTIONS, "subscriptions", "", "Subscriptions now", COUNTER_GAUGE)                                                                          \
        ROW(PATTERNS, "patterns", "", "Distinct patterns now", COUNTER_GAUGE)                                                                                \
        ROW(COHORTS, "cohorts", "", "Cohorts now, waiting ones included", COUNTER_GAUGE)                                                                     \
        ROW(COHORT_MEMBERS, "cohort_members", "", "Connections that share a cohort now", COUNTER_GAUGE)                                                      \
        ROW(STREAM_BYTES, "stream_memory_bytes", "", "Memory of stream chunks and kept input in use now", COUNTER_GAUGE)                                     \
        ROW(WATERMARK, "memory_watermark", "", "Step of memory use, summed over reactors: 1 impatient, 2 nobody new, 3 cutting", COUNTER_GAUGE)                  \
        ROW(HEAP_BYTES, "heap_bytes", "", "Bytes allocated on the heap now", COUNTER_GAUGE) \
        ROW(STREAM_BYTES_MAX, "stream_memory_limit_bytes", "", "Memory set aside for stream chunks and kept input", COUNTER_GAUGE)

/* clang-format on */

enum counter_id {
#define COUNTER_ID(id, name, labels, help, kind) COUNT_##id,
        COUNTER_TABLE(COUNTER_ID)
#undef COUNTER_ID
                COUNTERS_COUNT
};

/* The row of deliveries_dropped for `loss`: they stand in the order of LOSS_TABLE. */
#define COUNT_DROPPED(loss) ((enum counter_id)(COUNT_DROPPED_SLOW_CONSUMER + (loss)))
#define LOSS_ROW_IN_PLACE(id, name, meaning)                                                                           \
        static_assert((int)COUNT_DROPPED_##id == (int)COUNT_DROPPED_SLOW_CONSUMER + (int)LOSS_##id, name);
LOSS_TABLE(LOSS_ROW_IN_PLACE)
#undef LOSS_ROW_IN_PLACE

extern const struct counter_row counter_rows[COUNTERS_COUNT];

#endif
