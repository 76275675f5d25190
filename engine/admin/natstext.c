/* natstext: see the header. */
#include "engine/admin/natstext.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "engine/base/clock.h"

const char *natstext_time(char out[NATSTEXT_BYTES], uint64_t unix_ns)
{
        time_t seconds = (time_t)(unix_ns / NS_PER_S);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        size_t size = strftime(out, NATSTEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(out + size, NATSTEXT_BYTES - size, ".%09uZ", (unsigned)(unix_ns % NS_PER_S));
        return out;
}

const char *natstext_duration(char out[NATSTEXT_BYTES], uint64_t ns)
{
        static const struct {
                uint64_t seconds;
                char letter;
        } units[] = {{(uint64_t)365 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
        uint64_t left = ns / NS_PER_S;
        size_t size = 0;
        for (size_t i = 0; i < array_count(units); i++) {
                bool is_last = i + 1 == array_count(units);
                if (size > 0 || left >= units[i].seconds || is_last)
                        size += (size_t)snprintf(out + size, NATSTEXT_BYTES - size, "%" PRIu64 "%c",
                                                 left / units[i].seconds, units[i].letter);
                left %= units[i].seconds;
        }
        return out;
}
