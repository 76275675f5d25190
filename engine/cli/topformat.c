/* topformat: see the header. */
#include "engine/cli/topformat.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX 9e15 /* a double holds every whole number up to here */

static const char *scaled(char out[TOPFORMAT_BYTES], double value, double step, const char *const units[],
                          size_t units_count)
{
        size_t unit = 0;
        if (isnan(value))
                return strcpy(out, "-");
        /* 999.7 would be shown as 1000: it is already of the next unit. */
        while (unit + 1 < units_count && value >= (unit == 0 ? step - 0.5 : 999.5)) {
                value /= step;
                unit++;
        }
        if (value >= 999.5 && unit + 1 == units_count)
                snprintf(out, TOPFORMAT_BYTES, ">999%s", units[unit]);
        else if (unit == 0 && (value >= 9.995 || value == floor(value)))
                snprintf(out, TOPFORMAT_BYTES, "%.0f%s", value, units[unit]);
        else
                snprintf(out, TOPFORMAT_BYTES, "%.*f%s",
                         value >= 99.95   ? 0
                         : value >= 9.995 ? 1
                                          : 2,
                         value, units[unit]);
        return out;
}

const char *topformat_count(char out[TOPFORMAT_BYTES], double count)
{
        static const char *const units[] = {"", "k", "M", "G", "T", "P"};
        return scaled(out, count, 1000, units, array_count(units));
}

const char *topformat_bytes(char out[TOPFORMAT_BYTES], double bytes)
{
        static const char *const units[] = {"B", "K", "M", "G", "T", "P"};
        return scaled(out, bytes, 1024, units, array_count(units));
}

const char *topformat_time(char out[TOPFORMAT_BYTES], double seconds)
{
        if (!(seconds >= 0) || seconds > EXACT_MAX)
                return strcpy(out, "-");
        uint64_t whole = (uint64_t)seconds;
        if (whole < 60)
                snprintf(out, TOPFORMAT_BYTES, "%" PRIu64 "s", whole);
        else if (whole < 3600)
                snprintf(out, TOPFORMAT_BYTES, "%" PRIu64 "m %02" PRIu64 "s", whole / 60, whole % 60);
        else if (whole < 86400)
                snprintf(out, TOPFORMAT_BYTES, "%" PRIu64 "h %02" PRIu64 "m", whole / 3600, whole / 60 % 60);
        else
                snprintf(out, TOPFORMAT_BYTES, "%" PRIu64 "d %" PRIu64 "h", whole / 86400, whole / 3600 % 24);
        return out;
}

const char *topformat_exact(char out[TOPFORMAT_BYTES], double count)
{
        char digits[24];
        size_t used = 0;
        if (!(count >= 0) || count > EXACT_MAX)
                return topformat_count(out, count);
        int size = snprintf(digits, sizeof digits, "%" PRIu64, (uint64_t)count);
        for (int i = 0; i < size; i++) {
                if (i > 0 && (size - i) % 3 == 0)
                        out[used++] = ' ';
                out[used++] = digits[i];
        }
        out[used] = '\0';
        return out;
}

const char *topformat_interval(char out[TOPFORMAT_BYTES], double seconds)
{
        if (seconds < 60)
                snprintf(out, TOPFORMAT_BYTES, "%.3gs", seconds);
        else
                topformat_time(out, seconds);
        return out;
}
