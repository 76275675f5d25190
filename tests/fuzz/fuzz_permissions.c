/* fuzz_permissions: who may publish, subscribe and be delivered to, by any lists, against the plainest reading of them.
 *
 *      kind  a byte: 0 to 3 an entry for one of the lists, 4 that list is given though empty, else a question
 *      text  bytes up to a NUL, each mapped to one of a few characters; a question has a subject or pattern and a group
 *
 * The world is small on purpose: rules overlap in every way. That a text is long or malformed is in it, too. */
#include "engine/access/permissions.h"
#include "engine/lag.h"
#include "tests/fuzz/fuzz.h"
#include "tests/oracle/match_oracle.h"

#define ENTRIES_MAX 40
#define TEXT_MAX 1200

struct entry {
        struct span text, pattern, group;
};

struct list {
        struct entry entries[ENTRIES_MAX];
        size_t count;
        bool is_given;
};

static struct list lists[4]; /* publish allow, deny, subscribe allow, deny */
static uint8_t room[64 * TEXT_MAX];
static size_t room_used;

static struct span take_text(struct span *input)
{
        static const char alphabet[] = "ab.*> gab.*.>ab ";
        uint8_t *text = room + room_used;
        size_t size = 0;
        if (room_used + TEXT_MAX > sizeof room)
                return SPAN_NONE;
        struct span taken = fuzz_until(input, 0);
        for (size_t i = 0; i < taken.size; i++) {
                /* From 0xe0 on: a run, so that long texts are near. */
                size_t run = taken.bytes[i] < 0xe0 ? 1 : (size_t)(taken.bytes[i] & 15) * 4 + 1;
                for (; run > 0 && size < TEXT_MAX; run--)
                        text[size++] = (uint8_t)alphabet[taken.bytes[i] % 16];
        }
        room_used += size;
        return span_of(text, size);
}

static bool is_legal(struct span pattern)
{
        return oracle_fits(pattern) && oracle_is_legal(pattern);
}

/* Every subject that `narrow` matches, `wide` matches, too; both are legal. */
static bool covers(struct span wide, struct span narrow)
{
        struct span first = oracle_first(wide), other = oracle_first(narrow);
        if (span_equal(first, SPAN(">")))
                return true;
        if (span_equal(other, SPAN(">")) || (!span_equal(first, SPAN("*")) && !span_equal(first, other)))
                return false;
        if (oracle_is_last(wide) || oracle_is_last(narrow))
                return oracle_is_last(wide) && oracle_is_last(narrow);
        return covers(oracle_behind_first(wide), oracle_behind_first(narrow));
}

/* The words between blanks; false: none, or more than two. */
static bool split(struct span text, struct span *pattern, struct span *group)
{
        struct span words[3] = {SPAN_NONE, SPAN_NONE, SPAN_NONE};
        size_t count = 0;
        while (text.size > 0 && count < 3) {
                struct span word = fuzz_until(&text, ' ');
                if (word.size > 0)
                        words[count++] = word;
        }
        *pattern = words[0];
        *group = words[1];
        return count == 1 || count == 2;
}

static void add(struct list *list, struct span text, bool may_name_group)
{
        struct entry entry = {.text = text};
        bool is_sound = split(text, &entry.pattern, &entry.group) && is_legal(entry.pattern) &&
                        (entry.group.size == 0 || (may_name_group && is_legal(entry.group)));
        assert((permission_entry_fault(text, may_name_group) == NULL) == is_sound);
        if (is_sound && list->count < ENTRIES_MAX) {
                list->entries[list->count++] = entry;
                list->is_given = true;
        }
}

static bool denies(const struct entry *entry, struct span group)
{
        return entry->group.size == 0 || (group.size > 0 && oracle_rest_matches(entry->group, group));
}

static bool allows_group(struct span allowed, struct span group)
{
        return span_equal(allowed, group) || (is_legal(group) && covers(allowed, group));
}

static bool may_publish(struct span subject)
{
        bool is_allowed = !lists[0].is_given;
        for (size_t i = 0; i < lists[0].count; i++)
                is_allowed |= oracle_matches(lists[0].entries[i].pattern, subject);
        for (size_t i = 0; i < lists[1].count; i++)
                is_allowed &= !oracle_matches(lists[1].entries[i].pattern, subject);
        return is_allowed;
}

