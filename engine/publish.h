/* publish: from an event to everyone who wants it.
 *
 *      event ─ cache, matcher ─▶ pattern ids ─▶ routes: cohorts, private ones       here, one append each
 *                                            ─▶ interests of the other reactors ─▶ mailboxes, one record each
 *                                            ─▶ queue groups of all reactors    ─▶ one member of each name
 *
 * An event goes to all reactors that want it, or its publisher is held in front of it. What a reactor gives back,
 * because the members that were picked there have left, is tried again elsewhere. Belongs to one reactor. */
#ifndef SPATE_ENGINE_PUBLISH_H
#define SPATE_ENGINE_PUBLISH_H

#include "engine/route.h"

/* Publishes `events_count` (1 .. MATCH_BATCH_MAX) events of one session, in order, to everyone who wants them, on every
 * reactor. Returns how many: fewer when a reactor has no room for the next one, which has gone to nobody then; the
 * publisher is held, and comes again with it. */
size_t publish_events(struct reactor *reactor, struct session *from, const struct event *events, size_t events_count);

/* A record from another reactor's mailbox. false: it has to be returned and cannot be now; come again with it. */
bool publish_receive(struct reactor *reactor, unsigned sender, struct span record);
/* RETURN: a record of ours has come back from `returner`, with the groups that have no member left there. */
void publish_returned(struct reactor *reactor, unsigned returner, uint64_t position);
/* Behind a number of publish_receive(). */
void publish_received(struct reactor *reactor);

/* The session's own plain subscription that `reply` would reach, or NULL. Safe while a batch is being delivered. */
struct subscription *publish_find_for_reply(struct reactor *reactor, const struct session *session, struct span reply);

#endif
