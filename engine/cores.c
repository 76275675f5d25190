/* cores: see the header. */
#include "engine/cores.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/base/random.h"

/* Who subscribes and unsubscribes all the time, never holding many, is not to be refused because one reactor has lost
 * its core for a moment: what is withdrawn waits for it. */
#define RETIRING_MAX ((size_t)1 << 20)

int cores_new(struct cores **out, const struct cores_settings *settings)
{
        unsigned count = settings->count;
        assert(count >= 1);
        assert(count <= MATCH_REACTORS_MAX);
        struct cores *cores = calloc(1, sizeof *cores);
        if (cores == NULL)
                return -ENOMEM;
        cores->count = count;
        cores->patterns_max = settings->patterns_max;
        cores->mailbox_bytes = settings->mailbox_bytes;
        cores->record_ids_max = settings->record_ids_max == 0 ? CORES_RECORD_IDS_MAX : settings->record_ids_max;
        memcpy(&cores->hash_seed, settings->secret, sizeof cores->hash_seed);
        random_secret(&cores->server_number, sizeof cores->server_number);
        cores->core = aligned_alloc(CACHE_LINE, count * bits_align_up(sizeof *cores->core, CACHE_LINE));
        cores->mailboxes = calloc((size_t)count * count, sizeof(*cores->mailboxes));
        struct match_limits limits = {.patterns_max = settings->patterns_max, .retiring_max = RETIRING_MAX};
        int error = cores->core == NULL || cores->mailboxes == NULL
                            ? -ENOMEM
                            : match_table_new(&cores->table, &limits, settings->secret);
        if (cores->core != NULL)
                memset(cores->core, 0, count * sizeof *cores->core);
        for (unsigned i = 0; error == 0 && i < count; i++)
                error = interests_init(&cores->core[i].interests, match_id_end(&limits), cores->table);
        for (unsigned from = 0; error == 0 && from < count; from++)
                for (unsigned to = 0; error == 0 && to < count; to++)
                        if (from != to)
                                error = mailbox_new(&cores->mailboxes[from * count + to], settings->mailbox_bytes,
                                                    &cores->core[to].bell);
        if (error != 0) {
                cores_free(cores);
                return error;
        }
        *out = cores;
        return 0;
}

void cores_free(struct cores *cores)
{
        if (cores == NULL)
                return;
        for (unsigned i = 0; cores->mailboxes != NULL && i < cores->count * cores->count; i++)
                mailbox_free(cores->mailboxes[i]);
        for (unsigned i = 0; cores->core != NULL && i < cores->count; i++) {
                assert(cores->core[i].reactor == NULL);
                interests_fini(&cores->core[i].interests);
        }
        match_table_free(cores->table);
        free(cores->mailboxes);
        free(cores->core);
        free(cores);
}

void cores_publish_settings(struct cores *cores, const struct reactor_settings *settings)
{
        /* Release: pairs with the acquire in cores_published_settings(). */
        atomic_store_explicit(&cores->settings, settings, memory_order_release);
        for (unsigned i = 0; i < cores->count; i++)
                cores_wake(cores, i);
}

void cores_wake(const struct cores *cores, unsigned reactor)
{
        const struct bell *bell = &cores->core[reactor].bell;
        if (bell->wake != NULL)
                bell->wake(bell->sleeper);
}

const struct reactor_settings *cores_published_settings(const struct cores *cores)
{
        /* Acquire: pairs with the release in cores_publish_settings(). */
        return atomic_load_explicit(&cores->settings, memory_order_acquire);
}

uint64_t cores_name_hash(const struct cores *cores, struct span name)
{
        return XXH3_64bits_withSeed(name.bytes, name.size, cores->hash_seed);
}
