/* callfaults: stands between the engine and its backend and refuses what tests/fault/faults.h says is to be refused, in
 * the ways that io/io.h allows a backend to fail. What the backend itself needs never fails meanwhile: it is the world.
 *
 *      engine ── io.h ──▶ callfaults ──▶ io/sim
 *
 * io_connect() and the datagram calls are handed on as they are: the engine makes none of them yet. */
#ifndef SPATE_TESTS_CALLFAULTS_H
#define SPATE_TESTS_CALLFAULTS_H

#include "io/io.h"

/* The connection is to break: the world resets its own end of it. */
typedef void callfaults_break(void *context, struct io *io, io_id id);

/* Goes between, until io_stop(). `first_listener` is added to the numbers that the backend hears of listeners, so that
 * those of each reactor have their own. */
void callfaults_enter(struct io *io, uint32_t first_listener, callfaults_break *break_connection, void *context);

#endif
