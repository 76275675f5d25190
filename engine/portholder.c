/* portholder: see portholder.h. */
#include "engine/portholder.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/socketholder.h"

const char *portholder_name(const char *address, char *out, size_t out_size)
{
        const char *colon = strrchr(address, ':');
        unsigned port = colon == NULL ? 0 : (unsigned)strtoul(colon + 1, NULL, 10);
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int pid = socketholder_find((const struct sockaddr *)&any);
        char path[64], name[32] = "?";
        snprintf(out, out_size, "another process");
        if (pid < 0)
                return out;
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *file = fopen(path, "re");
        if (file != NULL && fgets(name, sizeof name, file) != NULL)
                name[strcspn(name, "\n")] = '\0';
        if (file != NULL)
                fclose(file);
        snprintf(out, out_size, "%s (pid %d)", name, pid);
        return out;
}
