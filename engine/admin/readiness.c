/* readiness: a table of checks. See the header. */
#include "engine/admin/readiness.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/admin/control.h"
#include "engine/watermark.h"

#define REASON_BYTES 160

/* Each says what is in the way and returns false, or true. */
typedef bool readiness_check(const struct reactor *reactor, char reason[REASON_BYTES]);

static bool has_started(const struct reactor *reactor, char reason[REASON_BYTES])
{
        const struct cores *cores = reactor->cores;
        unsigned turning_count = 0;
        for (unsigned i = 0; i < cores->count; i++)
                turning_count += counter_read(&cores->core[i].reactor->pulse.values, PULSE_THREAD) != 0;
        snprintf(reason, REASON_BYTES, "%u of %u reactors have started", turning_count, cores->count);
        return turning_count == cores->count;
}

static bool does_not_drain(const struct reactor *reactor, char reason[REASON_BYTES])
{
        snprintf(reason, REASON_BYTES, "draining: the server goes away");
        return !reactor->is_stopping;
}

static bool has_memory(const struct reactor *reactor, char reason[REASON_BYTES])
{
        const struct cores *cores = reactor->cores;
        for (unsigned i = 0; i < cores->count; i++) {
                uint64_t step = counter_read(&cores->core[i].reactor->counters, COUNT_WATERMARK);
                if (step < WATERMARK_CLOSED)
                        continue;
                snprintf(reason, REASON_BYTES, "reactor %u is short of stream memory (%s) and lets nobody in", i,
                         watermark_name((enum watermark)step));
                return false;
        }
        return true;
}

static bool has_places(const struct reactor *reactor, char reason[REASON_BYTES])
{
        uint64_t clients = reactor_sum(reactor, COUNT_CLIENTS);
        snprintf(reason, REASON_BYTES, "%" PRIu64 " of %u clients are here (--max-connections)", clients,
                 reactor->settings.conns_max);
        return clients < reactor->settings.conns_max;
}

static bool all_turn(const struct reactor *reactor, char reason[REASON_BYTES])
{
        uint64_t stuck = reactor->control == NULL ? 0 : reactor->control->stuck;
        if (stuck == 0)
                return true;
        snprintf(reason, REASON_BYTES, "reactor %d turns no more (%d of %u)", __builtin_ctzll(stuck),
                 __builtin_popcountll(stuck), reactor->cores->count);
        return false;
}

static const struct {
        const char *name;
        readiness_check *check;
} checks[] = {
        {"started", has_started}, {"turning", all_turn},       {"staying", does_not_drain},
        {"memory", has_memory},   {"connections", has_places},
};

bool readiness_write(const struct reactor *reactor, bool is_verbose, char text[READINESS_TEXT_BYTES])
{
        static_assert(array_count(checks) * (REASON_BYTES + 32) < READINESS_TEXT_BYTES, "all reasons fit");
        char reason[REASON_BYTES];
        bool is_ready = true;
        size_t size = 0;
        for (size_t i = 0; i < array_count(checks); i++) {
                bool is_met = checks[i].check(reactor, reason);
                is_ready &= is_met;
                if (is_met && is_verbose)
                        size += (size_t)snprintf(text + size, READINESS_TEXT_BYTES - size, "[+] %s\n", checks[i].name);
                if (!is_met)
                        size += (size_t)snprintf(text + size, READINESS_TEXT_BYTES - size, "[-] %s: %s\n",
                                                 checks[i].name, reason);
        }
        snprintf(text + size, READINESS_TEXT_BYTES - size, "%s\n", is_ready ? "ok" : "not ready");
        return is_ready;
}
