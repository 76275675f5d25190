/* Dialects end here: one parser each, and shapes from then on. Text is walked token by token, never recursively, and
 * only when a subscription comes or goes. */
#include <errno.h>

#include "matcher/pattern.h"

static bool is_wildcard(struct span token, char wildcard)
{
        return token.size == 1 && token.bytes[0] == (uint8_t)wildcard;
}

static size_t count_tokens(struct span text)
{
        size_t count = 1;
        for (size_t i = 0; i < text.size; i++)
                count += text.bytes[i] == '.';
        return count;
}

static int parse_nats(struct shape *shape, struct span text)
{
        struct span token;
        struct shape found = {.stars = 0, .tokens_count = 0, .tail = TAIL_NONE};
        for (bool more = true; subject_next_token(&text, &more, &token);) {
                if (token.size == 0)
                        return -EINVAL;
                if (is_wildcard(token, '>')) {
                        if (more)
                                return -EINVAL;
                        found.tail = TAIL_SOME;
                        break;
                }
                if (is_wildcard(token, '*'))
                        found.stars |= (uint32_t)1 << found.tokens_count;
                found.tokens_count++;
        }
        *shape = found;
        return 0;
}

int pattern_parse(struct shape *shape, struct span text, enum match_dialect dialect)
{
        if (text.size > MATCH_SUBJECT_BYTES_MAX || count_tokens(text) > MATCH_TOKENS_MAX)
                return -E2BIG;
        assert(dialect == MATCH_NATS);
        return parse_nats(shape, text);
}

static bool has_star(struct shape shape, size_t position)
{
        return shape.stars >> position & 1;
}

struct subject_key pattern_key(const struct subject_secrets *secrets, struct span text, struct shape shape)
{
        struct subject_key key = subject_salt(secrets, shape_code(shape));
        bool more = true;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                struct span token = SPAN_NONE;
                subject_next_token(&text, &more, &token);
                if (!has_star(shape, i))
                        key = subject_key_xor(key, subject_token_key(secrets, i, token));
        }
        return key;
}

void pattern_tokens(const struct subject_secrets *secrets, struct span text, struct shape shape,
                    struct subject_key tokens[MATCH_TOKENS_MAX])
{
        bool more = true;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                struct span token = SPAN_NONE;
                subject_next_token(&text, &more, &token);
                if (!has_star(shape, i))
                        tokens[i] = subject_token_key(secrets, i, token);
        }
}

bool pattern_matches(struct span text, struct shape shape, struct span subject)
{
        bool more_text = true, more_subject = true;
        struct span wanted = SPAN_NONE, token;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                if (!subject_next_token(&subject, &more_subject, &token) || token.size == 0)
                        return false;
                subject_next_token(&text, &more_text, &wanted);
                if (!has_star(shape, i) && !span_equal(wanted, token))
                        return false;
        }
        if (more_subject != (shape.tail != TAIL_NONE))
                return false;
        while (subject_next_token(&subject, &more_subject, &token))
                if (token.size == 0)
                        return false;
        return true;
}

bool pattern_covers(struct span wide, struct shape wide_shape, struct span narrow, struct shape narrow_shape)
{
        bool more_wide = true, more_narrow = true;
        struct span wanted = SPAN_NONE, token = SPAN_NONE;
        /* A tail of the narrow one stands for any number of tokens: only a tail has room for those. */
        if (narrow_shape.tail && !wide_shape.tail)
                return false;
        if (narrow_shape.tokens_count < wide_shape.tokens_count)
                return false;
        for (size_t i = 0; i < wide_shape.tokens_count; i++) {
                subject_next_token(&wide, &more_wide, &wanted);
                subject_next_token(&narrow, &more_narrow, &token);
                if (!has_star(wide_shape, i) && (has_star(narrow_shape, i) || !span_equal(wanted, token)))
                        return false;
        }
        if (wide_shape.tail)
                return narrow_shape.tokens_count > wide_shape.tokens_count || narrow_shape.tail;
        return narrow_shape.tokens_count == wide_shape.tokens_count;
}
