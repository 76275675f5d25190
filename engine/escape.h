/* escape: bytes of strangers on a terminal. Printable UTF-8 passes; everything that could move a cursor, end a line or
 * turn the writing direction becomes \n, \t, \r, \\ or \xNN, so a line is one line and can be read back. */
#ifndef SPATE_ENGINE_ESCAPE_H
#define SPATE_ENGINE_ESCAPE_H

#include <stdio.h>

#include "engine/base/span.h"

void escape_print(FILE *out, struct span text);

#endif
