/* accounts: what single connections have seen, one JSON object a line in a file, to be compared with what the server
 * says of the same connections; their local port is the name that both know. */
#ifndef SPATE_BENCH_ACCOUNTS_H
#define SPATE_BENCH_ACCOUNTS_H

#include <stdint.h>

struct accounts;

/* NULL for a path of NULL, and when it cannot be written, which is told on standard error. */
struct accounts *accounts_open(const char *path);
/* Writes a line. Nothing when `accounts` is NULL. */
void accounts_row(struct accounts *accounts, const char *format, ...) __attribute__((format(printf, 2, 3)));
void accounts_close(struct accounts *accounts);

/* The port by which the server knows the connection `fd`; 0 for one without ports. */
uint16_t accounts_port(int fd);

#endif
