/* socketholder: the socket's inode from /proc/net, then the processes that have it open. See the header. */
#include "engine/base/socketholder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define TCP_STATE_LISTEN 0x0A
#define UNIX_FLAG_LISTENS 0x10000
#define HOLDERS_MAX 64

/* How well a listener answers to an address: the one on this very address before the one on all of them. */
enum fit { FIT_NONE, FIT_ANY, FIT_EXACT };

struct wanted {
        int family;
        unsigned port;
        struct in6_addr address; /* an IPv4 address as IPv6 has it, ::ffff:a.b.c.d */
        bool is_any;
};

static void wanted_init(struct wanted *wanted, const struct sockaddr *address)
{
        *wanted = (struct wanted){.family = address->sa_family};
        if (address->sa_family == AF_INET) {
                const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
                wanted->port = ntohs(in->sin_port);
                wanted->address.s6_addr[10] = wanted->address.s6_addr[11] = 0xff;
                memcpy(wanted->address.s6_addr + 12, &in->sin_addr, 4);
                wanted->is_any = in->sin_addr.s_addr == INADDR_ANY;
        } else {
                const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
                wanted->port = ntohs(in6->sin6_port);
                wanted->address = in6->sin6_addr;
                wanted->is_any = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
        }
}

/* The kernel prints each 32-bit word of an address as a number of this machine. */
static bool address_read(const char *text, struct in6_addr *address)
{
        size_t digits = strlen(text);
        if (digits != 8 && digits != 32)
                return false;
        memset(address, 0, sizeof *address);
        if (digits == 8)
                address->s6_addr[10] = address->s6_addr[11] = 0xff;
        for (size_t i = 0; i < digits / 8; i++) {
                char word_text[9] = "";
                memcpy(word_text, text + 8 * i, 8);
                uint32_t word = (uint32_t)strtoul(word_text, NULL, 16);
                memcpy(address->s6_addr + (digits == 8 ? 12 : 4 * i), &word, 4);
        }
        return true;
}

static bool is_unspecified(const struct in6_addr *address)
{
        static const uint8_t mapped_any[16] = {[10] = 0xff, [11] = 0xff};
        return IN6_IS_ADDR_UNSPECIFIED(address) || memcmp(address, mapped_any, sizeof mapped_any) == 0;
}

static enum fit fit_of(const struct wanted *wanted, const struct in6_addr *listens)
{
        if (wanted->is_any || memcmp(listens, &wanted->address, sizeof *listens) == 0)
                return FIT_EXACT;
        return is_unspecified(listens) ? FIT_ANY : FIT_NONE;
}

/* Looks for a better fit than *fit in one of the kernel's tables. */
static void tcp_inode(const char *table, const struct wanted *wanted, enum fit *fit, unsigned long *found)
{
        FILE *file = fopen(table, "re");
        char line[512], text[64];
        if (file == NULL)
                return;
        while (fgets(line, sizeof line, file) != NULL) {
                unsigned port, state;
                unsigned long inode;
                struct in6_addr listens;
                if (sscanf(line, " %*d: %63[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", text, &port, &state,
                           &inode) != 4 ||
                    state != TCP_STATE_LISTEN || port != wanted->port || !address_read(text, &listens))
                        continue;
                enum fit fits = fit_of(wanted, &listens);
                if (fits > *fit) {
                        *fit = fits;
                        *found = inode;
                }
        }
        fclose(file);
}

static unsigned long unix_inode(const char *path)
{
        FILE *file = fopen("/proc/net/unix", "re");
        char line[512];
        unsigned long found = 0;
        if (file == NULL)
                return 0;
        while (found == 0 && fgets(line, sizeof line, file) != NULL) {
                unsigned flags;
                unsigned long inode;
                int path_at = 0;
                line[strcspn(line, "\n")] = '\0';
                if (sscanf(line, "%*s %*s %*s %x %*s %*s %lu %n", &flags, &inode, &path_at) == 2 && path_at != 0 &&
                    (flags & UNIX_FLAG_LISTENS) != 0 && strcmp(line + path_at, path) == 0)
                        found = inode;
        }
        fclose(file);
        return found;
}

static unsigned long inode_of(const struct sockaddr *address)
{
        enum fit fit = FIT_NONE;
        unsigned long inode = 0;
        struct wanted wanted;
        if (address->sa_family == AF_UNIX)
                return unix_inode(((const struct sockaddr_un *)(const void *)address)->sun_path);
        if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
                return 0;
        wanted_init(&wanted, address);
        tcp_inode("/proc/net/tcp", &wanted, &fit, &inode);
        tcp_inode("/proc/net/tcp6", &wanted, &fit, &inode);
        return inode;
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

static int parent_of(int pid)
{
        char text[512];
        snprintf(text, sizeof text, "/proc/%d/stat", pid);
        FILE *file = fopen(text, "re");
        int parent = 0;
        if (file == NULL)
                return 0;
        size_t size = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[size] = '\0';
        const char *behind_name = strrchr(text, ')');
        if (behind_name == NULL || sscanf(behind_name + 1, " %*c %d", &parent) != 1)
                return 0;
        return parent;
}

static bool is_among(int pid, const int *pids, size_t pids_count)
{
        for (size_t i = 0; i < pids_count; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

int socketholder_find(const struct sockaddr *address)
{
        unsigned long inode = inode_of(address);
        char link_wanted[64];
        int holders[HOLDERS_MAX];
        size_t holders_count = 0;
        DIR *processes = inode == 0 ? NULL : opendir("/proc");
        if (processes == NULL)
                return -ESRCH;
        snprintf(link_wanted, sizeof link_wanted, "socket:[%lu]", inode);
        for (struct dirent *entry; holders_count < HOLDERS_MAX && (entry = readdir(processes)) != NULL;)
                if (isdigit((unsigned char)entry->d_name[0]) && process_holds(entry->d_name, link_wanted))
                        holders[holders_count++] = atoi(entry->d_name);
        closedir(processes);
        for (size_t i = 0; i < holders_count; i++)
                if (!is_among(parent_of(holders[i]), holders, holders_count))
                        return holders[i];
        return -ESRCH;
}
