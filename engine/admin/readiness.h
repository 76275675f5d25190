/* readiness: may a load balancer send new clients here? Not while the server starts, drains, has no place for them or
 * is so short of memory that it lets nobody in. Whether it is alive is another question: then it answers at all. */
#ifndef SPATE_ENGINE_ADMIN_READINESS_H
#define SPATE_ENGINE_ADMIN_READINESS_H

#include "engine/reactor.h"

#define READINESS_TEXT_BYTES 1024

/* Writes "ok", or what is in the way, a line for each; with `is_verbose` a line for each check. From the first
 * reactor. */
bool readiness_write(const struct reactor *reactor, bool is_verbose, char text[READINESS_TEXT_BYTES]);

#endif
