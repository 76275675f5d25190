/* checkup: is a machine fit for the engine, and is the engine well? One row a check; each looks at facts that were read
 * before and at nothing else.
 *
 * What scripts/tune-host can change has the same threshold there. */
#ifndef SPATE_ENGINE_CLI_CHECKUP_H
#define SPATE_ENGINE_CLI_CHECKUP_H

#include "engine/cli/enginefacts.h"
#include "engine/cli/hostfacts.h"

enum verdict {
        VERDICT_PASS,
        VERDICT_SKIP, /* does not apply, or the kernel does not tell */
        VERDICT_WARN, /* works, but not as well, or not as much, as it could */
        VERDICT_FAIL, /* what was asked for will not work */
        VERDICTS,
};

struct facts {
        struct hostfacts host;
        struct enginefacts engine;
};

#define FINDING_TEXT_BYTES 512

struct finding {
        enum verdict verdict;
        char found[FINDING_TEXT_BYTES]; /* the value */
        char fix[FINDING_TEXT_BYTES];   /* the command that mends it; filled only with WARN and FAIL */
};

struct checkup_row {
        const char *name;
        void (*check)(const struct facts *facts, struct finding *finding);
        const char *why; /* it matters */
};

extern const struct checkup_row checkup_rows[];
extern const size_t checkup_rows_count;

/* One check. A row that warns or fails always says how to mend it. */
void checkup_look(const struct checkup_row *row, const struct facts *facts, struct finding *finding);
const char *verdict_name(enum verdict verdict);

#endif
