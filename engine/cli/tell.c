/* tell: see the header. */
#include "engine/cli/tell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/exit_table.h"

int tell(int code, const char *command, const char *format, ...)
{
        va_list arguments;
        fflush(stdout);
        fprintf(stderr, "spate %s: ", command);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        return code;
}

int tell_about(const char *command, const char *what, const char *text, const char *why)
{
        char shown[160];
        log_quote(shown, sizeof shown, span_of_text(text));
        return tell(EXIT_USAGE, command, "%s %s: %s", what, text[0] == '\0' ? "\"\"" : shown, why);
}

int tell_unwritten(const char *command, int code)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return code != EXIT_OK
                               ? code
                               : tell(EXIT_FAILED, command, "cannot write to standard output: %s", strerror(errno));
        return code;
}
