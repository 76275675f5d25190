/* tell: what a command says of itself goes to standard error, one line at a time; what was asked of it to standard
 * output. */
#ifndef SPATE_ENGINE_CLI_TELL_H
#define SPATE_ENGINE_CLI_TELL_H

/* Prints "spate COMMAND: ..." and returns `code`, so that a failure is told and passed up in one line. */
__attribute__((format(printf, 3, 4))) int tell(int code, const char *command, const char *format, ...);
/* The same for wrong usage: "what \"text\": why", with `text`, which may be anybody's, made harmless. */
int tell_about(const char *command, const char *what, const char *text, const char *why);
/* At the end: `code`, or a failure where not all of standard output could be written. */
int tell_unwritten(const char *command, int code);

#endif
