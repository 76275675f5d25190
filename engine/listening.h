/* listening: which addresses the reactors listen at: NATS clients at those of --listen, on all reactors or on one, and
 * the admin's at one of reactor 0. */
#ifndef SPATE_ENGINE_LISTENING_H
#define SPATE_ENGINE_LISTENING_H

#include "engine/crew.h"
#include "engine/option_table.h"

struct settings;

/* Could the server listen at these addresses, as far as that shows without trying? 0, -ENOMEM, or -EINVAL or -EPERM
 * with one line in `error`. */
int listening_check(const struct settings *settings, char error[OPTIONS_ERROR_BYTES]);

/* Calls `tell` with each address, without "@3" and with the port offset. They have been checked. */
void listening_each(const struct settings *settings, void (*tell)(const char *address, bool is_admin, void *context),
                    void *context);

/* What was bound, with its port; empty: nothing. */
struct listening_bound {
        char nats[IO_ADDRESS_BYTES_MAX]; /* the first of them */
        char admin[IO_ADDRESS_BYTES_MAX];
};

/* Listens; checked before. Before the crew's threads start. 0, or -errno with one line in `error`; what was bound so
 * far goes with the crew. */
int listening_start(struct crew *crew, const struct settings *settings, struct listening_bound *bound,
                    char error[OPTIONS_ERROR_BYTES]);

#endif
