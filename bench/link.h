/* link: one connection that is read unit by unit, for loads where every event is waited for. */
#ifndef SPATE_BENCH_LINK_H
#define SPATE_BENCH_LINK_H

#include "bench/recipe.h"

#define LINK_ROOM (256 * 1024)
#define LINK_ERROR_BYTES 512

/* Lives in its owner's memory; zeroed with fd = -1 is closed. */
struct link {
        enum protocol protocol;
        int fd;
        uint8_t *room;
        size_t at, size; /* what was read and not taken */
};

/* Connects, says hello, and waits until the server has answered. 0 or an exit code with one line in `error`. */
int link_open(struct link *link, const struct recipe *recipe, char error[LINK_ERROR_BYTES]);
void link_close(struct link *link);
/* Subscribes and waits for the confirmation. */
int link_subscribe(struct link *link, const char *subject, char error[LINK_ERROR_BYTES]);
/* Writes all of `bytes`. 0 or -errno. */
int link_write(struct link *link, const void *bytes, size_t size);
/* The next unit that is there already: 1, 0 (nothing is), or -errno. Answers pings by itself. Its spans are good until
 * the next call. */
int link_take(struct link *link, struct unit *unit);
/* Waits for the next unit, at most until `until_ns`: 1, 0 (too late), or -errno. */
int link_wait(struct link *link, struct unit *unit, bool spin, uint64_t until_ns);

#endif
