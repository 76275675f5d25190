/* cores: all reactors of this process, and what lies between them: the one matcher, a mailbox for each ordered pair, a
 * bell for each that sleeps, and what each publishes of its subscribers. Nothing else is shared.
 *
 *      reactor 0 ◀── mailboxes ──▶ reactor 1 …        reactor 0 holds the matcher's writer role: the others ask it, by
 *          │                          │               mailbox, to add and withdraw patterns
 *          └───── matcher, interests ─┘               published: written by one, read by all
 *
 * Made before the first reactor and freed behind the last. Each reactor is made by whoever will turn it (so that its
 * memory is near), and none turns before all are made. */
#ifndef SPATE_ENGINE_CORES_H
#define SPATE_ENGINE_CORES_H

#include "engine/interest.h"
#include "engine/mailbox.h"

struct reactor;
struct reactor_settings;

/* What the others know of one reactor. */
struct core {
        struct bell bell;
        struct interests interests;
        struct reactor *reactor; /* NULL until it is made */
};

struct cores_settings {
        unsigned count;       /* 1 .. MATCH_REACTORS_MAX */
        size_t mailbox_bytes; /* of each; at least twice the largest event */
        size_t patterns_max;
        size_t record_ids_max; /* see struct cores; 0: CORES_RECORD_IDS_MAX */
        uint8_t secret[16];
};

#define CORES_RECORD_IDS_MAX 8192

struct cores {
        struct match_table *table;
        size_t patterns_max; /* in it */
        unsigned count;
        size_t mailbox_bytes;
        size_t record_ids_max;  /* of the patterns of one event; with more, its receivers match it for themselves */
        uint64_t hash_seed;     /* of what all reactors hash alike: the names of queue groups */
        uint64_t server_number; /* what clients know this server by: the same on every reactor */
        struct core *core;      /* `count` of them */
        /* Published: what a reload has changed last; NULL: nothing yet. */
        _Atomic(const struct reactor_settings *) settings;
        struct mailbox **mailboxes; /* [from * count + to]; NULL where from == to */
};

/* 0 or -errno. */
int cores_new(struct cores **cores, const struct cores_settings *settings);
/* Every reactor has been freed. Accepts NULL. */
void cores_free(struct cores *cores);

/* Every reactor takes these up in its next turn, at once where it sleeps. They stay until the reactors are freed, or
 * until others were published and then retired (base/epoch). Each with an `edition` of its own. One thread at a time,
 * any. */
void cores_publish_settings(struct cores *cores, const struct reactor_settings *settings);
/* On a reactor's thread, good until the turn ends. */
const struct reactor_settings *cores_published_settings(const struct cores *cores);

/* Makes a reactor turn. Any thread. */
void cores_wake(const struct cores *cores, unsigned reactor);

/* The same on every reactor. */
uint64_t cores_name_hash(const struct cores *cores, struct span name);

static inline struct mailbox *cores_mailbox(const struct cores *cores, unsigned from, unsigned to)
{
        return cores->mailboxes[from * cores->count + to];
}

#endif
