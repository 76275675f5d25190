/* parting: the subscriptions of a session that has ended, taken away a part in each turn, so that the end of one with a
 * million of them holds up nobody.
 *
 *      session ends ─▶ few: at once
 *                   └▶ many: reactor->parting, the first first ─▶ so many a turn ─▶ none left: its memory is given back
 *
 * So many a turn, and no more than the matcher's writer takes: what others subscribe to meanwhile goes behind what is
 * withdrawn, and must not wait for the last of it.
 *
 * Until then the session gets no event (session->is_parting), and its memory stays, also when its connection is closed
 * and its slot another's. What it has published of itself stays a moment longer, too: others find nobody there, as when
 * a member has just left. Belongs to one reactor. */
#ifndef SPATE_ENGINE_PARTING_H
#define SPATE_ENGINE_PARTING_H

#include "engine/base/check.h"

struct reactor;
struct session;

#define PARTING_TURN_SUBSCRIPTIONS 2048 /* in a turn: a millisecond or less */
#define PARTING_SLOTS 64 /* closed ones may wait for their memory beside as many connections as there may be */

/* The session has ended and left its cohort. */
void parting_begin(struct reactor *reactor, struct session *session);
/* Once a turn. */
void partings_go_on(struct reactor *reactor);
/* Some of it can be done now: no sleep. Otherwise the matcher's writer wakes us when it has made room. */
bool partings_must_turn(const struct reactor *reactor);
/* There is no memory for a connection: ends those that wait, the first first, until some is given back. */
void partings_make_room(struct reactor *reactor);
/* All of them, at the reactor's end. */
void partings_finish(struct reactor *reactor);

#endif
