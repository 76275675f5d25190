/* faults: what a program under test is refused, the n-th time it asks: memory of the heap and of the kernel, blocks and
 * objects of the engine's own stocks, calls of its backend (tests/fault/callfaults.h). Linked into tests only.
 *
 *      faults_plan(FAULT_HEAP, 17, 1)      the 17th allocation fails, all others succeed
 *      faults_plan(FAULT_HEAP, 17, 20)     so do the 19 behind it; then there is memory again
 *      faults_plan(FAULT_HEAP, 17, FAULTS_FOR_EVER)
 *
 * Only what is asked for while armed counts: a test arms around its calls of what it tests, so that its own needs are
 * always met. Without a sanitizer the heap is stood in front of, so the libraries' allocations count, too; a sanitizer
 * has a heap of its own, and there only our own code's do (the linker's --wrap). */
#ifndef SPATE_TESTS_FAULTS_H
#define SPATE_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FAULTS_HAS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULTS_HAS_SANITIZER 1
#endif

/* clang-format off */
#define FAULT_TABLE(ROW)                                                      \
        ROW(HEAP, "heap", "malloc and its kin, mmap, memfd_create")           \
        ROW(UNMAP, "unmap", "munmap")                                         \
        ROW(STOCK, "stock", "buddy_take and pool_take: stream memory, slots") \
        ROW(START, "start", "io_start")                                       \
        ROW(LISTEN, "listen", "io_listen")                                    \
        ROW(SEND, "send", "io_send: the network takes nothing of it")         \
        ROW(BREAK, "break", "io_send: the connection breaks")                 \
        ROW(POLL, "poll", "io_poll: it tells nothing")                        \
        ROW(KERNEL, "kernel", "socket, epoll_ctl, pthread_create and others")
/* clang-format on */

enum fault {
#define FAULT_ID(id, name, meaning) FAULT_##id,
        FAULT_TABLE(FAULT_ID)
#undef FAULT_ID
                FAULTS
};

#define FAULTS_FOR_EVER UINT64_MAX

const char *fault_name(enum fault fault);
const char *fault_meaning(enum fault fault);

/* From now on the `first`-th that is asked for while armed (1: the next) fails, and with it `count` in all. 0: none
 * does. Begins to count anew. */
void faults_plan(enum fault fault, uint64_t first, uint64_t count);
/* How many were asked for since, of the planned kind, and how many of them failed. */
uint64_t faults_asked(void);
uint64_t faults_struck(void);
/* How many of the first of them were allocations of this shared library ("libyaml"). */
unsigned faults_struck_in(const char *library);
/* Prints where from, each time that one fails. */
void faults_trace(bool is_traced);

void faults_arm(void);
void faults_disarm(void);
/* In front of what is not to fail inside of what is armed, and behind it. */
bool faults_pause(void);
void faults_resume(bool was_armed);

/* One of this kind is asked for. true: it is to fail. */
bool faults_strike(enum fault fault);

/* Blocks that are on the heap, whoever asked for them; 0 where a sanitizer looks for leaks. */
long faults_heap_blocks(void);
/* What is mapped and not unmapped by our own code, in bytes. */
long faults_mapped_bytes(void);

#endif
