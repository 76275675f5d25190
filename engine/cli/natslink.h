/* natslink: one connection of a client command to a NATS server. Waits with poll(2) and reads whenever it waits, so
 * neither side can block the other and an -ERR is heard even while we write. PINGs are answered by the way.
 *
 * What can fail gives an exit code of engine/run.h, 0 for none, and one line for the user in link->error. */
#ifndef SPATE_ENGINE_CLI_NATSLINK_H
#define SPATE_ENGINE_CLI_NATSLINK_H

#include "engine/cli/endpoint.h"
#include "engine/cli/growing.h"
#include "engine/cli/incoming.h"

#define NATSLINK_ERROR_BYTES 1024

struct natslink {
        int fd;
        const struct endpoint *endpoint; /* borrowed */
        uint64_t timeout_ns;             /* how long one step of the server may take */
        struct growing in;
        size_t taken; /* of `in` */
        struct growing out;
        unsigned pings_out; /* sent and not answered */
        bool is_ended;      /* the server closed, or the network did: no more will be read */
        int ended_errno;    /* 0: it closed in order */
        bool has_info, takes_headers, is_leaving;
        size_t payload_bytes_max;
        char version[64];
        char error[NATSLINK_ERROR_BYTES];
};

/* Who we are to the server. What is not given is empty, or NULL. */
struct natslink_login {
        const char *user, *password, *token;
};
/* As `user`, with what SPATE_PASSWORD and SPATE_TOKEN hold. */
struct natslink_login natslink_login_of(const char *user);

/* Connects, hears INFO, says CONNECT as `name`, and waits until the server has answered. natslink_close() also after a
 * failure. `endpoint` outlives the link; the login is borrowed during the call, NULL: none. */
int natslink_open(struct natslink *link, const struct endpoint *endpoint, const char *name,
                  const struct natslink_login *login, uint64_t timeout_ns);
void natslink_close(struct natslink *link);

/* Queues bytes for the server; natslink_wait() and natslink_settle() send them. */
void natslink_write(struct natslink *link, struct span bytes);
void natslink_ping(struct natslink *link);
/* Sends until little is queued, so that a flood of writes stays bounded. Drops messages that come meanwhile. */
int natslink_relieve(struct natslink *link);
/* Sends all that is queued and a PING behind it, and waits for the PONG: the server has taken everything. Drops
 * messages that come meanwhile. */
int natslink_settle(struct natslink *link);

/* Takes the next message that is already here; *got tells whether there is one. Its spans are good until the next
 * natslink_wait(). An -ERR, the end of the connection and bytes that are not NATS are failures. */
int natslink_take(struct natslink *link, struct incoming *message, bool *got);

enum { NATSLINK_SERVER = 1, NATSLINK_OTHER = 2, NATSLINK_SENT = 4 };
/* Waits until the server said something (or ended), `other` (a descriptor, or -1) can be read, some of what is queued
 * was sent, or the monotonic clock shows `until_ns`. Returns which of the first three; 0: none. */
unsigned natslink_wait(struct natslink *link, int other, uint64_t until_ns);

#endif
