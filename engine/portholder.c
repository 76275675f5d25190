/* portholder: the socket's inode from /proc/net/tcp, then the process that has it open. See the header. */
#include "engine/portholder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_STATE_LISTEN 0x0A

/* The inode of the socket that listens on `port`, or 0. */
static unsigned long listening_inode(const char *table, unsigned port)
{
        FILE *file = fopen(table, "re");
        char line[512];
        unsigned long found = 0;
        if (file == NULL)
                return 0;
        while (found == 0 && fgets(line, sizeof line, file) != NULL) {
                unsigned local_port, state;
                unsigned long inode;
                if (sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", &local_port, &state,
                           &inode) == 3 &&
                    state == TCP_STATE_LISTEN && local_port == port)
                        found = inode;
        }
        fclose(file);
        return found;
}

static bool process_holds(const char *pid, const char *link_wanted)
{
        char path[300], target[64];
        snprintf(path, sizeof path, "/proc/%s/fd", pid);
        DIR *descriptors = opendir(path);
        bool holds = false;
        if (descriptors == NULL)
                return false;
        for (struct dirent *entry; !holds && (entry = readdir(descriptors)) != NULL;) {
                ssize_t size = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);
                if (size > 0) {
                        target[size] = '\0';
                        holds = strcmp(target, link_wanted) == 0;
                }
        }
        closedir(descriptors);
        return holds;
}

const char *portholder_name(const char *address, char *out, size_t out_size)
{
        const char *colon = strrchr(address, ':');
        unsigned port = colon == NULL ? 0 : (unsigned)strtoul(colon + 1, NULL, 10);
        unsigned long inode = listening_inode("/proc/net/tcp", port);
        char link_wanted[64];
        snprintf(out, out_size, "another process");
        if (inode == 0)
                inode = listening_inode("/proc/net/tcp6", port);
        DIR *processes = inode == 0 ? NULL : opendir("/proc");
        if (processes == NULL)
                return out;
        snprintf(link_wanted, sizeof link_wanted, "socket:[%lu]", inode);
        for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
                char path[300], name[32] = "?";
                if (!isdigit((unsigned char)entry->d_name[0]) || !process_holds(entry->d_name, link_wanted))
                        continue;
                snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
                FILE *file = fopen(path, "re");
                if (file != NULL && fgets(name, sizeof name, file) != NULL)
                        name[strcspn(name, "\n")] = '\0';
                if (file != NULL)
                        fclose(file);
                snprintf(out, out_size, "%s (pid %s)", name, entry->d_name);
                break;
        }
        closedir(processes);
        return out;
}
