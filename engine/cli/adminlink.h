/* adminlink: a conversation with an engine's admin address that goes on: one connection that is kept, one question at a
 * time, and nothing here ever waits, but for a connection to be made. What is asked twice on a connection that the
 * engine has closed meanwhile is asked again on a fresh one. */
#ifndef SPATE_ENGINE_CLI_ADMINLINK_H
#define SPATE_ENGINE_CLI_ADMINLINK_H

#include "engine/cli/endpoint.h"
#include "engine/cli/growing.h"

struct adminlink {
        struct endpoint endpoint;
        uint64_t timeout_ns; /* for one answer */
        int fd;              /* -1: none */
        bool is_waiting;     /* for an answer */
        bool is_used;        /* this connection has answered before */
        uint64_t until_ns;
        size_t answer_bytes; /* of what was handed out and has not been dropped yet */
        struct growing in;
        char path[128];
        char error[ENDPOINT_ERROR_BYTES]; /* one line, when something failed */
};

void adminlink_init(struct adminlink *link, const struct endpoint *endpoint, uint64_t timeout_ns);
void adminlink_fini(struct adminlink *link);

/* Asks for `path`; the answer before is gone. Not while another is awaited. 0, or -1 with link->error. */
int adminlink_ask(struct adminlink *link, const char *path);
/* Whether the answer is here: 1, with the HTTP status and the body, good until the next question; 0: not yet, poll
 * link->fd for POLLIN until link->until_ns; -1 with link->error: the connection is closed. */
int adminlink_take(struct adminlink *link, int *status, struct span *body);

#endif