static bool may_deliver(struct span subject, struct span group)
{
        for (size_t i = 0; i < lists[3].count; i++)
                if (oracle_matches(lists[3].entries[i].pattern, subject) && denies(&lists[3].entries[i], group))
                        return false;
        return true;
}

static bool may_subscribe(struct span pattern, struct span group)
{
        bool is_plain = false, is_named = false, is_by_name = false;
        if (!lists[2].is_given && lists[3].count == 0)
                return true;
        if (!is_legal(pattern))
                return false;
        for (size_t i = 0; i < lists[2].count; i++) {
                const struct entry *entry = &lists[2].entries[i];
                if (!covers(entry->pattern, pattern))
                        continue;
                is_plain |= entry->group.size == 0;
                is_named |= entry->group.size > 0;
                is_by_name |= entry->group.size > 0 && group.size > 0 && allows_group(entry->group, group);
        }
        bool is_allowed = !lists[2].is_given || (group.size > 0 && is_named ? is_by_name : is_plain);
        for (size_t i = 0; i < lists[3].count; i++)
                is_allowed &= !(covers(lists[3].entries[i].pattern, pattern) && denies(&lists[3].entries[i], group));
        return is_allowed;
}

/* A refusal has a reason, unless what is asked about is nothing to ask about. */
static void check_verdict(struct permission_verdict verdict, bool is_allowed, bool is_sound)
{
        assert(verdict.is_allowed == is_allowed);
        assert(is_allowed || verdict.list != NULL || !is_sound);
}

static void ask(const struct permissions *permissions, struct span text, struct span group)
{
        bool publish = may_publish(text), deliver = may_deliver(text, group), subscribe = may_subscribe(text, group);
        assert(permissions_may_subscribe(permissions, text, group) == subscribe);
        check_verdict(permissions_judge_subscribe(permissions, text, group), subscribe, is_legal(text));
        if (!oracle_fits(text))
                return; /* no event has such a subject */
        assert(permissions_may_publish(permissions, text) == publish);
        assert(permissions_may_deliver(permissions, text, group) == deliver);
        check_verdict(permissions_judge_publish(permissions, text), publish, true);
        check_verdict(permissions_judge_delivery(permissions, text, group), deliver, true);
        assert(deliver || permissions_filter(permissions));
        assert(publish || permissions_limit_publish(permissions));
}

static struct permissions *make(uint32_t id, bool is_backward)
{
        static const uint8_t secret[16] = "sixteen byte key";
        static struct span texts[4][ENTRIES_MAX];
        struct permission_list made[4];
        struct permissions *permissions;
        for (size_t k = 0; k < 4; k++) {
                for (size_t i = 0; i < lists[k].count; i++)
                        texts[k][is_backward ? lists[k].count - 1 - i : i] = lists[k].entries[i].text;
                made[k] = (struct permission_list){texts[k], lists[k].count, lists[k].is_given};
        }
        struct permission_lists all = {made[0], made[1], made[2], made[3]};
        int failed = permissions_new(&permissions, &all, id, secret);
        assert(failed == 0);
        return permissions;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size), questions[32][2];
        size_t questions_count = 0;
        memset(lists, 0, sizeof lists);
        room_used = 0;
        while (input.size > 0 && questions_count < array_count(questions)) {
                unsigned kind = fuzz_byte(&input);
                if (kind % 8 < 4) {
                        add(&lists[kind % 4], take_text(&input), kind % 4 >= 2);
                } else if (kind % 8 == 4) {
                        lists[kind / 8 % 4].is_given = true;
                } else {
                        questions[questions_count][0] = take_text(&input);
                        questions[questions_count++][1] = kind % 8 == 5 ? SPAN_NONE : take_text(&input);
                }
        }
        struct permissions *permissions = make(1, false), *same = make(2, true);
        assert(permissions_equal(permissions, same));
        for (size_t i = 0; i < questions_count; i++) {
                struct span text = questions[i][0], other = questions[i][1];
                ask(permissions, text, other);
                ask(same, text, SPAN_NONE);
                if (is_legal(text) && is_legal(other))
                        assert(lag_pattern_covers(text, other) == covers(text, other));
        }
        permissions_free(permissions);
        permissions_free(same);
        return 0;
}
