/* near: tokens from the front and from the back, as far as they match; what is left in the middle is the slip. See the
 * header. */
#include "engine/admin/near.h"

#include <ctype.h>

static size_t split(struct span text, struct span *tokens, size_t tokens_max)
{
        size_t count = 0;
        for (size_t begin = 0, at = 0; at <= text.size; at++) {
                if (at < text.size && text.bytes[at] != '.')
                        continue;
                if (count == tokens_max)
                        return tokens_max + 1;
                tokens[count++] = span_of(text.bytes + begin, at - begin);
                begin = at + 1;
        }
        return count;
}

bool near_read(struct near_subject *subject, struct span text)
{
        size_t count = split(text, subject->tokens, array_count(subject->tokens));
        subject->tokens_count = (uint32_t)count;
        return count <= array_count(subject->tokens);
}

static bool is_star(struct span token)
{
        return token.size == 1 && token.bytes[0] == '*';
}

static bool token_matches(struct span wanted, struct span token)
{
        return is_star(wanted) || span_equal(wanted, token);
}

static bool token_is_other_case(struct span a, struct span b)
{
        if (a.size != b.size)
                return false;
        for (size_t i = 0; i < a.size; i++)
                if (tolower(a.bytes[i]) != tolower(b.bytes[i]))
                        return false;
        return true;
}

/* One character more, less, another one, or two that are swapped. In short tokens anything would be near to anything.
 */
static bool token_is_one_edit_off(struct span a, struct span b)
{
        struct span longer = a.size >= b.size ? a : b, shorter = a.size >= b.size ? b : a;
        size_t same = 0, behind = 0;
        if (longer.size < 3 || longer.size - shorter.size > 1)
                return false;
        while (same < shorter.size && longer.bytes[same] == shorter.bytes[same])
                same++;
        while (behind < shorter.size - same &&
               longer.bytes[longer.size - 1 - behind] == shorter.bytes[shorter.size - 1 - behind])
                behind++;
        size_t left = longer.size - same - behind;
        return left <= 1 ||
               (left == 2 && longer.size == shorter.size && longer.bytes[same] == shorter.bytes[same + 1] &&
                longer.bytes[same + 1] == shorter.bytes[same]);
}

/* As many tokens on both sides. */
static enum near compare_tokens(const struct span *wanted, const struct span *tokens, size_t count)
{
        size_t other_case_count = 0, edited_count = 0;
        for (size_t i = 0; i < count; i++) {
                if (token_matches(wanted[i], tokens[i]))
                        continue;
                if (token_is_other_case(wanted[i], tokens[i]))
                        other_case_count++;
                else if (edited_count++ > 0 || !token_is_one_edit_off(wanted[i], tokens[i]))
                        return NEAR_NOT;
        }
        if (edited_count > 0)
                return other_case_count == 0 ? NEAR_EDIT : NEAR_NOT;
        return other_case_count > 0 ? NEAR_CASE : NEAR_NOT;
}

/* `more` has one token that `less` has not: does the rest match? One of them is the pattern's. */
static bool is_one_token_apart(const struct span *more, const struct span *less, size_t less_count, bool more_is_wanted)
{
        size_t same = 0, behind = 0;
        for (; same < less_count; same++)
                if (!token_matches(more_is_wanted ? more[same] : less[same], more_is_wanted ? less[same] : more[same]))
                        break;
        for (; behind < less_count - same; behind++) {
                struct span a = more[less_count - behind], b = less[less_count - 1 - behind];
                if (!token_matches(more_is_wanted ? a : b, more_is_wanted ? b : a))
                        break;
        }
        return same + behind == less_count;
}

/* One that consists of wildcards alone is near to everything of that depth: no news to anybody. */
static bool has_literal(const struct span *wanted, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (!is_star(wanted[i]))
                        return true;
        return false;
}

enum near near_compare(const struct near_subject *subject, struct span pattern)
{
        struct span wanted[MATCH_TOKENS_MAX];
        size_t count = split(pattern, wanted, array_count(wanted)), tokens_count = subject->tokens_count;
        assert(count <= array_count(wanted));
        bool has_tail = span_equal(wanted[count - 1], SPAN(">"));
        count -= has_tail;
        if (!has_literal(wanted, count))
                return NEAR_NOT;
        if (!has_tail && count == tokens_count + 1)
                return is_one_token_apart(wanted, subject->tokens, tokens_count, true) ? NEAR_MORE : NEAR_NOT;
        if (!has_tail && count + 1 == tokens_count)
                return is_one_token_apart(subject->tokens, wanted, count, false) ? NEAR_LESS : NEAR_NOT;
        if (has_tail && count == tokens_count) {
                for (size_t i = 0; i < count; i++)
                        if (!token_matches(wanted[i], subject->tokens[i]))
                                return NEAR_NOT;
                return NEAR_TAIL;
        }
        if (has_tail ? count < tokens_count : count == tokens_count)
                return compare_tokens(wanted, subject->tokens, count);
        return NEAR_NOT;
}

const char *near_meaning(enum near near)
{
        static const char *const meanings[] = {
                [NEAR_CASE] = "the same but for upper and lower case",
                [NEAR_EDIT] = "one character differs",
                [NEAR_TAIL] = "its > wants at least one token more",
                [NEAR_LESS] = "it has one token less",
                [NEAR_MORE] = "it has one token more",
                [NEAR_NOT] = "not near",
        };
        return meanings[near];
}

static int compare_texts(struct span a, struct span b)
{
        size_t shorter = a.size < b.size ? a.size : b.size;
        int order = shorter == 0 ? 0 : memcmp(a.bytes, b.bytes, shorter);
        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

void near_best_offer(struct near_best *best, enum near near, struct span text)
{
        size_t at = 0;
        assert(text.size <= MATCH_SUBJECT_BYTES_MAX);
        if (near == NEAR_NOT)
                return;
        for (; at < best->count; at++) {
                struct span there = span_of(best->rows[at].text, best->rows[at].text_bytes);
                int order = compare_texts(text, there);
                if (best->rows[at].near == near && order == 0)
                        return;
                if (near < best->rows[at].near || (near == best->rows[at].near && order < 0))
                        break;
        }
        if (at == NEAR_BEST)
                return;
        size_t moved = (best->count < NEAR_BEST ? best->count : NEAR_BEST - 1) - at;
        memmove(&best->rows[at + 1], &best->rows[at], moved * sizeof best->rows[0]);
        best->count += best->count < NEAR_BEST;
        best->rows[at].near = near;
        best->rows[at].text_bytes = (uint16_t)text.size;
        span_copy(best->rows[at].text, text);
}
