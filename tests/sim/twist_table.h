/* What makes a world difficult, a row each: its name, and what it does. A seed draws them all; --without leaves some
 * out, and so does shrinking. */
#ifndef SPATE_SIM_TWIST_TABLE_H
#define SPATE_SIM_TWIST_TABLE_H

/* clang-format off */
#define TWIST_TABLE(ROW)                                                                                               \
        ROW(SHORT_SEND,   "short-send",   "sends are taken in part, or not at all")                                    \
        ROW(LATE_RELEASE, "late-release", "lent bytes come back late, and are read again before")                      \
        ROW(SPLIT,        "split",        "bytes are told in pieces")                                                  \
        ROW(COALESCE,     "coalesce",     "bytes wait for those behind them")                                          \
        ROW(RESET,        "reset",        "connections break")                                                         \
        ROW(REFUSE,       "refuse",       "wishes to connect are refused")                                             \
        ROW(STALL,        "stall",        "readers stop to read, and go on")                                           \
        ROW(JUMP,         "jump",         "the clock jumps, as when the machine was asleep")                           \
        ROW(LEAVE,        "leave",        "clients shut down, close or reset")                                         \
        ROW(JOIN,         "join",         "clients come in the middle of things")                                      \
        ROW(AWAY,         "away",         "reactors lose their core for a while")                                      \
        ROW(LATE_START,   "late-start",   "reactors begin to turn late")                                               \
        ROW(SLEEP,        "sleep",        "reactors sleep, and others turn inside and wake them")                      \
        ROW(SMALL_BOX,    "small-box",    "mailboxes are small, so that publishers are held")                          \
        ROW(SMALL_MEMORY, "small-memory", "stream memory is small, so that some of it is shed")                        \
        ROW(LAG,          "lag",          "small limits, and policies that drop, conflate and block")                  \
        ROW(CROWD,        "crowd",        "fewer connections are let in than there are clients")                       \
        ROW(HOARD,        "hoard",        "some clients have thousands of subscriptions")                              \
        ROW(USERS,        "users",        "clients log in, and may not do everything")                                 \
        ROW(RELOAD,       "reload",       "settings and users change on the way")                                      \
        ROW(PACE,         "pace",         "subscriptions are taken a few at a time, and to a rate")                    \
        ROW(CACHE,        "cache",        "few subjects are remembered, or none")                                      \
        ROW(ASK,          "ask",          "somebody asks the admin address")                                           \
        ROW(LARGE,        "large",        "some events are large")                                                     \
        ROW(GROUPS,       "groups",       "some subscriptions are members of queue groups")                            \
        ROW(LIMITED,      "limited",      "some subscriptions end by themselves after so many events")                 \
        ROW(NO_MEMORY,    "no-memory",    "the heap has nothing more for the engine, now and then")
/* clang-format on */

enum twist {
#define TWIST_ID(id, name, meaning) TWIST_##id,
        TWIST_TABLE(TWIST_ID)
#undef TWIST_ID
                TWISTS
};

#endif
