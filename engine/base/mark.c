/* mark: the table of the marks that were linked in, and its dump. See the header. */
#include "engine/base/mark.h"

#ifdef SPATE_MARKS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The linker names where a section with such a name begins and ends. */
extern struct mark *const __start_spate_marks[] __attribute__((visibility("hidden")));
extern struct mark *const __stop_spate_marks[] __attribute__((visibility("hidden")));

void mark_hit(struct mark *mark)
{
        /* Relaxed: nothing follows from it before the process ends. */
        __atomic_fetch_add(&mark->hits_count, 1, __ATOMIC_RELAXED);
}

/* As the project's root sees it: compilers are called from the build folder, with "../engine/…". */
static const char *within_project(const char *file)
{
        while (strncmp(file, "../", 3) == 0)
                file += 3;
        return file;
}

__attribute__((destructor)) static void marks_dump(void)
{
        const char *folder = getenv("MARKS_FOLDER");
        char path[4096];
        if (folder == NULL || folder[0] == '\0')
                return;
        if (snprintf(path, sizeof path, "%s/XXXXXX", folder) >= (int)sizeof path)
                return;
        int fd = mkstemp(path);
        FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
        if (out == NULL) {
                perror(path);
                return;
        }
        for (struct mark *const *at = __start_spate_marks; at < __stop_spate_marks; at++)
                fprintf(out, "%llu %s:%u %s\n",
                        (unsigned long long)__atomic_load_n(&(*at)->hits_count, __ATOMIC_RELAXED),
                        within_project((*at)->file), (*at)->line, (*at)->text);
        fclose(out);
}
#endif
