/* form: the reader's half of the matcher, once for each kind of CPU. All of them find the same; a table keeps to the
 * one it was made with, because what is hashed by AES is filed elsewhere than what is hashed by multiplications.
 *
 *      form       needs                                       hash            shapes worth a vector
 *      avx512     AVX-512 of Ice Lake or Zen 4, VAES          AES             128
 *      avx2       AVX2, AES                                   AES             64
 *      portable   nothing; any architecture                   multiplication  32 */
#ifndef SPATE_MATCHER_FORM_H
#define SPATE_MATCHER_FORM_H

#include "matcher/match.h"

#ifndef FORM_X86
#ifdef __x86_64__
#define FORM_X86 1
#else
#define FORM_X86 0
#endif
#endif

struct subject;
struct subject_secrets;

struct match_form {
        const char *name;
        bool is_aes;
        size_t shapes_hot; /* at one depth; what has more goes to the cold tree */
        bool (*is_supported)(void);
        /* As subject_read(). */
        bool (*read)(struct subject *subject, const struct subject_secrets *secrets, struct span text);
        size_t (*match)(const struct match_table *table, const struct span *subjects, size_t subjects_count,
                        pattern_id *ids, size_t ids_max, struct match_set *sets);
};

extern const struct match_form form_portable;
#if FORM_X86
extern const struct match_form form_avx2, form_avx512;
#endif

#define FORMS_MAX 3

/* Those that this CPU has, the best one first. Returns how many; the portable one is always among them. */
size_t forms(const struct match_form *found[FORMS_MAX]);
const struct match_form *form_best(void);
/* As match_table_new(), with a form that this CPU has; for tests and measurements. */
int form_table_new(struct match_table **table, const struct match_limits *limits, const uint8_t secret[16],
                   const struct match_form *form);

#endif
