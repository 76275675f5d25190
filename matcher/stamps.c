/* stamps: see the header. */
#include "matcher/stamps.h"

#include "matcher/whole.h"

static_assert(STAMPS_ALL <= UINT16_MAX, "a match_reach holds it");

#if FORM_X86
static AES_TARGET struct subject_key key_by_aes(const struct subject_secrets *secrets, struct span text)
{
        return whole_by_aes(secrets, text);
}
#endif

struct subject_key whole_key(const struct subject_secrets *secrets, struct span text)
{
        assert(text.size - 1 < WHOLE_BYTES_MAX);
#if FORM_X86
        if (secrets->is_aes)
                return key_by_aes(secrets, text);
#endif
        /* There the size is no part of it: it comes from the shape that asks. No shape has this code. */
        uint64_t code = (uint64_t)TAILS << 40 | text.size;
        return subject_key_xor(subject_bytes_key(secrets, text), subject_salt(secrets, code));
}

void stamps_init(struct stamps *stamps)
{
        atomic_init(&stamps->all, 1);
        for (size_t i = 0; i < array_count(stamps->each); i++)
                atomic_init(&stamps->each[i], 0);
}

/* Do all subjects that the pattern matches have the first token that stands in it? */
static bool has_first(struct span text, struct shape shape)
{
        if (shape_is_of_tokens(shape))
                return shape.tokens_count > 0 && (shape.stars & 1) == 0;
        /* It is whole only in front of a dot. */
        const uint8_t *dot = text.size == 0 ? NULL : memchr(text.bytes, '.', text.size);
        if (dot == NULL)
                return false;
        return shape.tail != TAIL_GLOB || memchr(text.bytes, '*', (size_t)(dot - text.bytes)) == NULL;
}

match_reach stamps_reach(const struct subject_secrets *secrets, struct span text, struct shape shape)
{
        if (shape.tail == TAIL_END || !shape_is_wild(shape)) {
                /* Other subjects have no key, so no cache keeps them: any small class will do. */
                if (text.size - 1 >= WHOLE_BYTES_MAX)
                        return 0;
                return (match_reach)stamps_of_whole(whole_key(secrets, text));
        }
        return (match_reach)(has_first(text, shape) ? stamps_of_first(secrets, text) : STAMPS_ALL);
}
