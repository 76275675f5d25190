/* crowd: all connections of one run and the thread that serves them.
 *
 * One thread, one epoll, one receive buffer for all. A subscriber keeps only the piece of a frame that its last read
 * cut off; that piece is laid in front of the next read:
 *
 *      room:  [ .......... rest | what recv() gives, up to read_bytes ]
 *
 * Frames are recognised by comparing the header and striding on (shape.h), each sequence number is checked (tally.h).
 * With --sample N only each Nth subscriber is read so. Of the others the kernel is told to drop what has come and how
 * much it was: on loopback, fetching what another core has just written is most of what a reader costs. Then a loss, a
 * double and a piece of a frame still show as a wrong number of bytes; a swap or damage does not.
 *
 * The crowd does not know why events leave: a pacer (fan.c, pingpong.c) gives publishers credit and hears of progress.
 */
#ifndef SPATE_BENCH_CROWD_H
#define SPATE_BENCH_CROWD_H

#include "bench/latency.h"
#include "bench/recipe.h"
#include "bench/tally.h"

enum member_state { MEMBER_OPENING, MEMBER_READY, MEMBER_CUT };

struct outbox;
struct wrapping;

struct member {
        int fd;
        uint32_t number; /* among its kind */
        uint8_t state;
        bool publishes;
        bool stalls;       /* one of those that stop reading now and then */
        bool is_counted;   /* its bytes are counted, not looked at: see --sample */
        bool wants_output; /* EPOLLOUT is armed */
        const struct shape *shape;
        struct tally *tallies;   /* one a publisher */
        uint64_t progress;       /* how far it is, in events of its subject; lost ones count as passed */
        uint64_t read_ns;        /* when it last read something */
        uint64_t pongs;          /* heard so far; the first answers the greeting */
        uint64_t gates_passed;   /* the pacer's */
        uint64_t stall_turns_ns; /* the pacer's: when it stops or goes on */
        uint8_t *rest;
        uint32_t rest_bytes;
        uint32_t rest_room;
        struct outbox *outbox;     /* publishers only */
        struct wrapping *wrapping; /* over WebSocket only */
};

/* What a publisher has to say. */
struct outbox {
        uint8_t *frames; /* whole frames, rendered once; stamps are written anew each time */
        uint32_t frames_max;
        size_t at, size;     /* what of it is not written yet */
        uint64_t credit;     /* events it may publish */
        uint64_t events;     /* events stamped so far */
        uint64_t *sequences; /* next of each subject */
        bool owes_pong;
};

struct crowd {
        const struct recipe *recipe;
        int epoll_fd;
        struct member *publishers;
        struct member *subscribers;
        struct shape *delivery_shapes; /* one a subject */
        struct shape *publish_shapes;  /* one a subject */
        uint8_t *room;
        uint8_t *room_read; /* where recv() writes */
        uint64_t subject_next;

        /* What the pacer sets. */
        void (*on_progress)(void *pacer, struct member *member); /* subscriber has moved on, or is cut */
        uint64_t (*intended_ns)(void *pacer, struct member *publisher, uint64_t event); /* NULL: now */
        void *pacer;
        bool is_timed;              /* record every event's latency, else the first of each read */
        bool ends_are_fine;         /* the server has been told to stop: who is closed now is no fault */
        uint64_t from_ns, until_ns; /* of events meant to leave in this span */

        /* What the crowd counts. */
        uint64_t now_ns;
        uint64_t published;  /* events stamped */
        uint64_t deliveries; /* events received */
        uint64_t progress;   /* sum over subscribers that live and do not stall */
        uint64_t reads;
        uint64_t read_bytes;
        uint64_t corrupted;
        uint64_t odd;         /* deliveries that did not have the expected header */
        uint64_t cut;         /* healthy subscribers closed by the server */
        char cut_why[128];    /* the first of them, and how */
        uint64_t stalled_cut; /* stalled ones */
        uint64_t resets;      /* connections that ended with a reset */
        uint64_t lame_ducks;  /* subscribers that were told that the server is going */
        uint64_t last_read_ns;
        uint64_t silence_ns_max; /* longest time in the span without a read of any healthy subscriber */
        uint64_t gap_ns_max;     /* and without a read of the same one */
        struct latency *latency;

        int failure;     /* 0, or the exit code that the run has earned */
        char error[512]; /* why */
};

/* 0, or an exit code with `error` filled. Opens no connection yet. */
int crowd_init(struct crowd *crowd, const struct recipe *recipe);
/* Connects and subscribes everybody and waits until the server has confirmed all. 0 or an exit code. */
int crowd_open(struct crowd *crowd, uint64_t publishers_count, uint64_t subscribers_count);
void crowd_fini(struct crowd *crowd);

/* Waits at most `wait_ns` (0: just looks) and serves who is ready. */
void crowd_turn(struct crowd *crowd, uint64_t wait_ns);
/* Writes what credit and socket allow. */
void crowd_publish(struct crowd *crowd, struct member *publisher);
/* Stop and go on reading. */
void crowd_stall(struct crowd *crowd, struct member *subscriber, bool stall);
void crowd_fail(struct crowd *crowd, int exit_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Subject and pattern number `index` of a run. */
void crowd_subject(const struct recipe *recipe, uint64_t index, char to[SUBJECT_BYTES_MAX]);
void crowd_pattern(const struct recipe *recipe, uint64_t index, char to[SUBJECT_BYTES_MAX]);

#endif
