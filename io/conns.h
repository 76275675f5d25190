/* conns: the table behind io_id. An index finds the connection, a generation tells whether the id still means it.
 *
 * The address space for all is mapped at start and a page costs memory from the first time an index on it is given
 * out; indexes are given out again last in, first out. Each backend keeps its own struct per connection, with
 * struct conn_head first. One reactor's. */
#ifndef SPATE_IO_CONNS_H
#define SPATE_IO_CONNS_H

#include "io/io.h"

struct conn_head {
        uint32_t uses;      /* how often this index has been given back, modulo 2^32 - 1: the generation less one */
        uint32_t free_next; /* while free: the next free index */
};

#define CONNS_NONE UINT32_MAX

struct conns {
        uint8_t *memory;
        size_t memory_bytes;
        size_t conn_bytes;
        uint32_t conns_max;
        uint32_t fresh; /* indexes from here on were never given out; their memory is untouched */
        uint32_t free_first;
        uint32_t count;
};

/* 0 or -ENOMEM. */
int conns_init(struct conns *conns, size_t conn_bytes, uint32_t conns_max);
/* Accepts a zeroed one. */
void conns_fini(struct conns *conns);

static inline void *conns_at(const struct conns *conns, uint32_t index)
{
        assert_slow(index < conns->conns_max);
        return conns->memory + (size_t)index * conns->conn_bytes;
}

static inline uint32_t conns_index(const struct conns *conns, const void *conn)
{
        return (uint32_t)((size_t)((const uint8_t *)conn - conns->memory) / conns->conn_bytes);
}

static inline uint32_t conns_generation(const void *conn)
{
        return ((const struct conn_head *)conn)->uses + 1;
}

static inline io_id conns_id(const struct conns *conns, const void *conn)
{
        return (io_id)conns_generation(conn) << 32 | conns_index(conns, conn);
}

/* The connection that `id` means, or NULL when the id is dead. */
static inline void *conns_find(const struct conns *conns, io_id id)
{
        uint32_t index = io_id_index(id);
        if (unlikely(index >= conns->fresh))
                return NULL;
        void *conn = conns_at(conns, index);
        return likely(conns_generation(conn) == (uint32_t)(id >> 32)) ? conn : NULL;
}

/* A connection, all zero behind its head, or NULL when conns_max are taken. */
void *conns_take(struct conns *conns);
/* Its id is dead from here on. */
void conns_give(struct conns *conns, void *conn);

#endif
