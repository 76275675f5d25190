/* terminal: the one this process was started on, while a page has it: keys come one by one and unechoed, the page is on
 * the alternate screen without a cursor. Whatever ends the process, a signal or a failed assert too, the terminal is
 * given back as it was; only SIGKILL and SIGSTOP cannot be caught.
 *
 * There is one; it belongs to the main thread. */
#ifndef SPATE_ENGINE_CLI_TERMINAL_H
#define SPATE_ENGINE_CLI_TERMINAL_H

#include <sys/types.h>

#include "engine/base/span.h"

/* Whether standard output is a terminal on which a cursor can be moved: no pipe, and TERM is not "dumb" or missing. */
bool terminal_is_capable(void);
/* Colours are wanted: NO_COLOR is not set, or empty. */
bool terminal_has_colours(void);
/* The locale's characters are UTF-8's. Calls setlocale(LC_CTYPE). */
bool terminal_is_utf8(void);

/* Takes the terminal, and SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP and SIGCONT. 0 or -errno. */
int terminal_open(void);
/* Gives it back. May be called at any time, twice as well. */
void terminal_close(void);

/* Can be read (poll) when a signal came; terminal_signals() empties it. */
int terminal_event_fd(void);

struct terminal_signals {
        bool is_stopped; /* it is time to end */
        bool is_new;     /* the size may be another, or the page is gone: draw it all */
};
/* Deals with what came since the last call. SIGTSTP gives the terminal back, stops the process, and takes it again when
 * somebody lets it go on. */
struct terminal_signals terminal_signals(void);

/* The size in cells; 80 by 24 where the terminal does not know. */
void terminal_size(size_t *width, size_t *height);

/* Writes all of it, unless a signal comes meanwhile: then the page is in an unknown state. 0 or -errno (-EINTR). */
int terminal_write(struct span bytes);
/* The keys that were pressed, at most `room` bytes; 0: none; negative: there is no keyboard any more. */
ssize_t terminal_read(uint8_t *bytes, size_t room);

#endif
