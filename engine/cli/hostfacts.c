/* hostfacts: small files of /proc and /sys, each a line or two. See the header. */
#include "engine/cli/hostfacts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PATH_BYTES 512
#define LINE_BYTES 512
#define CAP_IPC_LOCK_BIT 14

/* The first line of root + path without its end; "" when there is none. */
static bool read_line(char *line, size_t line_bytes, const char *root, const char *path)
{
        char whole[PATH_BYTES];
        line[0] = '\0';
        snprintf(whole, sizeof whole, "%s%s", root, path);
        FILE *file = fopen(whole, "re");
        if (file == NULL)
                return false;
        bool is_there = fgets(line, (int)line_bytes, file) != NULL;
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
        return is_there;
}

/* The which-th number of the first line. */
static int64_t read_number(const char *root, const char *path, int which)
{
        char line[LINE_BYTES];
        const char *at = line;
        int64_t number = HOSTFACT_UNKNOWN;
        if (!read_line(line, sizeof line, root, path))
                return HOSTFACT_UNKNOWN;
        for (int i = 0; i <= which; i++) {
                char *end;
                errno = 0;
                number = strtoll(at, &end, 10);
                if (end == at)
                        return HOSTFACT_UNKNOWN;
                at = end;
        }
        return number;
}

/* The number behind `name` at the start of a line, as in /proc/meminfo; `base` 16 for masks. */
static int64_t read_field(const char *root, const char *path, const char *name, int base)
{
        char whole[PATH_BYTES], line[LINE_BYTES];
        int64_t number = HOSTFACT_UNKNOWN;
        snprintf(whole, sizeof whole, "%s%s", root, path);
        FILE *file = fopen(whole, "re");
        while (file != NULL && number == HOSTFACT_UNKNOWN && fgets(line, sizeof line, file) != NULL)
                if (strncmp(line, name, strlen(name)) == 0)
                        number = strtoll(line + strlen(name), NULL, base);
        if (file != NULL)
                fclose(file);
        return number;
}

/* The number behind "mem" of the line that begins with "TCP:", in pages. */
static int64_t read_tcp_pages(const char *root)
{
        char whole[PATH_BYTES], line[LINE_BYTES];
        int64_t pages = HOSTFACT_UNKNOWN;
        snprintf(whole, sizeof whole, "%s/proc/net/sockstat", root);
        FILE *file = fopen(whole, "re");
        while (file != NULL && pages == HOSTFACT_UNKNOWN && fgets(line, sizeof line, file) != NULL) {
                const char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " mem ") : NULL;
                if (at != NULL)
                        pages = strtoll(at + strlen(" mem "), NULL, 10);
        }
        if (file != NULL)
                fclose(file);
        return pages;
}

/* Of "always [madvise] never" the word in brackets. */
static void read_choice(char word[HOSTFACT_TEXT_BYTES], const char *root, const char *path)
{
        char line[LINE_BYTES];
        read_line(line, sizeof line, root, path);
        char *from = strchr(line, '['), *to = from == NULL ? NULL : strchr(from, ']');
        if (to != NULL)
                *to = '\0';
        snprintf(word, HOSTFACT_TEXT_BYTES, "%.*s", HOSTFACT_TEXT_BYTES - 1, to != NULL ? from + 1 : line);
}

/* ---- the process ---- */

static int64_t limit_of(__rlimit_resource_t resource, bool is_hard)
{
        struct rlimit limit;
        if (getrlimit(resource, &limit) != 0)
                return HOSTFACT_UNKNOWN;
        rlim_t value = is_hard ? limit.rlim_max : limit.rlim_cur;
        return value == RLIM_INFINITY || value > INT64_MAX ? HOSTFACT_UNLIMITED : (int64_t)value;
}

static void read_process(struct hostfacts *facts)
{
        struct utsname kernel;
        struct timex clock = {0};
        if (uname(&kernel) == 0)
                snprintf(facts->release, sizeof facts->release, "%s", kernel.release);
        facts->is_clock_synchronized = adjtimex(&clock) != TIME_ERROR;
        facts->files_hard = limit_of(RLIMIT_NOFILE, true);
        facts->locked_bytes = limit_of(RLIMIT_MEMLOCK, false);
        facts->user = geteuid();
        int64_t capabilities = read_field("", "/proc/self/status", "CapEff:", 16);
        facts->may_lock_all = capabilities != HOSTFACT_UNKNOWN && ((uint64_t)capabilities >> CAP_IPC_LOCK_BIT & 1) != 0;
        facts->has_system_call_filter = read_field("", "/proc/self/status", "Seccomp:", 10) == 2;
}

