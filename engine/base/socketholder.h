/* socketholder: which process of this machine listens on an address, as /proc tells it: who sits on a port that we
 * want, or whose CPU time belongs to the server that we talk to. */
#ifndef SPATE_BASE_SOCKETHOLDER_H
#define SPATE_BASE_SOCKETHOLDER_H

#include <sys/socket.h>

/* The process that listens on `address` (TCP over IPv4 or IPv6, or a UNIX socket's path); where parent and children
 * hold the socket together, the parent. The address "any" asks for whoever listens on that port at all. -ESRCH: nobody
 * does, or we may not know. Reads all of /proc: milliseconds. */
int socketholder_find(const struct sockaddr *address);

#endif
