/* simlent: see simlent.h. */
#include "io/simlent.h"

struct simlent *simlent_new(struct sim_peer *peer, const struct span *pieces, size_t pieces_count, size_t size)
{
        struct simlent *lent = sim_allocate(sizeof(*lent) + size);
        *lent = (struct simlent){.pieces_count = pieces_count, .size = size};
        uint8_t *copy = lent->copy;
        for (size_t i = 0; i < pieces_count; i++) {
                lent->pieces[i] = pieces[i];
                copy = span_copy(copy, pieces[i]);
        }
        list_push_back(&peer->lent, &lent->link);
        peer->lent_bytes += size;
        peer->net->lent_bytes += size;
        peer->sends_count++;
        return lent;
}

void simlent_free_all(struct sim_peer *peer)
{
        list_for_each(&peer->lent, link) sim_free(list_entry(link, struct simlent, link));
        list_init(&peer->lent);
}

void simlent_check(struct sim_peer *peer, const struct simlent *lent, size_t from, size_t size, const char *occasion)
{
        size_t piece_start = 0;
        for (size_t i = 0; i < lent->pieces_count && size > 0; i++) {
                struct span piece = lent->pieces[i];
                if (from < piece_start + piece.size) {
                        size_t skip = from - piece_start;
                        size_t part = piece.size - skip < size ? piece.size - skip : size;
                        const uint8_t *now = piece.bytes + skip, *then = lent->copy + from;
                        size_t at = 0;
                        if (memcmp(now, then, part) != 0) {
                                while (now[at] == then[at])
                                        at++;
                                simpeer_fail(
                                        peer,
                                        "a lent byte changed, seen at %s: piece %zu of %zu, byte %zu of %zu "
                                        "(at %p) was %02x and is %02x; %zu of the send's %zu bytes were given back",
                                        occasion, i, lent->pieces_count, skip + at, piece.size,
                                        (const void *)(now + at), then[at], now[at], lent->told, lent->size);
                        }
                        from += part;
                        size -= part;
                }
                piece_start += piece.size;
        }
}

void simlent_read(struct sim_peer *peer, uint64_t offset, size_t size, struct simbytes *to, const char *occasion)
{
        uint64_t start = peer->told; /* of the first send, behind what it has given back */
        list_for_each(&peer->lent, link)
        {
                struct simlent *lent = list_entry(link, struct simlent, link);
                uint64_t lent_start = start - lent->told;
                uint64_t lent_end = lent_start + lent->size;
                if (size > 0 && offset < lent_end) {
                        size_t part = lent_end - offset < size ? lent_end - offset : size;
                        simlent_check(peer, lent, offset - lent_start, part, occasion);
                        if (to != NULL)
                                simbytes_push(to, lent->copy + (offset - lent_start), part);
                        offset += part;
                        size -= part;
                }
                start = lent_end;
        }
        assert(size == 0);
}

uint32_t simlent_give(struct sim_peer *peer, size_t bytes)
{
        uint32_t sends = 0;
        assert(bytes <= peer->lent_bytes);
        peer->lent_bytes -= bytes;
        peer->net->lent_bytes -= bytes;
        while (bytes > 0) {
                struct simlent *lent = list_entry(peer->lent.next, struct simlent, link);
                size_t part = lent->size - lent->told < bytes ? lent->size - lent->told : bytes;
                simlent_check(peer, lent, lent->told, part, "IO_RELEASED");
                lent->told += part;
                bytes -= part;
                if (lent->told == lent->size) {
                        list_remove(&lent->link);
                        sim_free(lent);
                        peer->sends_count--;
                        sends++;
                }
        }
        return sends;
}

void simlent_check_all(const struct simnet *net, const char *occasion)
{
        list_for_each(&net->peers, link)
        {
                struct sim_peer *peer = list_entry(link, struct sim_peer, all);
                list_for_each(&peer->lent, lent_link)
                {
                        struct simlent *lent = list_entry(lent_link, struct simlent, link);
                        simlent_check(peer, lent, lent->told, lent->size - lent->told, occasion);
                }
        }
}
