/* session: one NATS connection: what it said it is, what it subscribed to, what it is owed.
 *
 * Speaks as nats-server 2.9 does wherever a client can see it; where it differs on purpose, ARCHITECTURE.md says so.
 * Belongs to one reactor. */
#ifndef SPATE_ENGINE_SESSION_H
#define SPATE_ENGINE_SESSION_H

#include "engine/login.h"
#include "engine/pace.h"
#include "engine/peer.h"
#include "engine/registry.h"
#include "engine/tempo.h"
#include "io/wire/nats.h"

#define SESSION_PERMITTED_BYTES 55
#define SESSION_LIBRARY_BYTES 16

struct session {
        struct peer peer;
        struct list subscriptions;             /* by session_link, oldest first */
        struct list crowded_link;              /* in reactor->crowded */
        struct list parting_link;              /* in reactor->parting */
        struct registered_cohort *cohort;      /* joined, or waiting for a second member */
        uint64_t key_low, key_high;            /* sum over the shareable subscriptions: see registry.h */
        struct subscription *lag_subscription; /* to SESSION_LAG_SUBJECT; NULL: it does not want to know */
        uint64_t lag_told[3];                  /* what it knows to be skipped, for each of its reasons */
        uint32_t subscriptions_count;
        uint32_t shareable_count;
        uint32_t asks_count; /* subscriptions that are not visible on every reactor yet */
        struct login login;
        struct tempo tempo;
        struct pace pace;
        struct usage *usage;                   /* its user's; NULL: there are no users */
        uint32_t shapes_count;                 /* of its patterns, while it has no usage */
        const struct permissions *permissions; /* NULL: no restrictions */
        const struct permissions *filter;      /* the same where each event to deliver has to be asked for; else NULL */
        uint64_t client_id;
        uint64_t handshake_ns; /* by then a first operation must have come; 0: it has */
        uint64_t quiet_ns;     /* when the set counts as quiet; 0: it is filed, or there is nothing to share */
        uint64_t ping_ns;      /* when the next PING is due */
        uint64_t input_ns;     /* when something last came in */
        uint64_t received_bytes, received_events;
        uint8_t pings_out; /* PINGs not answered yet */
        bool verbose, pedantic, echo, headers, no_responders, info_updates;
        bool has_round_trip;          /* a PING of ours has been answered */
        bool is_ok_said;              /* of the event that was held for want of room: its +OK */
        bool is_private;              /* keeps out of cohorts: echo:false and publishing, or crowded */
        bool is_crowded;              /* is_private until the lane has drained */
        bool is_parting;              /* has ended, and not all of its subscriptions are gone: it gets no event */
        char name[LEDGER_NAME_BYTES]; /* as CONNECT told it, cut, for people */
        bool limits_publish; /* each subject to publish to has to be asked for, unless it is the last one again: */
        uint8_t permitted_bytes;
        uint8_t permitted[SESSION_PERMITTED_BYTES];
        char lang[SESSION_LIBRARY_BYTES], version[SESSION_LIBRARY_BYTES]; /* of the client's library, cut */
};

extern const struct peer_protocol session_protocol;

static inline struct session *session_of(struct peer *peer)
{
        return container_of(peer, struct session, peer);
}

/* May anybody publish to it? `subject` is not empty. */
enum session_subject {
        SESSION_SUBJECT_TAKEN,
        SESSION_SUBJECT_RESERVED, /* of nats-server's own, or ours: $SPATE. */
        SESSION_SUBJECT_LONG,     /* more than MATCH_SUBJECT_BYTES_MAX */
        SESSION_SUBJECT_DEEP,     /* more than MATCH_TOKENS_MAX */
};
enum session_subject session_judge_subject(struct span subject);

/* Says `text` ("-ERR …\r\n", or nothing) and ends. */
void session_refuse(struct reactor *reactor, struct session *session, struct span text, enum counter_id reason);
/* Sets the timer to whatever comes next. */
void session_arm(struct reactor *reactor, struct session *session);
/* It is this user from now on. Subscriptions that the user may not have are told and taken away. */
void session_become(struct reactor *reactor, struct session *session, const struct user *user);
/* May the session see this event by this subscription? */
bool session_may_have(const struct session *session, const struct subscription *subscription,
                      const struct event *event);
/* A subscription that route_subscribe() left waiting is visible everywhere now, or has failed with `error`. */
void session_subscribed(struct reactor *reactor, struct subscription *subscription, int error);
/* Takes the subscription away, whatever it still waits for. */
void session_forget(struct reactor *reactor, struct session *session, struct subscription *subscription);
/* Encodes one event for this subscription alone. false: it was not delivered (its lane is cut, or it has had its
 * maximum). */
bool session_deliver(struct reactor *reactor, struct subscription *subscription, const struct event *event);
/* Nobody was there for a request. */
void session_no_responders(struct reactor *reactor, struct session *session, const struct event *event);
/* On this subject a client hears what was skipped of its own events, if it subscribes to it by name. */
#define SESSION_LAG_SUBJECT "$SPATE.LAG"
/* Tells those who want to know of it that something was skipped, now that they read again. */
void sessions_tell_lag(struct reactor *reactor);
/* Takes sessions whose way out has too many turns (LANE_SPANS_CROWDED) out of their cohorts until it is drained. */
void sessions_part_crowded(struct reactor *reactor);
/* Tells the client that the server goes away (lame duck). */
void session_tell_lame_duck(struct reactor *reactor, struct session *session);

#endif
