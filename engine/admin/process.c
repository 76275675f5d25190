/* process: see the header. */
#include "engine/admin/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"

#define DESCRIPTORS_COUNTED_MAX 4096

/* The kernel tells how many there are since Linux 6.2, as the size of the folder. Before, they have to be counted; too
 * many are not: a look must not cost what the connections are. */
static int64_t descriptors_count(void)
{
        struct stat facts;
        if (stat("/proc/self/fd", &facts) == 0 && facts.st_size > 0)
                return facts.st_size;
        DIR *folder = opendir("/proc/self/fd");
        int64_t count = -1; /* the folder's own */
        if (folder == NULL)
                return -1;
        for (const struct dirent *entry; (entry = readdir(folder)) != NULL && count <= DESCRIPTORS_COUNTED_MAX;)
                count += entry->d_name[0] != '.';
        closedir(folder);
        return count <= DESCRIPTORS_COUNTED_MAX ? count : -1;
}

void process_look(struct process_facts *facts)
{
        uint64_t virtual_pages, resident_pages, page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        struct rlimit limit;
        FILE *pages = fopen("/proc/self/statm", "re");
        *facts = (struct process_facts){.cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
                                        .descriptors_count = descriptors_count()};
        if (pages != NULL && fscanf(pages, "%" SCNu64 " %" SCNu64, &virtual_pages, &resident_pages) == 2) {
                facts->virtual_bytes = virtual_pages * page_bytes;
                facts->resident_bytes = resident_pages * page_bytes;
        }
        if (pages != NULL)
                fclose(pages);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
                facts->descriptors_max = limit.rlim_cur;
}