/* ---- memory ---- */

/* The least that the control group and those above it grant, and what is used of that; versions 2 and 1. */
static void read_group_memory(struct hostfacts *facts, const char *root)
{
        char path[PATH_BYTES], line[LINE_BYTES], group[LINE_BYTES] = "";
        facts->group_memory_bytes = HOSTFACT_UNLIMITED;
        facts->group_memory_used_bytes = HOSTFACT_UNKNOWN;
        snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                if (strncmp(line, "0::/", 4) == 0)
                        snprintf(group, sizeof group, "%s", line + 3);
        }
        if (file != NULL)
                fclose(file);
        static const char *const names[][2] = {{"memory.max", "memory.current"},
                                               {"memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"}};
        for (size_t version = 0; version < array_count(names); version++) {
                char at[LINE_BYTES];
                snprintf(at, sizeof at, "%s", version == 0 ? group : "");
                for (;;) { /* from the group itself up to the root */
                        snprintf(path, sizeof path, "/sys/fs/cgroup%.200s/%s", at, names[version][0]);
                        int64_t limit = read_number(root, path, 0);
                        /* Version 1 says "none" by a number near 2^63. */
                        if (limit > 0 && limit < INT64_MAX / 2 && limit < facts->group_memory_bytes) {
                                facts->group_memory_bytes = limit;
                                snprintf(path, sizeof path, "/sys/fs/cgroup%.200s/%s", at, names[version][1]);
                                facts->group_memory_used_bytes = read_number(root, path, 0);
                        }
                        char *slash = strrchr(at, '/');
                        if (slash == NULL)
                                break;
                        *slash = '\0';
                }
        }
}

static int64_t kibibytes(int64_t count)
{
        return count == HOSTFACT_UNKNOWN ? HOSTFACT_UNKNOWN : count * 1024;
}

static void read_memory(struct hostfacts *facts, const char *root)
{
        static const char info[] = "/proc/meminfo";
        facts->memory_bytes = kibibytes(read_field(root, info, "MemTotal:", 10));
        facts->available_bytes = kibibytes(read_field(root, info, "MemAvailable:", 10));
        facts->swap_bytes = kibibytes(read_field(root, info, "SwapTotal:", 10));
        facts->huge_pages = read_field(root, info, "HugePages_Total:", 10);
        facts->swappiness = read_number(root, "/proc/sys/vm/swappiness", 0);
        facts->overcommit = read_number(root, "/proc/sys/vm/overcommit_memory", 0);
        read_choice(facts->transparent_huge_pages, root, "/sys/kernel/mm/transparent_hugepage/enabled");
        read_group_memory(facts, root);
}

/* ---- the rest ---- */

static void read_network(struct hostfacts *facts, const char *root)
{
        int64_t pages = read_number(root, "/proc/sys/net/ipv4/tcp_mem", 2);
        facts->tcp_memory_bytes = pages == HOSTFACT_UNKNOWN ? HOSTFACT_UNKNOWN : pages * sysconf(_SC_PAGESIZE);
        pages = read_tcp_pages(root);
        facts->tcp_memory_used_bytes = pages == HOSTFACT_UNKNOWN ? HOSTFACT_UNKNOWN : pages * sysconf(_SC_PAGESIZE);
        facts->somaxconn = read_number(root, "/proc/sys/net/core/somaxconn", 0);
        facts->wmem_max = read_number(root, "/proc/sys/net/core/wmem_max", 0);
        facts->syn_backlog = read_number(root, "/proc/sys/net/ipv4/tcp_max_syn_backlog", 0);
        facts->syncookies = read_number(root, "/proc/sys/net/ipv4/tcp_syncookies", 0);
        facts->wmem_last = read_number(root, "/proc/sys/net/ipv4/tcp_wmem", 2);
        facts->rmem_last = read_number(root, "/proc/sys/net/ipv4/tcp_rmem", 2);
        facts->conntrack_max = read_number(root, "/proc/sys/net/netfilter/nf_conntrack_max", 0);
}

/* "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; guests are in user already. */
static double stolen_share(const char *root)
{
        int64_t sum = 0, stolen = HOSTFACT_UNKNOWN;
        char line[LINE_BYTES], *at = line + 4;
        if (!read_line(line, sizeof line, root, "/proc/stat") || strncmp(line, "cpu ", 4) != 0)
                return -1;
        for (int i = 0; i < 8; i++) {
                stolen = strtoll(at, &at, 10);
                sum += stolen;
        }
        return sum <= 0 ? -1 : (double)stolen / (double)sum;
}

