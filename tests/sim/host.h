/* host: what the engine asks of the machine it runs on, answered from the seed instead: the time of day, randomness,
 * facts of its process, the heap. So one seed is one run, wherever and whenever; and the heap may say no, or count.
 *
 * Takes the place of clock_gettime(), getrandom(), process_look(), malloc() and its like by the linker's --wrap, in our
 * own objects; what libraries ask for themselves is theirs. */
#ifndef SPATE_SIM_HOST_H
#define SPATE_SIM_HOST_H

#include "io/io.h"

/* From here on. `io` tells the time (NULL: none yet). */
void host_start(uint64_t seed);
void host_set_clock(const struct io *io);

/* The engine speaks from here on, or the world. Returns what was before, for the way back. */
bool host_let_engine(bool is_engine);
/* Of the engine's questions to the heap one in `one_in` is answered with NULL; 0: none. */
void host_fail_memory(uint32_t one_in);
/* How often the engine has asked the heap, and how often in vain. */
uint64_t host_allocations(void);
uint64_t host_failures(void);
/* Where it asked last: an address in the program's file, as addr2line wants it. */
uint64_t host_last_caller(void);

#endif
