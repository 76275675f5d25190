/* escape: bytes of strangers on a terminal. Printable UTF-8 passes; everything that could move a cursor, end a line or
 * turn the writing direction becomes \n, \t, \r, \\ or \xNN, so a line is one line and can be read back. */
#ifndef SPATE_ENGINE_CLI_ESCAPE_H
#define SPATE_ENGINE_CLI_ESCAPE_H

#include <stdio.h>

#include "engine/base/span.h"

/* Whether a character passes as it is. */
bool escape_is_harmless(uint32_t code);
/* The one character that `sequence`, sound UTF-8, is. */
uint32_t escape_code(struct span sequence);

void escape_print(FILE *out, struct span text);

#endif
