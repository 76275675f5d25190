/* greeting: what a newcomer sees when the engine is up: what it is, its memory plan, and lines to copy as they stand.
 */
#ifndef SPATE_ENGINE_GREETING_H
#define SPATE_ENGINE_GREETING_H

#include "engine/access/users.h"
#include "engine/crew.h"

#define GREETING_ADDRESS_BYTES (IO_ADDRESS_BYTES_MAX + 256)

/* An address to connect to, from one that was listened on: "0.0.0.0:4222" is everywhere, which is no place to go to;
 * `host` stands for it then, or NULL: loopback. */
void greeting_address(char address[GREETING_ADDRESS_BYTES], const char *bound, const char *host);
/* Whom to show as an example on the first listener: one with a password, best without restrictions; NULL: nobody needs
 * to log in, or `users` has nobody but tokens. */
const struct user *greeting_user(const struct users *users);

/* `users` is NULL where nobody is asked who he is; `admin` is empty where there is no such address. */
void greeting_print(struct crew *crew, const struct users *users, const char *nats, const char *admin, void *out);

#endif
