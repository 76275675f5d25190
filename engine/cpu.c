/* cpu: see the header. */
#include "engine/cpu.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"

#define PATH_BYTES 512

/* ---- lists ---- */

static bool cpus_have(const struct cpus *cpus, unsigned cpu)
{
        for (uint32_t i = 0; i < cpus->count; i++)
                if (cpus->numbers[i] == cpu)
                        return true;
        return false;
}

static bool parse_number(const char **text, unsigned *number)
{
        if (!isdigit((unsigned char)**text))
                return false;
        for (*number = 0; isdigit((unsigned char)**text); ++*text)
                if (*number < CPUS_MAX)
                        *number = *number * 10 + (unsigned)(**text - '0');
        return *number < CPUS_MAX;
}

int cpus_parse(struct cpus *cpus, const char *text)
{
        cpus->count = 0;
        for (;;) {
                unsigned first, last;
                if (!parse_number(&text, &first))
                        return -EINVAL;
                last = first;
                if (*text == '-') {
                        text++;
                        if (!parse_number(&text, &last) || last < first)
                                return -EINVAL;
                }
                for (unsigned cpu = first; cpu <= last; cpu++) {
                        if (cpus_have(cpus, cpu))
                                return -EINVAL;
                        cpus->numbers[cpus->count++] = (uint16_t)cpu;
                }
                if (*text == '\0')
                        return 0;
                if (*text++ != ',')
                        return -EINVAL;
        }
}

const char *cpus_text(const struct cpus *cpus, char text[CPUS_TEXT_BYTES])
{
        size_t used = 0;
        text[0] = '\0';
        for (uint32_t i = 0; i < cpus->count;) {
                char part[32];
                uint32_t last = i;
                while (last + 1 < cpus->count && cpus->numbers[last + 1] == cpus->numbers[last] + 1)
                        last++;
                int size = snprintf(part, sizeof part, last > i ? "%s%u-%u" : "%s%u", i > 0 ? "," : "",
                                    cpus->numbers[i], cpus->numbers[last]);
                if (used + (size_t)size + sizeof ",..." > CPUS_TEXT_BYTES) {
                        strcpy(text + used, ",...");
                        break;
                }
                memcpy(text + used, part, (size_t)size + 1);
                used += (size_t)size;
                i = last + 1;
        }
        return text;
}

static_assert(CPUS_MAX == CPU_SETSIZE, "a list and a set hold the same CPUs");

int cpus_allowed(struct cpus *cpus)
{
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) != 0)
                return -errno;
        cpus->count = 0;
        for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
                if (CPU_ISSET(cpu, &set))
                        cpus->numbers[cpus->count++] = (uint16_t)cpu;
        return cpus->count == 0 ? -ENODEV : 0;
}

/* ---- what the kernel tells ---- */

/* The first line of a file without its end, or false. */
static bool read_line(char *line, size_t line_bytes, const char *path)
{
        FILE *file = fopen(path, "re");
        if (file == NULL)
                return false;
        bool is_there = fgets(line, (int)line_bytes, file) != NULL;
        fclose(file);
        if (is_there)
                line[strcspn(line, "\n")] = '\0';
        return is_there;
}

int cpu_node(unsigned cpu, const char *root)
{
        char path[PATH_BYTES];
        int node = -1;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%u", root, cpu);
        DIR *folder = opendir(path);
        if (folder == NULL)
                return -1;
        for (struct dirent *entry; node < 0 && (entry = readdir(folder)) != NULL;) {
                const char *digits = entry->d_name + 4;
                unsigned number;
                if (strncmp(entry->d_name, "node", 4) == 0 && parse_number(&digits, &number) && *digits == '\0')
                        node = (int)number;
        }
        closedir(folder);
        return node;
}

/* The how many-th hardware thread of its core a CPU is. */
static unsigned cpu_thread(unsigned cpu, const char *root)
{
        char path[PATH_BYTES], line[CPUS_TEXT_BYTES];
        struct cpus siblings;
        unsigned before = 0;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", root, cpu);
        if (!read_line(line, sizeof line, path) || cpus_parse(&siblings, line) != 0)
                return 0;
        for (uint32_t i = 0; i < siblings.count; i++)
                before += siblings.numbers[i] < cpu;
        return before;
}

/* "max 100000", "150000 100000": microseconds of each period. UINT32_MAX: no limit. */
static uint32_t parse_quota(const char *line)
{
        char *end;
        unsigned long long quota = strtoull(line, &end, 10), period;
        if (end == line || *end != ' ')
                return UINT32_MAX;
        period = strtoull(end, NULL, 10);
        if (quota == 0 || period == 0 || quota / period >= UINT32_MAX)
                return UINT32_MAX;
        return (uint32_t)(quota / period + (quota % period != 0));
}

/* The whole CPUs' time that the control group and those above it grant, rounded up. Version 2 of control groups only.
 */
