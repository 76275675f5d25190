/* address: socket addresses as text and back. Only addresses: names are resolved elsewhere, since that may block.
 *
 *      127.0.0.1:4222    [::1]:4222    [fe80::1%eth0]:4222    localhost:4222 (127.0.0.1)    unix:/run/spate.sock */
#ifndef SPATE_IO_ADDRESS_H
#define SPATE_IO_ADDRESS_H

#include <sys/socket.h>

#include "io/io.h"

/* 0 or -EINVAL: not an address. A UNIX path may have up to 107 bytes and contains no NUL. */
int address_parse(const char *text, struct io_address *address);

/* AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC. */
int address_family(const struct io_address *address);

static inline const struct sockaddr *address_socket(const struct io_address *address)
{
        return (const struct sockaddr *)(const void *)address->bytes;
}

#endif
