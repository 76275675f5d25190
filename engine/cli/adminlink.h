/* adminlink: a conversation with an engine's admin address: one connection that is kept, one question at a time, and
 * nothing here waits, but for a connection to be made, and adminlink_wait(). What is asked on a connection that the
 * engine has closed meanwhile is asked again on a fresh one. */
#ifndef SPATE_ENGINE_CLI_ADMINLINK_H
#define SPATE_ENGINE_CLI_ADMINLINK_H

#include "engine/cli/endpoint.h"
#include "engine/cli/growing.h"

#define ADMINLINK_PATH_BYTES 7168 /* the engine takes requests of 8 KiB */

struct adminlink {
        struct endpoint endpoint;
        uint64_t connect_ns; /* for a connection to be made */
        uint64_t timeout_ns; /* for one answer */
        int fd;              /* -1: none */
        bool is_waiting;     /* for an answer */
        bool is_used;        /* this connection has answered before */
        bool is_post;        /* what is asked changes something */
        uint64_t until_ns;
        size_t answer_bytes; /* of what was handed out and has not been dropped yet */
        struct growing in;
        char path[ADMINLINK_PATH_BYTES];
        char error[ENDPOINT_ERROR_BYTES]; /* one line, when something failed */
};

void adminlink_init(struct adminlink *link, const struct endpoint *endpoint, uint64_t connect_ns, uint64_t timeout_ns);
void adminlink_fini(struct adminlink *link);

/* Asks for `path`; the answer before is gone. Not while another is awaited. 0, or -errno with link->error; -ENOTCONN:
 * nobody took the connection. */
int adminlink_ask(struct adminlink *link, const char *path);
/* The same, to change something: on a fresh connection, so it is never asked twice. */
int adminlink_post(struct adminlink *link, const char *path);
/* Whether the answer is here: 1, with the HTTP status and the body, good until the next question; 0: not yet, poll
 * link->fd for POLLIN until link->until_ns; -errno with link->error: the connection is closed. -EPROTO: who answers is
 * no admin address. */
int adminlink_take(struct adminlink *link, int *status, struct span *body);
/* Waits for it. 0 or -errno. */
int adminlink_wait(struct adminlink *link, int *status, struct span *body);

/* The body of a whole HTTP/1.x answer; *status is its code. 0: more bytes are needed (or, when `is_ended`, they are
 * missing); 1: here it is; -EPROTO: not such an answer. An answer without a Content-Length ends with its connection. */
int adminlink_body(struct span answer, bool is_ended, int *status, struct span *body);

#endif