static void read_hypervisor(struct hostfacts *facts, const char *root)
{
        char line[LINE_BYTES], path[PATH_BYTES];
        if (read_line(line, sizeof line, root, "/sys/class/dmi/id/sys_vendor") && line[0] != '\0')
                snprintf(facts->hypervisor, sizeof facts->hypervisor, "%.100s", line);
        snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
        FILE *file = fopen(path, "re");
        bool is_virtual = false;
        char flags[4096];
        while (file != NULL && !is_virtual && fgets(flags, sizeof flags, file) != NULL)
                is_virtual = strncmp(flags, "flags", 5) == 0 && strstr(flags, " hypervisor") != NULL;
        if (file != NULL)
                fclose(file);
        if (!is_virtual)
                facts->hypervisor[0] = '\0';
        else if (facts->hypervisor[0] == '\0')
                strcpy(facts->hypervisor, "a hypervisor that does not say its name");
}

void hostfacts_read(struct hostfacts *facts, const char *root)
{
        static const char clock[] = "/sys/devices/system/clocksource/clocksource0/";
        char line[LINE_BYTES], path[PATH_BYTES];
        *facts = (struct hostfacts){.idle_latency_us = HOSTFACT_UNKNOWN, .stolen_share = stolen_share(root)};
        read_process(facts);
        read_memory(facts, root);
        read_network(facts, root);
        read_hypervisor(facts, root);
        facts->io_uring_disabled = read_number(root, "/proc/sys/kernel/io_uring_disabled", 0);
        facts->nr_open = read_number(root, "/proc/sys/fs/nr_open", 0);
        facts->numa_balancing = read_number(root, "/proc/sys/kernel/numa_balancing", 0);
        snprintf(path, sizeof path, "%scurrent_clocksource", clock);
        read_choice(facts->clocksource, root, path);
        snprintf(path, sizeof path, "%savailable_clocksource", clock);
        read_line(line, sizeof line, root, path);
        facts->is_tsc_offered = strncmp(line, "tsc", 3) == 0 || strstr(line, " tsc") != NULL;
}

/* The longest latency of the idle states of a CPU that are not disabled. */
static int64_t idle_latency_us(unsigned cpu, const char *root)
{
        int64_t longest = HOSTFACT_UNKNOWN;
        for (unsigned state = 0;; state++) {
                char path[PATH_BYTES];
                snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpuidle/state%u/latency", cpu, state);
                int64_t latency = read_number(root, path, 0);
                if (latency == HOSTFACT_UNKNOWN)
                        return longest;
                snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpuidle/state%u/disable", cpu, state);
                if (read_number(root, path, 0) <= 0 && latency > longest)
                        longest = latency;
        }
}

static bool shares_core(const struct cpus *cpus, uint32_t which, const char *root)
{
        char path[PATH_BYTES], line[LINE_BYTES];
        struct cpus siblings;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
                 cpus->numbers[which]);
        if (!read_line(line, sizeof line, root, path) || cpus_parse(&siblings, line) != 0)
                return false;
        for (uint32_t i = 0; i < siblings.count; i++)
                for (uint32_t j = 0; j < cpus->count; j++)
                        if (j != which && cpus->numbers[j] == siblings.numbers[i])
                                return true;
        return false;
}

void hostfacts_read_cpus(struct hostfacts *facts, const struct cpus *cpus, const char *root)
{
        uint64_t nodes = 0;
        for (uint32_t i = 0; i < cpus->count; i++) {
                char path[PATH_BYTES], word[HOSTFACT_TEXT_BYTES];
                unsigned cpu = cpus->numbers[i];
                int node = cpu_node(cpu, root);
                if (node >= 0 && node < 64)
                        nodes |= (uint64_t)1 << node;
                facts->cpus_shared_cores += shares_core(cpus, i, root);
                int64_t latency_us = idle_latency_us(cpu, root);
                if (latency_us > facts->idle_latency_us)
                        facts->idle_latency_us = latency_us;
                snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu);
                read_choice(word, root, path);
                if (word[0] != '\0' && (facts->governor[0] == '\0' || strcmp(facts->governor, "performance") == 0))
                        strcpy(facts->governor, word);
        }
        facts->nodes_count = (uint32_t)__builtin_popcountll(nodes);
}
