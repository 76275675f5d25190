/* portholder: see portholder.h. */
#include "engine/portholder.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/socketholder.h"
#include "io/address.h"

const char *portholder_name(const char *address, char *out, size_t out_size)
{
        struct io_address parsed;
        int pid = address_parse(address, &parsed) != 0 ? -1 : socketholder_find(address_socket(&parsed));
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
