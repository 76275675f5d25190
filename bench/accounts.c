/* accounts: see accounts.h. */
#include "bench/accounts.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct accounts {
        FILE *file;
};

struct accounts *accounts_open(const char *path)
{
        if (path == NULL)
                return NULL;
        struct accounts *accounts = calloc(1, sizeof(*accounts));
        if (accounts == NULL)
                abort();
        accounts->file = fopen(path, "w");
        if (accounts->file != NULL)
                return accounts;
        fprintf(stderr, "bench: --accounts %s: %s\n", path, strerror(errno));
        free(accounts);
        return NULL;
}

void accounts_row(struct accounts *accounts, const char *format, ...)
{
        va_list arguments;
        if (accounts == NULL)
                return;
        va_start(arguments, format);
        vfprintf(accounts->file, format, arguments);
        va_end(arguments);
        fputc('\n', accounts->file);
}

void accounts_close(struct accounts *accounts)
{
        if (accounts == NULL)
                return;
        fclose(accounts->file);
        free(accounts);
}

uint16_t accounts_port(int fd)
{
        struct sockaddr_storage near;
        socklen_t size = sizeof(near);
        if (getsockname(fd, (struct sockaddr *)&near, &size) != 0)
                return 0;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        memcpy(&in, &near, sizeof(in));
        memcpy(&in6, &near, sizeof(in6));
        return near.ss_family == AF_INET ? ntohs(in.sin_port) : near.ss_family == AF_INET6 ? ntohs(in6.sin6_port) : 0;
}
