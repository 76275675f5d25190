/* postmortem: writes the flight recorders of all reactors to a file: when the process crashes, when a reactor turns no
 * more, or when somebody asks. `spate postmortem FILE` reads it (engine/cli/postmortemview).
 *
 *      header │ names of what was recorded, as text │ reactor 0: now, rings │ reactor 1 … │ trace
 *
 * A file is DIR/spate-PID-WHY.flight, readable by its owner alone; one of the same reason of this process is replaced.
 * There is numbers in it only: no subject, payload, name, address or secret.
 *
 * There is one process, so there is one of this, set up before any thread starts. What runs in a signal handler calls
 * only what may be called there (signal-safety(7)). */
#ifndef SPATE_ENGINE_POSTMORTEM_H
#define SPATE_ENGINE_POSTMORTEM_H

#include "engine/base/flight.h"

#define POSTMORTEM_REACTORS_MAX 64
#define POSTMORTEM_DIRECTORY_BYTES 440
#define POSTMORTEM_PATH_BYTES 512 /* with the name of a file in it */

#define POSTMORTEM_REASON_TABLE(ROW)                                                                                   \
        ROW(CRASH, "crash", "the process crashed")                                                                     \
        ROW(STUCK, "stuck", "a reactor turned no more")                                                                \
        ROW(ASKED, "asked", "somebody asked for it")

enum postmortem_reason {
#define POSTMORTEM_REASON_ID(id, name, meaning) POSTMORTEM_##id,
        POSTMORTEM_REASON_TABLE(POSTMORTEM_REASON_ID)
#undef POSTMORTEM_REASON_ID
                POSTMORTEM_REASONS
};

/* ---- the file ---- */

#define POSTMORTEM_MAGIC "SPATEFLT"
#define POSTMORTEM_ORDER 0x01020304u /* as the machine that wrote it lays it out */
#define POSTMORTEM_FORMAT 1
#define POSTMORTEM_TRACE_MAX 32
#define POSTMORTEM_NOBODY UINT32_MAX

struct postmortem_header {
        char magic[8];
        uint32_t order, format;
        uint64_t file_bytes; /* all of it */
        uint64_t unix_ns, monotonic_ns, started_unix_ns;
        uint32_t pid, thread, reason;
        uint32_t reactor; /* whose thread crashed, or which turns no more; POSTMORTEM_NOBODY: another's */
        int32_t signal, code;
        uint64_t address, place, base; /* of the fault; of the code that did it, and where the program begins */
        uint32_t reactors_count, names_bytes, trace_count, reserved;
        char thread_name[16], version[32];
};
static_assert(sizeof(struct postmortem_header) == 160, "no holes");

/* Behind the header: a line for each kind and step, "kind NUMBER NAME\tFIELD\tFIELD" and "step NUMBER NAME". Then for
 * each reactor its number, in 8 bytes, `now`, and for each ring: records (8 bytes), the count before, their words, the
 * count after. At the end POSTMORTEM_TRACE_MAX places of code, the innermost first, of which trace_count are used. */

/* ---- writing ---- */

/* Where files go: `directory`, or with "" nowhere. Before any thread starts. */
void postmortem_open(const char *directory);
/* Of this reactor, from now on. */
void postmortem_add(unsigned number, const struct flight *flight);
/* No reactor's any more: they are about to be freed. */
void postmortem_close(void);
/* From now on a crash writes one line to standard error and a file, and then goes on as it would have. Nothing under a
 * sanitizer, which tells more. */
void postmortem_catch(void);
/* A reactor's thread: its stack may overflow and a crash is still told. */
void postmortem_arm_thread(unsigned number);

/* Keeps the newest files in `directory` and deletes the others, so that a server that crashes again and again does not
 * fill the disk. */
#define POSTMORTEM_KEPT_MAX 16
void postmortem_prune(const char *directory);

/* Where a file for `reason` goes. */
const char *postmortem_path(enum postmortem_reason reason, char path[POSTMORTEM_PATH_BYTES]);
/* Writes one, from any thread that may wait for a disk. 0 or -errno; -ENOTDIR: it goes nowhere. */
int postmortem_write(enum postmortem_reason reason, unsigned reactor);

#endif
