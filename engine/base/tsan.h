/* tsan: tells the thread sanitizer of hand-overs it cannot see. ck and liburcu order memory in inline assembly, which
 * it does not read: without a word from us everything that crosses there would look like a race. Their own inner
 * accesses are listed in tests/tsan.suppressions; what they carry is checked, and these two lines say where it changes
 * hands. Outside that sanitizer they are nothing. */
#ifndef SPATE_BASE_TSAN_H
#define SPATE_BASE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define TSAN_IS_ON 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_IS_ON 1
#endif
#endif

#ifdef TSAN_IS_ON
void __tsan_acquire(void *address);
void __tsan_release(void *address);
/* All this thread did so far is seen by whoever calls tsan_acquire() with the same address later. */
#define tsan_release(address) __tsan_release((void *)(address))
#define tsan_acquire(address) __tsan_acquire((void *)(address))
#else
#define tsan_release(address) ((void)(address))
#define tsan_acquire(address) ((void)(address))
#endif

#endif