static uint32_t cpus_granted(const char *root)
{
        char group[PATH_BYTES], path[2 * PATH_BYTES], line[64];
        uint32_t granted = UINT32_MAX;
        snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
        FILE *file = fopen(path, "re");
        bool is_found = false;
        while (file != NULL && !is_found && fgets(group, sizeof group, file) != NULL)
                is_found = strncmp(group, "0::/", 4) == 0;
        if (file != NULL)
                fclose(file);
        if (!is_found)
                return UINT32_MAX;
        group[strcspn(group, "\n")] = '\0';
        for (char *at = group + 3;;) { /* from the group itself up to the root */
                snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, at);
                uint32_t here = read_line(line, sizeof line, path) ? parse_quota(line) : UINT32_MAX;
                if (here < granted)
                        granted = here;
                char *slash = strrchr(at, '/');
                if (slash == NULL)
                        return granted;
                *slash = '\0';
        }
}

/* ---- the plan ---- */

struct place {
        unsigned thread;
        int node;
        uint16_t cpu;
};

static int place_compare(const void *a_place, const void *b_place)
{
        const struct place *a = a_place, *b = b_place;
        if (a->thread != b->thread)
                return a->thread < b->thread ? -1 : 1;
        if (a->node != b->node)
                return a->node < b->node ? -1 : 1;
        return (int)a->cpu - (int)b->cpu;
}

/* The best ones first. */
static void cpus_sort(struct cpus *cpus, const char *root)
{
        struct place places[CPUS_MAX];
        for (uint32_t i = 0; i < cpus->count; i++)
                places[i] = (struct place){cpu_thread(cpus->numbers[i], root), cpu_node(cpus->numbers[i], root),
                                           cpus->numbers[i]};
        qsort(places, cpus->count, sizeof *places, place_compare);
        for (uint32_t i = 0; i < cpus->count; i++)
                cpus->numbers[i] = places[i].cpu;
}

static uint32_t min_of(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

/* A list that the operator wrote is taken at its word. */
static int cpu_plan_list(struct cpu_plan *plan, const struct cpus *allowed, const char *list, uint32_t reactors_count,
                         uint32_t reactors_max, char error[CPUS_ERROR_BYTES])
{
        char allowed_text[CPUS_TEXT_BYTES];
        if (cpus_parse(&plan->cpus, list) != 0) {
                snprintf(error, CPUS_ERROR_BYTES,
                         "--cpus %.100s: not a list of CPUs, each once, below %d; write 0-3,8, or auto or none", list,
                         CPUS_MAX);
                return -EINVAL;
        }
        for (uint32_t i = 0; i < plan->cpus.count; i++) {
                if (cpus_have(allowed, plan->cpus.numbers[i]))
                        continue;
                snprintf(error, CPUS_ERROR_BYTES,
                         "--cpus %.100s: CPU %u is none that this process may use (%s); choose among those, or say "
                         "auto or none",
                         list, plan->cpus.numbers[i], cpus_text(allowed, allowed_text));
                return -EINVAL;
        }
        if (reactors_count > plan->cpus.count) {
                snprintf(error, CPUS_ERROR_BYTES,
                         "--reactors %u: --cpus %.100s names %u, and reactors that share a CPU only wait for each "
                         "other; name more CPUs, or ask for fewer reactors",
                         reactors_count, list, plan->cpus.count);
                return -EINVAL;
        }
        plan->reactors_count = reactors_count != 0 ? reactors_count : min_of(plan->cpus.count, reactors_max);
        plan->is_pinned = true;
        return 0;
}

int cpu_plan(struct cpu_plan *plan, const struct cpus *allowed, const char *list, uint32_t reactors_count,
             uint32_t reactors_max, const char *root, char error[CPUS_ERROR_BYTES])
{
        assert(allowed->count > 0 && reactors_max > 0 && reactors_count <= reactors_max);
        bool is_auto = strcmp(list, "auto") == 0, is_none = strcmp(list, "none") == 0;
        *plan = (struct cpu_plan){
                .reason = "", .allowed_count = allowed->count, .granted_count = cpus_granted(root), .cpus = *allowed};
        if (!is_auto && !is_none) {
                int failed = cpu_plan_list(plan, allowed, list, reactors_count, reactors_max, error);
                plan->cpus.count = failed != 0 ? 0 : plan->reactors_count;
                if (failed != 0)
                        log_tame(error, strlen(error));
                return failed;
        }
        uint32_t useful = min_of(min_of(allowed->count, plan->granted_count), reactors_max);
        plan->reactors_count = reactors_count != 0 ? reactors_count : useful;
        if (is_none)
                plan->reason = "--cpus none";
        else if (plan->reactors_count > allowed->count)
                plan->reason = "there are more reactors than CPUs";
        else if (plan->granted_count < allowed->count)
                /* Its neighbours have the same CPUs in view, and would all begin with the first. */
                plan->reason = "the control group grants less time than its CPUs have";
        plan->is_pinned = plan->reason[0] == '\0';
        if (plan->is_pinned)
                cpus_sort(&plan->cpus, root);
        plan->cpus.count = plan->is_pinned ? plan->reactors_count : 0;
        return 0;
}

/* ---- this thread ---- */

int cpus_use(const struct cpus *cpus)
{
        cpu_set_t set;
        CPU_ZERO(&set);
        for (uint32_t i = 0; i < cpus->count; i++)
                CPU_SET(cpus->numbers[i], &set);
        return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

int cpu_pin(unsigned cpu)
{
        struct cpus one = {.count = 1, .numbers = {(uint16_t)cpu}};
        return cpus_use(&one);
}
