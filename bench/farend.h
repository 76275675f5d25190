/* farend: the other end of one of our connections, as the kernel sees it when both ends are on this machine: how many
 * bytes the server's socket has taken, how many of them wait there, and what memory they cost. So it can be known of
 * any server when somebody who does not read fell behind by how much, without asking that server. */
#ifndef SPATE_BENCH_FAREND_H
#define SPATE_BENCH_FAREND_H

#include "engine/base/check.h"

struct farend {
        bool is_open;          /* established: neither side has ended it */
        uint64_t taken_bytes;  /* what the server's kernel has taken from it, all in all */
        uint64_t memory_bytes; /* what of the kernel's memory waits there to be sent */
};

/* What farend_read() asks through: a descriptor, or -errno where the kernel does not tell. */
int farend_open(void);
/* Looks at the other end of `fd`, a TCP connection. 0; -ENOENT when it is gone; or another -errno. */
int farend_read(int farend_fd, int fd, struct farend *farend);
/* All memory that TCP holds on this machine, in bytes; 0 when it is not told. */
uint64_t farend_tcp_memory_bytes(void);

#endif
