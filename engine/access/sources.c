/* sources: a small set-associative table; within a set of eight, the least of its entries makes room. See the header.
 */
#include "engine/access/sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/base/hostport.h"
#include "engine/base/bits.h"
#include "engine/base/random.h"

#define WAYS 8

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* an IPv4 address in an IPv6 one */

struct source source_of(struct span address)
{
        struct source source = {.bytes = {0}};
        char text[INET6_ADDRSTRLEN] = "";
        struct hostport parts = hostport_of(address);
        bool is_v6 = parts.is_bracketed;
        if (parts.host.size == 0 || parts.host.size >= sizeof text)
                return source;
        span_copy((uint8_t *)text, parts.host);
        char *zone = strchr(text, '%');
        if (zone != NULL)
                *zone = '\0';
        if (!is_v6 && inet_pton(AF_INET, text, source.bytes + 12) == 1)
                memcpy(source.bytes, mapped, sizeof mapped);
        else if (is_v6 && inet_pton(AF_INET6, text, source.bytes) == 1 &&
                 memcmp(source.bytes, mapped, sizeof mapped) != 0) {
                memset(source.bytes + 8, 0, 8);
                source.bytes[15] = 1; /* so that ::/64 is not what local ones are */
        }
        return source;
}

const char *source_text(struct source source, char *out, size_t out_size)
{
        static const struct source local = {.bytes = {0}};
        char text[INET6_ADDRSTRLEN] = "";
        bool is_mapped = memcmp(source.bytes, mapped, sizeof mapped) == 0;
        if (memcmp(&source, &local, sizeof local) == 0) {
                snprintf(out, out_size, "local");
        } else if (is_mapped) {
                inet_ntop(AF_INET, source.bytes + 12, text, sizeof text);
                snprintf(out, out_size, "%s", text);
        } else {
                source.bytes[15] = 0;
                inet_ntop(AF_INET6, source.bytes, text, sizeof text);
                snprintf(out, out_size, "%s/64", text);
        }
        return out;
}

int sources_init(struct sources *sources, size_t sources_count)
{
        assert(sources_count >= WAYS && bits_is_power_of_two(sources_count));
        sources->sets_count = sources_count / WAYS;
        sources->entries = calloc(sources_count, sizeof *sources->entries);
        random_secret(&sources->seed, sizeof sources->seed);
        return sources->entries == NULL ? -ENOMEM : 0;
}

void sources_fini(struct sources *sources)
{
        free(sources->entries);
        sources->entries = NULL;
}

static struct sources_entry *sources_set(const struct sources *sources, struct source source)
{
        uint64_t hash = XXH3_64bits_withSeed(source.bytes, sizeof source.bytes, sources->seed);
        return &sources->entries[(hash & (sources->sets_count - 1)) * WAYS];
}

static struct sources_entry *sources_find(const struct sources *sources, struct source source)
{
        struct sources_entry *set = sources_set(sources, source);
        for (size_t i = 0; i < WAYS; i++)
                if (set[i].heard_ns != 0 && memcmp(&set[i].source, &source, sizeof source) == 0)
                        return &set[i];
        return NULL;
}

/* The entry of `source`, made where it is not there yet. */
static struct sources_entry *sources_take(struct sources *sources, struct source source, uint64_t now_ns)
{
        struct sources_entry *entry = sources_find(sources, source);
        if (entry == NULL) {
                struct sources_entry *set = sources_set(sources, source);
                entry = &set[0];
                for (size_t i = 1; i < WAYS; i++) {
                        bool is_banned = set[i].until_ns > now_ns, entry_is_banned = entry->until_ns > now_ns;
                        if (is_banned != entry_is_banned ? entry_is_banned : set[i].heard_ns < entry->heard_ns)
                                entry = &set[i];
                }
                *entry = (struct sources_entry){.source = source, .window_ns = now_ns};
        }
        entry->heard_ns = now_ns == 0 ? 1 : now_ns;
        return entry;
}

uint64_t sources_failed(struct sources *sources, struct source source, uint64_t now_ns, uint32_t ban_after,
                        uint64_t ban_ns)
{
        struct sources_entry *entry = sources_take(sources, source, now_ns);
        if (now_ns - entry->window_ns >= SOURCES_WINDOW_NS) {
                entry->window_ns = now_ns;
                entry->failures = 0;
        }
        entry->failures += entry->failures < UINT32_MAX;
        if (ban_after != 0 && entry->failures >= ban_after)
                entry->until_ns = now_ns + ban_ns;
        if (ban_after == 0 || entry->failures < 2)
                return 0;
        uint32_t doublings = entry->failures - 2 < 16 ? entry->failures - 2 : 16;
        uint64_t delay_ns = SOURCES_DELAY_NS << doublings;
        return delay_ns < SOURCES_DELAY_NS_MAX ? delay_ns : SOURCES_DELAY_NS_MAX;
}

void sources_ban(struct sources *sources, struct source source, uint64_t now_ns, uint64_t until_ns)
{
        sources_take(sources, source, now_ns)->until_ns = until_ns;
}

uint64_t sources_banned_until(const struct sources *sources, struct source source, uint64_t now_ns)
{
        const struct sources_entry *entry = sources_find(sources, source);
        return entry != NULL && entry->until_ns > now_ns ? entry->until_ns : 0;
}

uint32_t sources_failures(const struct sources *sources, struct source source, uint64_t now_ns)
{
        const struct sources_entry *entry = sources_find(sources, source);
        return entry != NULL && now_ns - entry->window_ns < SOURCES_WINDOW_NS ? entry->failures : 0;
}

void sources_clear(struct sources *sources)
{
        memset(sources->entries, 0, sources->sets_count * WAYS * sizeof *sources->entries);
}
