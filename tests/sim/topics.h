/* topics: what there is to publish to and to subscribe to in the simulated world, small enough to be known by heart:
 * which pattern is for which subject is a table, made from the plainest reading of the patterns. Beside them each
 * client that hoards has thousands of subjects of its own. */
#ifndef SPATE_SIM_TOPICS_H
#define SPATE_SIM_TOPICS_H

#include "engine/base/check.h"

#define SUBJECTS 12 /* and one more: */
#define SUBJECT_HOARD SUBJECTS
#define PATTERNS 17
#define PATTERN_HOARD PATTERNS
#define PATTERN_ALL 4 /* ">" */
#define SUBJECT_GROUPS 3
#define HOARDS_MAX 65536
#define SUBJECT_TEXT_BYTES 64

struct topic {
        uint8_t kind;
        uint16_t hoard; /* which of SUBJECT_HOARD: "h.7", each has a subscription of its own at most */
};

/* What a subscription is to. */
struct wish {
        uint8_t pattern;
        uint8_t group; /* 0: none */
        uint16_t hoard;
};

/* Before all else. */
void topics_init(void);

void topic_text(struct topic subject, char text[SUBJECT_TEXT_BYTES]);
void wish_text(struct wish wish, char text[SUBJECT_TEXT_BYTES]);
/* With a blank behind it, or empty. */
const char *group_text(unsigned group);

bool wish_is_for(struct wish wish, struct topic subject);

/* NATS patterns: does `pattern` match `subject`? Does it match all that `narrow` does? */
bool plainly_matches(const char *pattern, const char *subject);
bool plainly_covers(const char *pattern, const char *narrow);

#endif
