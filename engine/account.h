/* account: what a reader was owed and what became of it, in events.
 *
 *      matched = released + dropped{reason} + pending
 *
 * always, for each connection, each cohort and the reactor. Matched is counted when an event is appended; what was
 * released follows from where the reader stands in its streams (engine/lane.h), so that the sum is a check and not a
 * definition. Released: the network took it, and on our own TCP the other end has acknowledged it. Replies (PONG, INFO,
 * HTTP answers) are in no account. Each account belongs to one reactor. */
#ifndef SPATE_ENGINE_ACCOUNT_H
#define SPATE_ENGINE_ACCOUNT_H

#include "engine/base/check.h"

/* clang-format off */
/* Why an event was not released. A closed set: it is in metrics, in the ledger and in what clients are told. */
#define LOSS_TABLE(ROW)                                                                                                \
        ROW(SLOW_CONSUMER,   "slow_consumer",   "the subscriber fell too far behind, or took nothing for too long")    \
        ROW(LAG_SKIP,        "lag_skip",        "the subscriber lagged, and its oldest events were skipped")           \
        ROW(CONFLATED,       "conflated",       "a newer event of the same subject took its place")                    \
        ROW(OVER_LIMIT,      "over_limit",      "it was larger or more than a limit allows")                           \
        ROW(NO_PERMISSION,   "no_permission",   "the user may not see this subject")                                   \
        ROW(INVALID,         "invalid",         "the subscriber broke its protocol and was closed")                    \
        ROW(DRAINING,        "draining",        "the server stopped before the subscriber took it")                    \
        ROW(UPGRADE,         "upgrade",         "the server was replaced before the subscriber took it")               \
        ROW(TRANSPORT_ERROR, "transport_error", "the connection closed or broke before the subscriber took it")        \
        ROW(MEMORY_SHED,     "memory_shed",     "the stream memory was full, and the subscriber held the oldest of it")
/* clang-format on */

enum loss {
#define LOSS_ID(id, name, meaning) LOSS_##id,
        LOSS_TABLE(LOSS_ID)
#undef LOSS_ID
                LOSSES
};

struct account {
        uint64_t matched, released;
        uint64_t dropped[LOSSES];
};

static inline const char *loss_name(enum loss loss)
{
        static const char *const names[LOSSES] = {
#define LOSS_NAME(id, name, meaning) [LOSS_##id] = name,
                LOSS_TABLE(LOSS_NAME)
#undef LOSS_NAME
        };
        assert(loss < LOSSES);
        return names[loss];
}

static inline const char *loss_meaning(enum loss loss)
{
        static const char *const meanings[LOSSES] = {
#define LOSS_MEANING(id, name, meaning) [LOSS_##id] = meaning,
                LOSS_TABLE(LOSS_MEANING)
#undef LOSS_MEANING
        };
        assert(loss < LOSSES);
        return meanings[loss];
}

static inline uint64_t account_dropped(const struct account *account)
{
        uint64_t sum = 0;
        for (int i = 0; i < LOSSES; i++)
                sum += account->dropped[i];
        return sum;
}

static inline void account_add(struct account *sum, const struct account *account)
{
        sum->matched += account->matched;
        sum->released += account->released;
        for (int i = 0; i < LOSSES; i++)
                sum->dropped[i] += account->dropped[i];
}

#endif
