/* control: what an operator asks of the running server at the admin address: to read its configuration again, to write
 * down what its reactors did last, or to end. The connection that asks for one of the first two is held until it is
 * known what came of it; nothing waits otherwise.
 *
 *      POST /reload     ─▶ control_ask_reload ─▶ is_reload_asked ─▶ (the first reactor's loop) ─▶ control_reloaded
 *      POST /postmortem ─▶ control_ask_dump ─▶ SIGUSR1 to ourselves ─▶ (the watch) ─▶ control_dumped
 *      POST /drain      ─▶ control_ask_drain ─▶ SIGTERM to ourselves: one way to end, not two
 *
 * Belongs to the thread of the first reactor, which has the admin address. */
#ifndef SPATE_ENGINE_ADMIN_CONTROL_H
#define SPATE_ENGINE_ADMIN_CONTROL_H

#include "engine/reload.h"
#include "io/io.h"

#define CONTROL_ASKERS_MAX 16

/* Connections that wait for the same. */
struct control_askers {
        unsigned count;
        io_id ids[CONTROL_ASKERS_MAX];
};

struct control {
        bool is_reload_asked; /* for the loop to see, and to take back */
        struct control_askers reload, dump;
        uint64_t stuck; /* reactors that do not turn, a bit each; from the watch */
};

/* false: too many wait for that already. */
bool control_ask_reload(struct control *control, io_id asker);
/* The same; also false where it cannot be asked for. */
bool control_ask_dump(struct control *control, io_id asker);
/* 0 or -errno. */
int control_ask_drain(void);

/* The reload that was asked for is over; `outcome` is NULL when there was nothing to do. Tells all who asked, and the
 * metrics. Between two turns. */
void control_reloaded(struct control *control, struct reactor *reactor, const struct reload_outcome *outcome);
/* What the reactors did last has been written, or not: 0 or -errno. Tells all who asked. Between two turns. */
void control_dumped(struct control *control, struct reactor *reactor, int failed);

#endif
