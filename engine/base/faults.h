/* faults: the signals of a crash. A thread that takes no signals takes these all the same: a fault whose signal is
 * blocked ends the process without a word (engine/postmortem has the word). */
#ifndef SPATE_BASE_FAULTS_H
#define SPATE_BASE_FAULTS_H

#include <signal.h>

#define FAULTS_TABLE(ROW)                                                                                              \
        ROW(SIGSEGV)                                                                                                   \
        ROW(SIGBUS)                                                                                                    \
        ROW(SIGABRT)                                                                                                   \
        ROW(SIGILL)                                                                                                    \
        ROW(SIGFPE)

/* Every signal but these: for pthread_sigmask(). */
static inline void faults_fill_others(sigset_t *set)
{
        sigfillset(set);
#define FAULT_SPARED(number) sigdelset(set, number);
        FAULTS_TABLE(FAULT_SPARED)
#undef FAULT_SPARED
}

#endif
