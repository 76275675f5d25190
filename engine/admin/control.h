/* control: what an operator asks of the running server at the admin address: to read its configuration again, or to
 * end. The connection that asks for a reload is held until it is known what came of it; nothing waits otherwise.
 *
 *      POST /reload ─▶ control_ask_reload ─▶ is_reload_asked ─▶ (the first reactor's loop) ─▶ control_reloaded
 *      POST /drain  ─▶ control_ask_drain ─▶ SIGTERM to ourselves: one way to end, not two
 *
 * Belongs to the thread of the first reactor, which has the admin address. */
#ifndef SPATE_ENGINE_ADMIN_CONTROL_H
#define SPATE_ENGINE_ADMIN_CONTROL_H

#include "engine/reload.h"
#include "io/io.h"

#define CONTROL_ASKERS_MAX 16

struct control {
        bool is_reload_asked; /* for the loop to see, and to take back */
        unsigned askers_count;
        io_id askers[CONTROL_ASKERS_MAX];
};

/* false: too many wait for that already. */
bool control_ask_reload(struct control *control, io_id asker);
/* 0 or -errno. */
int control_ask_drain(void);

/* The reload that was asked for is over; `outcome` is NULL when there was nothing to do. Tells all who asked, and the
 * metrics. Between two turns. */
void control_reloaded(struct control *control, struct reactor *reactor, const struct reload_outcome *outcome);

#endif
