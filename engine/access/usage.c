/* usage: by name. See the header. */
#include "engine/access/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/base/random.h"

int usages_init(struct usages *usages, unsigned reactors_count)
{
        usages->reactors_count = reactors_count;
        random_secret(&usages->seed, sizeof usages->seed);
        epoch_bin_init(&usages->bin);
        return map_init(&usages->by_name, 0);
}

void usages_fini(struct usages *usages)
{
        assert(usages->by_name.nodes_count == 0);
        if (usages->reactors_count != 0)
                epoch_drain(&usages->bin);
        map_fini(&usages->by_name);
}

struct usage *usages_get(struct usages *usages, struct span name)
{
        uint64_t hash = XXH3_64bits_withSeed(name.bytes, name.size, usages->seed);
        for (struct map_node *node = map_first(&usages->by_name, hash); node != NULL; node = map_next(node)) {
                struct usage *usage = container_of(node, struct usage, node);
                if (!span_equal(span_of(usage->name, usage->name_bytes), name))
                        continue;
                usage->users_count++;
                return usage;
        }
        size_t cells_bytes = usages->reactors_count * sizeof(struct usage_cell);
        struct usage *usage = calloc(1, sizeof *usage + cells_bytes + name.size);
        if (usage == NULL)
                return NULL;
        usage->users_count = 1;
        usage->reactors_count = usages->reactors_count;
        usage->name = (uint8_t *)usage->cells + cells_bytes;
        usage->name_bytes = name.size;
        span_copy(usage->name, name);
        map_insert(&usages->by_name, &usage->node, hash);
        return usage;
}

static void usage_free(struct epoch_retired *retired)
{
        free(container_of(retired, struct usage, retired));
}

void usage_drop(struct usages *usages, struct usage *usage)
{
        if (--usage->users_count > 0)
                return;
        map_remove(&usages->by_name, &usage->node);
        epoch_retire(&usages->bin, &usage->retired, usage_free);
        epoch_collect(&usages->bin);
}
