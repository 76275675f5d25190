/* memstream: text that is printed into memory, whole or not at all.
 *
 * Instead of open_memstream(), which drops what it finds no memory for and does not tell: neither ferror() nor fclose()
 * know of it, only the return value of each single call that prints. */
#ifndef SPATE_BASE_MEMSTREAM_H
#define SPATE_BASE_MEMSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Stays where it is until it is closed. */
struct memstream {
        FILE *out; /* to print to */
        char *text;
        size_t size, room;
        bool has_failed;
};

/* 0 or -ENOMEM. */
int memstream_open(struct memstream *stream);
/* Ends it. The text, terminated and the caller's to free(); NULL: there was no memory for all of it. `size` may be
 * NULL.
 */
char *memstream_close(struct memstream *stream, size_t *size);

#endif
