/* usage: see usage.h. */
#include "bench/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"

#define CHILDREN_GENERATIONS 3

static bool schedstat_cpu_ns(int pid, uint64_t *cpu_ns)
{
        char path[320];
        snprintf(path, sizeof(path), "/proc/%d/task", pid);
        DIR *tasks = opendir(path);
        if (tasks == NULL)
                return false;
        bool any = false;
        *cpu_ns = 0;
        for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
                if (task->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, task->d_name);
                FILE *file = fopen(path, "r");
                unsigned long long ran_ns;
                if (file == NULL)
                        continue;
                if (fscanf(file, "%llu", &ran_ns) == 1) {
                        *cpu_ns += ran_ns;
                        any = true;
                }
                fclose(file);
        }
        closedir(tasks);
        return any;
}

static bool stat_cpu_ns(int pid, uint64_t *cpu_ns)
{
        char text[1024];
        snprintf(text, sizeof(text), "/proc/%d/stat", pid);
        FILE *file = fopen(text, "r");
        if (file == NULL)
                return false;
        size_t size = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[size] = '\0';
        unsigned long long user_ticks, system_ticks;
        const char *behind_name = strrchr(text, ')');
        if (behind_name == NULL || sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                                          &user_ticks, &system_ticks) != 2)
                return false;
        *cpu_ns = (user_ticks + system_ticks) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
        return true;
}

static void status_rss(int pid, struct usage *usage)
{
        char line[256];
        snprintf(line, sizeof(line), "/proc/%d/status", pid);
        FILE *file = fopen(line, "r");
        if (file == NULL)
                return;
        while (fgets(line, sizeof(line), file) != NULL) {
                if (strncmp(line, "VmRSS:", 6) == 0)
                        usage->rss_bytes = strtoull(line + 6, NULL, 10) * 1024;
                else if (strncmp(line, "VmHWM:", 6) == 0)
                        usage->rss_bytes_max = strtoull(line + 6, NULL, 10) * 1024;
        }
        fclose(file);
}

static uint64_t file_switches(const char *path)
{
        char line[256];
        uint64_t switches = 0;
        FILE *file = fopen(path, "r");
        if (file == NULL)
                return 0;
        while (fgets(line, sizeof(line), file) != NULL) {
                const char *number = strstr(line, "voluntary_ctxt_switches:");
                if (number != NULL)
                        switches += strtoull(strchr(number, ':') + 1, NULL, 10);
        }
        fclose(file);
        return switches;
}

static uint64_t tasks_switches(int pid)
{
        char path[320];
        uint64_t switches = 0;
        snprintf(path, sizeof(path), "/proc/%d/task", pid);
        DIR *tasks = opendir(path);
        if (tasks == NULL)
                return 0;
        for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
                if (task->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, task->d_name);
                switches += file_switches(path);
        }
        closedir(tasks);
        return switches;
}

static int usage_read_one(int pid, struct usage *usage)
{
        *usage = (struct usage){0};
        if (!schedstat_cpu_ns(pid, &usage->cpu_ns) && !stat_cpu_ns(pid, &usage->cpu_ns))
                return -ESRCH;
        usage->switches = tasks_switches(pid);
        status_rss(pid, usage);
        return 0;
}

static void usage_add_children(int pid, struct usage *usage, int generations)
{
        char path[64];
        int child;
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
        FILE *file = generations == 0 ? NULL : fopen(path, "r");
        if (file == NULL)
                return;
        while (fscanf(file, "%d", &child) == 1) {
                struct usage of_child;
                if (usage_read_one(child, &of_child) != 0)
                        continue;
                usage->cpu_ns += of_child.cpu_ns;
                usage->switches += of_child.switches;
                usage->rss_bytes += of_child.rss_bytes;
                usage->rss_bytes_max += of_child.rss_bytes_max;
                usage_add_children(child, usage, generations - 1);
        }
        fclose(file);
}

int usage_read(int pid, struct usage *usage)
{
        int failure = usage_read_one(pid, usage);
        if (failure == 0)
                usage_add_children(pid, usage, CHILDREN_GENERATIONS);
        return failure;
}

uint64_t usage_own_cpu_ns(void)
{
        return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}
