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

static bool is_stars(struct span token)
{
        for (size_t i = 0; i < token.size; i++)
                if (token.bytes[i] != '*')
                        return false;
        return token.size > 0;
}

static bool has_star_inside(struct span token)
{
        return token.size > 0 && memchr(token.bytes, '*', token.size) != NULL && !is_stars(token);
}

/* What of a glob is in front of its first wildcard. */
static size_t glob_bytes(struct span text)
{
        size_t size = 0;
        while (size < text.size && size < GLOB_BYTES_MAX && text.bytes[size] != '*')
                size++;
        return size;
}

static int parse_synap(struct shape *shape, struct span text)
{
        struct span token, rest = text;
        struct shape found = {.stars = 0, .tokens_count = 0, .tail = TAIL_NONE};
        bool is_glob = false;
        if (text.size == 0)
                return -EINVAL;
        for (bool more = true; subject_next_token(&rest, &more, &token);) {
                if (is_wildcard(token, '#')) {
                        if (more)
                                return -EINVAL;
                        found.tail = TAIL_ANY;
                        break;
                }
                if (is_stars(token))
                        found.stars |= (uint32_t)1 << found.tokens_count;
                is_glob = is_glob || has_star_inside(token);
                found.tokens_count++;
        }
        if (is_glob)
                found = (struct shape){.stars = (uint32_t)glob_bytes(text), .tail = TAIL_GLOB};
        *shape = found;
        return 0;
}

static void parse_exact(struct shape *shape, struct span text, size_t tokens_count)
{
        if (tokens_count <= MATCH_TOKENS_MAX)
                *shape = (struct shape){.tokens_count = (uint8_t)tokens_count, .tail = TAIL_NONE};
        else
                *shape = (struct shape){.stars = (uint32_t)text.size, .tail = TAIL_END};
}

int pattern_parse(struct shape *shape, struct span text, enum match_dialect dialect)
{
        bool has_tokens = dialect == MATCH_NATS || dialect == MATCH_SYNAP;
        if (text.size > MATCH_SUBJECT_BYTES_MAX || (has_tokens && count_tokens(text) > MATCH_TOKENS_MAX))
                return -E2BIG;
        switch (dialect) {
        case MATCH_NATS:
                return parse_nats(shape, text);
        case MATCH_SYNAP:
                return parse_synap(shape, text);
        case MATCH_PREFIX:
                *shape = (struct shape){.stars = (uint32_t)text.size, .tail = TAIL_PREFIX};
                return 0;
        case MATCH_EXACT:
                parse_exact(shape, text, count_tokens(text));
                return 0;
        }
        assert(!"a dialect");
        return -EINVAL;
}

struct span pattern_canonical(struct span text, enum match_dialect dialect, uint8_t room[MATCH_SUBJECT_BYTES_MAX])
{
        if (dialect != MATCH_SYNAP || text.size < 2 || memmem(text.bytes, text.size, "**", 2) == NULL)
                return text;
        struct span token, rest = text;
        uint8_t *to = room;
        for (bool more = true; subject_next_token(&rest, &more, &token);) {
                to = span_copy(to, is_stars(token) ? SPAN("*") : token);
                if (more)
                        *to++ = '.';
        }
        return span_of(room, (size_t)(to - room));
}

static bool has_star(struct shape shape, size_t position)
{
        return shape.stars >> position & 1;
}

struct subject_key pattern_key(const struct subject_secrets *secrets, struct span text, struct shape shape)
{
        struct subject_key tokens[MATCH_TOKENS_MAX];
        struct subject_key key = subject_salt(secrets, shape_code(shape));
        if (!shape_is_of_tokens(shape))
                return subject_key_xor(key, subject_bytes_key(secrets, span_of(text.bytes, shape.stars)));
        pattern_tokens(secrets, text, shape, tokens);
        for (uint32_t literals = shape_literals(shape); literals != 0; literals &= literals - 1)
                key = subject_key_xor(key, tokens[__builtin_ctz(literals)]);
        return key;
}

void pattern_tokens(const struct subject_secrets *secrets, struct span text, struct shape shape,
                    struct subject_key tokens[MATCH_TOKENS_MAX])
{
        bool more = true;
        assert(shape_is_of_tokens(shape));
        for (size_t i = 0; i < shape.tokens_count; i++) {
                struct span token = SPAN_NONE;
                subject_next_token(&text, &more, &token);
                if (!has_star(shape, i))
                        tokens[i] = subject_token_key(secrets, i, token);
        }
}

static const uint8_t *find_star(struct span wanted)
{
        return wanted.size == 0 ? NULL : memchr(wanted.bytes, '*', wanted.size);
}

/* Stars stand for any bytes. What is between two of them is taken where it comes first, which leaves the most for the
 * rest; so it takes time in proportion to both texts, whatever they are. */
static bool glob_token_matches(struct span wanted, struct span token)
{
        const uint8_t *star = find_star(wanted);
        if (star == NULL)
                return span_equal(wanted, token);
        struct span part = span_of(wanted.bytes, (size_t)(star - wanted.bytes));
        if (!span_starts_with(token, part))
                return false;
        token = span_skip(token, part.size);
        for (;;) {
                wanted = span_skip(wanted, part.size + 1);
                star = find_star(wanted);
                if (star == NULL)
                        return wanted.size == 0 || (token.size >= wanted.size &&
                                                    span_equal(span_skip(token, token.size - wanted.size), wanted));
                part = span_of(wanted.bytes, (size_t)(star - wanted.bytes));
                if (part.size == 0)
                        continue;
                const uint8_t *at = token.size == 0 ? NULL : memmem(token.bytes, token.size, part.bytes, part.size);
                if (at == NULL)
                        return false;
                token = span_skip(token, (size_t)(at - token.bytes) + part.size);
        }
}

static bool glob_matches(struct span text, struct span subject)
{
        bool more_text = true, more_subject = true;
        struct span wanted, token;
        if (count_tokens(subject) > MATCH_TOKENS_MAX)
                return false;
        while (subject_next_token(&text, &more_text, &wanted)) {
                if (!more_text && is_wildcard(wanted, '#'))
                        return true;
                if (!subject_next_token(&subject, &more_subject, &token) || (is_stars(wanted) && token.size == 0) ||
                    !glob_token_matches(wanted, token))
                        return false;
        }
        return !more_subject;
}

static bool has_empty_token(struct span subject)
{
        struct span token;
        for (bool more = true; subject_next_token(&subject, &more, &token);)
                if (token.size == 0)
                        return true;
        return false;
}

static bool tokens_match(struct span text, struct shape shape, struct span subject)
{
        bool more_text = true, more_subject = true;
        struct span wanted = SPAN_NONE, token;
        if (shape.tail == TAIL_SOME && has_empty_token(subject))
                return false;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                if (!subject_next_token(&subject, &more_subject, &token))
                        return false;
                subject_next_token(&text, &more_text, &wanted);
                if (has_star(shape, i) ? token.size == 0 : !span_equal(wanted, token))
                        return false;
        }
        return shape.tail == TAIL_ANY || more_subject == (shape.tail == TAIL_SOME);
}

bool pattern_matches(struct span text, struct shape shape, struct span subject)
{
        switch (shape.tail) {
        case TAIL_PREFIX:
                return span_starts_with(subject, text);
        case TAIL_END:
                return span_equal(subject, text);
        case TAIL_GLOB:
                return glob_matches(text, subject);
        default:
                return tokens_match(text, shape, subject);
        }
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
