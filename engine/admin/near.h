/* near: how a pattern that does not match a subject nearly does, for whoever wonders why nothing comes. One slip at a
 * time: another case, one character, one token, a wildcard one level off. Knows texts only; for people, off the event
 * path. */
#ifndef SPATE_ENGINE_ADMIN_NEAR_H
#define SPATE_ENGINE_ADMIN_NEAR_H

#include "engine/base/span.h"
#include "matcher/match.h"

/* The likelier slip first. */
enum near {
        NEAR_CASE, /* the same but for upper and lower case */
        NEAR_EDIT, /* one character more, less, another, or two swapped, in one token */
        NEAR_TAIL, /* its '>' wants at least one more token */
        NEAR_LESS, /* it has one token less than the subject */
        NEAR_MORE, /* it has one token more */
        NEAR_NOT,  /* not near, or it does match */
};

/* A subject as it is compared with many patterns. Borrows the text. */
struct near_subject {
        struct span tokens[MATCH_TOKENS_MAX + 1]; /* one more than a subject may have is near to one that may */
        uint32_t tokens_count;
};

/* false: it is too deep to be near to anything. */
bool near_read(struct near_subject *subject, struct span text);
/* `pattern` is a legal NATS pattern. Costs its length and the subject's. */
enum near near_compare(const struct near_subject *subject, struct span pattern);
/* "it is written in another case", ...; static. */
const char *near_meaning(enum near near);

/* The best of many. */
#define NEAR_BEST 5

struct near_best {
        struct {
                enum near near;
                uint16_t text_bytes;
                uint8_t text[MATCH_SUBJECT_BYTES_MAX];
        } rows[NEAR_BEST]; /* the nearest first; of equal ones in the order of their bytes, so that it is the same again
                            */
        size_t count;
};

/* Copies the text where it is among the best. A text that is there already is passed over. */
void near_best_offer(struct near_best *best, enum near near, struct span text);

#endif
