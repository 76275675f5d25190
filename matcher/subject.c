/* Where the CPU has rounds of AES, they are the hash (matcher/aes.h). Elsewhere it is multiply and fold, twice with
 * independent secrets, over the token's first and last word: cheap on any 64-bit machine, with no instruction beyond
 * the base set. What must hold against someone who picks tokens but does not know the secret: no two tokens share a
 * hash at one position, and no few of them cancel out under XOR. Therefore each position has factors of its own, and a
 * length enters multiplied by a secret: were it just XORed in, the overlap of the two words would let a longer token
 * imitate a shorter one. */
#include "matcher/subject.h"

#include "matcher/form.h"
#if FORM_X86
#include "matcher/aes.h"
#endif

static inline uint64_t load_word(const uint8_t *bytes)
{
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        return word;
}

static inline uint64_t load_half(const uint8_t *bytes)
{
        uint32_t half;
        memcpy(&half, bytes, sizeof half);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        half = __builtin_bswap32(half);
#endif
        return half;
}

__extension__ typedef unsigned __int128 wide;

static inline uint64_t multiply_fold(uint64_t a, uint64_t b)
{
        wide product = (wide)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* splitmix64: spreads the secret over the tables; its quality is enough because nothing hashed is ever shown. */
static uint64_t expand(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

void subject_secrets_init_as(struct subject_secrets *secrets, const uint8_t secret[16], bool is_aes)
{
        uint64_t a = load_word(secret);
        uint64_t b = load_word(secret + 8);
        uint64_t words[sizeof *secrets / sizeof(uint64_t)];
        for (size_t i = 0; i < array_count(words); i++)
                words[i] = expand(&a) ^ multiply_fold(expand(&b), 0xd6e8feb86659fd93u);
        static_assert(sizeof words == sizeof *secrets, "made of words only");
        memcpy(secrets, words, sizeof *secrets);
        secrets->lengths[0] |= 1;
        secrets->lengths[1] |= 1;
        secrets->is_aes = is_aes;
}

void subject_secrets_init(struct subject_secrets *secrets, const uint8_t secret[16])
{
        subject_secrets_init_as(secrets, secret, form_best()->is_aes);
}

/* Tokens beyond two words, chained; rare, so kept out of the way of the others. */
static __attribute__((noinline)) struct subject_key chain(const struct subject_secrets *secrets, const uint8_t *bytes,
                                                          size_t size)
{
        struct subject_key sum = {.lo = secrets->chain[0], .hi = secrets->chain[1]};
        for (; size > 16; bytes += 16, size -= 16) {
                uint64_t a = load_word(bytes);
                uint64_t b = load_word(bytes + 8);
                struct subject_key next = {
                        .lo = multiply_fold(a ^ sum.lo, b ^ secrets->chain[2] ^ sum.hi),
                        .hi = multiply_fold(b ^ sum.hi, a ^ secrets->chain[3] ^ sum.lo),
                };
                sum = next;
        }
        /* The last 16 bytes overlap what was read; there are more than 16, so they exist. */
        uint64_t a = load_word(bytes + size - 16);
        uint64_t b = load_word(bytes + size - 8);
        return (struct subject_key){
                .lo = multiply_fold(a ^ sum.lo, b ^ secrets->chain[3] ^ sum.hi),
                .hi = multiply_fold(b ^ sum.hi, a ^ secrets->chain[2] ^ sum.lo),
        };
}

static inline struct subject_key token_key(const struct subject_secrets *secrets, size_t position, const uint8_t *bytes,
                                           size_t size)
{
        const uint64_t *factors = secrets->positions[position].factors;
        struct subject_key first, last;
        if (size <= 8) {
                if (size >= 4)
                        first.lo = load_half(bytes) | load_half(bytes + size - 4) << 32;
                else if (size > 0)
                        first.lo = bytes[0] | (uint64_t)bytes[size >> 1] << 8 | (uint64_t)bytes[size - 1] << 16;
                else
                        first.lo = 0;
                first.hi = first.lo;
                last = (struct subject_key){.lo = 0, .hi = 0};
        } else if (likely(size <= 16)) {
                first.lo = first.hi = load_word(bytes);
                last.lo = last.hi = load_word(bytes + size - 8);
        } else {
                first = chain(secrets, bytes, size);
                last = (struct subject_key){.lo = first.hi, .hi = first.lo};
        }
        last.lo ^= size * secrets->lengths[0];
        last.hi ^= size * secrets->lengths[1];
        return (struct subject_key){
                .lo = multiply_fold(first.lo ^ factors[0], last.lo ^ factors[1]),
                .hi = multiply_fold(first.hi ^ factors[2], last.hi ^ factors[3]),
        };
}

#if FORM_X86
static AES_TARGET struct subject_key read_token_by_aes(const struct subject_secrets *secrets, size_t position,
                                                       struct span token)
{
        return aes_key(aes_token(secrets, position, token, 0, token.size));
}

static AES_TARGET struct subject_key bytes_key_by_aes(const struct subject_secrets *secrets, struct span bytes)
{
        struct aes_beginnings beginnings = aes_begin(secrets, bytes);
        return aes_beginning(&beginnings, bytes.size);
}

static AES_TARGET bool read_by_aes(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
        return aes_read(subject, secrets, text);
}
#endif

struct subject_key subject_token_key(const struct subject_secrets *secrets, size_t position, struct span token)
{
        assert(position < MATCH_TOKENS_MAX);
#if FORM_X86
        if (secrets->is_aes)
                return read_token_by_aes(secrets, position, token);
#endif
        return token_key(secrets, position, token.bytes, token.size);
}

struct subject_key subject_salt(const struct subject_secrets *secrets, uint64_t code)
{
        const uint64_t *factors = secrets->shape;
        return (struct subject_key){
                .lo = multiply_fold(code ^ factors[0], factors[1]),
                .hi = multiply_fold(code ^ factors[2], factors[3]),
        };
}

/* The highest bit of each byte of `word` that is a dot, and no other bit. */
static inline uint64_t dots_in(uint64_t word)
{
        const uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
        word ^= 0x2e2e2e2e2e2e2e2eu;
        return ~(((word & low7) + low7) | word | low7);
}

/* The last one to seven bytes of `text`, padded with zeros; `at` is where they start. */
static inline uint64_t load_rest(struct span text, size_t at)
{
        if (text.size >= 8)
                return load_word(text.bytes + text.size - 8) >> (8 * (8 - (text.size - at)));
        uint64_t word = 0;
        for (size_t i = text.size; i-- > at;)
                word = word << 8 | text.bytes[i];
        return word;
}

bool subject_read(struct subject *subject, const struct subject_secrets *secrets, struct span text)
{
#if FORM_X86
        if (secrets->is_aes)
                return read_by_aes(subject, secrets, text);
#endif
        if (unlikely(text.size == 0 || text.size > MATCH_SUBJECT_BYTES_MAX))
                return false;
        struct subject_key sum = {.lo = 0, .hi = 0};
        size_t count = 0, start = 0;
        for (size_t at = 0; at < text.size; at += 8) {
                uint64_t word = likely(at + 8 <= text.size) ? load_word(text.bytes + at) : load_rest(text, at);
                for (uint64_t dots = dots_in(word); dots != 0; dots &= dots - 1) {
                        size_t dot = at + (size_t)__builtin_ctzll(dots) / 8;
                        /* One token must remain for what is behind this dot. */
                        if (unlikely(dot == start || count == MATCH_TOKENS_MAX - 1))
                                return false;
                        struct subject_key key = token_key(secrets, count, text.bytes + start, dot - start);
                        subject->tokens[count++] = key;
                        sum = subject_key_xor(sum, key);
                        start = dot + 1;
                }
        }
        if (unlikely(start == text.size))
                return false;
        struct subject_key key = token_key(secrets, count, text.bytes + start, text.size - start);
        subject->tokens[count++] = key;
        subject->all = subject_key_xor(sum, key);
        subject->tokens_count = (uint32_t)count;
        return true;
}

bool subject_read_any(struct subject *subject, const struct subject_secrets *secrets, struct span text,
                      uint32_t *empties)
{
        if (text.size > MATCH_SUBJECT_BYTES_MAX)
                return false;
        struct span token;
        size_t count = 0;
        *empties = 0;
        subject->all = (struct subject_key){.lo = 0, .hi = 0};
        subject->all_known = true;
        for (bool more = true; subject_next_token(&text, &more, &token); count++) {
                if (count == MATCH_TOKENS_MAX)
                        return false;
                *empties |= (uint32_t)(token.size == 0) << count;
                subject->tokens[count] = subject_token_key(secrets, count, token);
                subject->all = subject_key_xor(subject->all, subject->tokens[count]);
        }
        subject->tokens_count = (uint32_t)count;
        return true;
}

/* Blocks are chained as in a token that is longer than one; the last is whatever is left, none of it included. Lengths
 * are told apart by the shape that the key is salted with. */

#define BLOCK_BYTES ((size_t)16)

static struct subject_key take_block(const struct subject_secrets *secrets, struct subject_key sum,
                                     const uint8_t *bytes)
{
        uint64_t a = load_word(bytes), b = load_word(bytes + 8);
        return (struct subject_key){.lo = multiply_fold(a ^ sum.lo, b ^ secrets->chain[2] ^ sum.hi),
                                    .hi = multiply_fold(b ^ sum.hi, a ^ secrets->chain[3] ^ sum.lo)};
}

void subject_begin(struct subject_beginnings *beginnings, const struct subject_secrets *secrets, struct span text)
{
        *beginnings = (struct subject_beginnings){.secrets = secrets, .text = text, .sum = secrets->longer};
}

struct subject_key subject_beginning(struct subject_beginnings *beginnings, size_t size)
{
        const struct subject_secrets *secrets = beginnings->secrets;
        assert(!secrets->is_aes);
        assert_slow(size <= beginnings->text.size);
        for (; beginnings->taken + BLOCK_BYTES <= size; beginnings->taken += BLOCK_BYTES)
                beginnings->sum = take_block(secrets, beginnings->sum, beginnings->text.bytes + beginnings->taken);
        size_t rest = size - beginnings->taken;
        uint8_t last[BLOCK_BYTES] = {0};
        if (rest > 0)
                memcpy(last, beginnings->text.bytes + beginnings->taken, rest);
        return take_block(secrets, beginnings->sum, last);
}

struct subject_key subject_bytes_key(const struct subject_secrets *secrets, struct span bytes)
{
#if FORM_X86
        if (secrets->is_aes)
                return bytes_key_by_aes(secrets, bytes);
#endif
        struct subject_beginnings beginnings;
        subject_begin(&beginnings, secrets, bytes);
        return subject_beginning(&beginnings, bytes.size);
}
