/* conns: see conns.h. */
#include "io/conns.h"

#include <errno.h>
#include <sys/mman.h>

int conns_init(struct conns *conns, size_t conn_bytes, uint32_t conns_max)
{
        assert(conn_bytes >= sizeof(struct conn_head));
        assert(conns_max >= 1);
        size_t memory_bytes = conn_bytes * conns_max;
        void *memory =
                mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return -ENOMEM;
        *conns = (struct conns){.memory = memory,
                                .memory_bytes = memory_bytes,
                                .conn_bytes = conn_bytes,
                                .conns_max = conns_max,
                                .free_first = CONNS_NONE};
        return 0;
}

void conns_fini(struct conns *conns)
{
        if (conns->memory != NULL)
                munmap(conns->memory, conns->memory_bytes);
        *conns = (struct conns){0};
}

void *conns_take(struct conns *conns)
{
        struct conn_head *head;
        if (conns->free_first != CONNS_NONE) {
                head = conns_at(conns, conns->free_first);
                conns->free_first = head->free_next;
        } else if (conns->fresh < conns->conns_max) {
                head = conns_at(conns, conns->fresh++);
        } else {
                return NULL;
        }
        conns->count++;
        memset(head + 1, 0, conns->conn_bytes - sizeof(*head));
        return head;
}

void conns_give(struct conns *conns, void *conn)
{
        assert(conns->count > 0);
        struct conn_head *head = conn;
        /* Generation 0 is skipped, so that no id is ever 0. */
        if (++head->uses == UINT32_MAX)
                head->uses = 0;
        head->free_next = conns->free_first;
        conns->free_first = conns_index(conns, conn);
        conns->count--;
}
