/* topics: see the header. */
#include "tests/sim/topics.h"

#include <stdio.h>
#include <string.h>

static const char *const subjects[SUBJECTS + 1] = {
        "a",       "b",  "a.b", "a.c", "a.b.c", "x.y.z", "_INBOX.one.2", "q.w", "q.v.w", "Q.w", "t.1.2.3.4.5.6.7",
        "b.b.b.b", "h.0"};
static const char *const patterns[PATTERNS + 1] = {"a",     "b",         "a.*",     "a.>",          ">",   "*.b",
                                                   "x.y.z", "*",         "a.b",     "_INBOX.one.*", "q.*", "q.*.w",
                                                   "*.w",   "t.1.*.3.>", "*.*.*.*", "a.b.c",        "*.>", ""};
/* Two names: an event may find members of one and none of the other. */
static const char *const groups[SUBJECT_GROUPS] = {"", "workers ", "idlers "};

static bool matches[PATTERNS + 1][SUBJECTS + 1];

bool plainly_matches(const char *pattern, const char *subject)
{
        for (;; pattern++, subject++) {
                if (pattern[0] == '>')
                        return *subject != '\0';
                if (pattern[0] == '*') {
                        while (*subject != '.' && *subject != '\0')
                                subject++;
                        pattern++;
                }
                if (*pattern != *subject)
                        return false;
                if (*pattern == '\0')
                        return true;
        }
}

bool plainly_covers(const char *pattern, const char *narrow)
{
        for (;; pattern++, narrow++) {
                if (pattern[0] == '>')
                        return *narrow != '\0';
                if (narrow[0] == '>')
                        return false;
                if (pattern[0] == '*') {
                        while (*narrow != '.' && *narrow != '\0')
                                narrow++;
                        pattern++;
                }
                if (*pattern != *narrow)
                        return false;
                if (*pattern == '\0')
                        return true;
        }
}

void topics_init(void)
{
        for (unsigned p = 0; p < PATTERNS; p++)
                for (unsigned s = 0; s <= SUBJECTS; s++)
                        matches[p][s] = plainly_matches(patterns[p], subjects[s]);
}

void topic_text(struct topic subject, char text[SUBJECT_TEXT_BYTES])
{
        if (subject.kind == SUBJECT_HOARD)
                snprintf(text, SUBJECT_TEXT_BYTES, "h.%u", subject.hoard);
        else
                strcpy(text, subjects[subject.kind]);
}

void wish_text(struct wish wish, char text[SUBJECT_TEXT_BYTES])
{
        if (wish.pattern == PATTERN_HOARD)
                snprintf(text, SUBJECT_TEXT_BYTES, wish.hoard % 4 == 3 ? "*.%u" : "h.%u", wish.hoard);
        else
                strcpy(text, patterns[wish.pattern]);
}

const char *group_text(unsigned group)
{
        return groups[group];
}

bool wish_is_for(struct wish wish, struct topic subject)
{
        if (wish.pattern == PATTERN_HOARD)
                return subject.kind == SUBJECT_HOARD && subject.hoard == wish.hoard;
        return matches[wish.pattern][subject.kind];
}
