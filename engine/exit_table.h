/* What commands exit with, also sysexits(3)'s. Help and the reference come from here. */
#ifndef SPATE_ENGINE_EXIT_TABLE_H
#define SPATE_ENGINE_EXIT_TABLE_H

#define EXIT_TABLE(ROW)                                                                                                \
        ROW(EXIT_OK, 0, "ok")                                                                                          \
        ROW(EXIT_FAILED, 1, "failed")                                                                                  \
        ROW(EXIT_USAGE, 2, "usage")                                                                                    \
        ROW(EXIT_UNREACHABLE, 69, "unreachable")                                                                       \
        ROW(EXIT_CONFIG, 78, "configuration")

enum {
#define EXIT_ID(id, code, help) id = code,
        EXIT_TABLE(EXIT_ID)
#undef EXIT_ID
};

#endif
