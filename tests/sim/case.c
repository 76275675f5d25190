/* case: see the header. */
#include "tests/sim/case.h"

#include <stdlib.h>
#include <string.h>

const char *twist_name(enum twist twist)
{
        static const char *const names[] = {
#define TWIST_NAME(id, name, meaning) name,
                TWIST_TABLE(TWIST_NAME)
#undef TWIST_NAME
        };
        return names[twist];
}

const char *twist_meaning(enum twist twist)
{
        static const char *const meanings[] = {
#define TWIST_MEANING(id, name, meaning) meaning,
                TWIST_TABLE(TWIST_MEANING)
#undef TWIST_MEANING
        };
        return meanings[twist];
}

bool case_skips(const struct sim_case *sim_case, uint32_t act)
{
        for (size_t i = 0; i < sim_case->skips_count && sim_case->skips[i].first <= act; i++)
                if (act <= sim_case->skips[i].last)
                        return true;
        return false;
}

void case_text(const struct sim_case *sim_case, char text[CASE_TEXT_BYTES])
{
        FILE *to = fmemopen(text, CASE_TEXT_BYTES, "w");
        fprintf(to, "--seed %llu", (unsigned long long)sim_case->seed);
        if (sim_case->reactors != 0)
                fprintf(to, " --reactors %u", sim_case->reactors);
        if (sim_case->clients != 0)
                fprintf(to, " --clients %u", sim_case->clients);
        if (sim_case->rounds != 0)
                fprintf(to, " --rounds %u", sim_case->rounds);
        const char *between = " --with ";
        for (unsigned i = 0; i < TWISTS; i++)
                if (case_has(sim_case, i) && (CASE_WITHOUT >> i & 1) != 0) {
                        fprintf(to, "%s%s", between, twist_name(i));
                        between = ",";
                }
        between = " --without ";
        for (unsigned i = 0; i < TWISTS; i++)
                if (!case_has(sim_case, i) && (CASE_WITHOUT >> i & 1) == 0) {
                        fprintf(to, "%s%s", between, twist_name(i));
                        between = ",";
                }
        between = " --skip ";
        for (size_t i = 0; i < sim_case->skips_count; i++) {
                fprintf(to, "%s%u-%u", between, sim_case->skips[i].first, sim_case->skips[i].last);
                between = ",";
        }
        fputc('\0', to);
        fclose(to);
}

static bool take_twists(struct sim_case *sim_case, const char *value, bool is_in)
{
        char names[CASE_TEXT_BYTES], *rest = names, *name;
        snprintf(names, sizeof names, "%s", value);
        while ((name = strsep(&rest, ",")) != NULL) {
                unsigned twist = 0;
                while (twist < TWISTS && strcmp(twist_name(twist), name) != 0)
                        twist++;
                if (twist == TWISTS)
                        return false;
                sim_case->without = (sim_case->without & ~((uint32_t)1 << twist)) | (uint32_t)!is_in << twist;
        }
        return true;
}

static bool take_skips(struct sim_case *sim_case, const char *value)
{
        while (*value != '\0') {
                struct case_skip skip;
                int taken = 0;
                if (sscanf(value, "%u-%u%n", &skip.first, &skip.last, &taken) != 2 || skip.last < skip.first ||
                    sim_case->skips_count == CASE_SKIPS_MAX || (value[taken] != ',' && value[taken] != '\0'))
                        return false;
                sim_case->skips[sim_case->skips_count++] = skip;
                value += taken + (value[taken] == ',');
        }
        return true;
}

bool case_take(struct sim_case *sim_case, const char *name, const char *value)
{
        char *end;
        if (strcmp(name, "--without") == 0 || strcmp(name, "--with") == 0)
                return take_twists(sim_case, value, strcmp(name, "--with") == 0);
        if (strcmp(name, "--skip") == 0)
                return take_skips(sim_case, value);
        uint64_t number = strtoull(value, &end, 10);
        if (*value < '0' || *value > '9' || *end != '\0')
                return false;
        if (strcmp(name, "--seed") == 0)
                sim_case->seed = number;
        else if (strcmp(name, "--reactors") == 0)
                sim_case->reactors = (unsigned)number;
        else if (strcmp(name, "--clients") == 0)
                sim_case->clients = (unsigned)number;
        else if (strcmp(name, "--rounds") == 0)
                sim_case->rounds = (uint32_t)number;
        else
                return false;
        return true;
}

bool case_parse(struct sim_case *sim_case, const char *line)
{
        char text[CASE_TEXT_BYTES], *rest = text, *name, *value;
        *sim_case = (struct sim_case){.without = CASE_WITHOUT};
        snprintf(text, sizeof text, "%s", line);
        text[strcspn(text, "\n#")] = '\0';
        while ((name = strsep(&rest, " ")) != NULL) {
                if (*name == '\0')
                        continue;
                if ((value = strsep(&rest, " ")) == NULL || !case_take(sim_case, name, value))
                        return false;
        }
        return sim_case->seed != 0;
}
