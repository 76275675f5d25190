/* recipe: what one run of the generator does, as it was asked for on the command line. */
#ifndef SPATE_BENCH_RECIPE_H
#define SPATE_BENCH_RECIPE_H

#include <stdio.h>

#include "bench/target.h"

enum mode {
        MODE_FAN,
        MODE_WILDCARD,
        MODE_LATENCY,
        MODE_PUB,
        MODE_SUB,
        MODE_PINGPONG,
        MODE_SUBPUB,
        MODE_IDLE,
        MODE_DRAIN,
        MODE_CHURN,
        MODE_STALL,
        MODE_ABUSE
};

#define MODES_COUNT 12
#define PUBLISHERS_MAX 1024
#define SUBJECTS_MAX 10000
#define WINDOW_AUTO 0
#define AGAINST_MAX 7

/* What was said several times over on the command line. */
struct texts {
        char *at[AGAINST_MAX];
        size_t count;
};

struct recipe {
        enum mode mode;
        struct target target;
        struct target publish_target; /* where publishers go; mostly the same */
        char *url;
        char *publish_url;         /* NULL: url */
        char *ws_dialect;          /* what is said over ws:// */
        struct texts against;      /* URL or URL,PUBLISH-URL of others, which run in turns with the first */
        struct texts against_pids; /* whose CPU time is theirs, in the same order; none: looked up by the address */
        char *user; /* NULL: nobody; the password comes from the environment, not from the command line */
        const char *password;
        uint64_t publishers;
        uint64_t subscribers;
        uint64_t subjects;
        bool wildcard; /* subscribe by pattern, one that matches exactly one of the subjects */
        char *prefix;  /* first token of all subjects */
        uint64_t payload_bytes;
        uint64_t window; /* events a subject may be ahead of its slowest subscriber */
        uint64_t rate;   /* events a second, all publishers together */
        uint64_t count;  /* loops of pingpong and subpub */
        uint64_t run_ns;
        uint64_t warmup_ns;
        uint64_t settle_ns;
        uint64_t repeats; /* runs of all this, one after the other */
        int64_t cpu;      /* -1: wherever the kernel likes */
        bool spin;
        uint64_t gather_ns; /* rest before each look at who has something to read */
        bool verify;
        uint64_t sample;    /* one of so many subscribers is read and checked; of the others bytes are counted */
        int64_t server_pid; /* 0: unknown */
        uint64_t stall_count;
        uint64_t stall_ms;          /* 0: for the whole run */
        uint64_t stall_room_bytes;  /* SO_RCVBUF of those that stall; 0: the kernel's own */
        uint64_t stall_limit_bytes; /* when to say that one has fallen behind; 0: never */
        char *accounts;             /* where to write what each connection has seen; NULL: nowhere */
        uint64_t login_rate;        /* wrong logins a second beside the load; 0: none */
        uint64_t login_hosts;       /* from so many loopback addresses in turn; 0: from our own */
        char *attack;               /* of abuse: "half" or "connects" */
        uint64_t standing;          /* subscriptions beside the load, which no event is for */
        uint64_t change_rate;       /* of these, SUBs and UNSUBs a second, every other half second */
        uint64_t churn_rate;        /* SUBs, UNSUBs and readers leaving, a second */
        uint64_t abrupt_per_mille;  /* of these, connections that break off */
        uint64_t seed;
        bool hold; /* stand still at the end until standard input says something */
        uint64_t read_bytes;
        bool json;
        char *hdr_path; /* where to write the latencies, the plot, the slices of time; NULL: nowhere */
        char *svg_path;
        char *csv_path;
};

/* Does the load publish by the clock, whatever becomes of it? */
static inline bool recipe_is_open_loop(const struct recipe *recipe)
{
        return recipe->mode == MODE_LATENCY || recipe->mode == MODE_STALL;
}

extern const char *const mode_names[MODES_COUNT];

/* Without SPATE_ in front: the engine refuses names there that it does not know. */
#define PASSWORD_ENVIRONMENT "BENCH_PASSWORD"

#define RECIPE_ERROR_BYTES 768
#define CONNECT_BYTES_MAX 512

/* The line with which a NATS client says who it is. */
void recipe_write_connect(const struct recipe *recipe, char to[CONNECT_BYTES_MAX]);

/* Reads argv[1..]: a mode, an address, options. 0; 1 when help was asked for; -EINVAL with one line in `error`. */
int recipe_parse(struct recipe *recipe, int argc, char **argv, char error[RECIPE_ERROR_BYTES]);
/* The recipe of the other target number `index`, 0 .. recipe->against.count - 1. 0 or -EINVAL, as above. */
int recipe_against(const struct recipe *recipe, size_t index, struct recipe *other, char error[RECIPE_ERROR_BYTES]);
/* Looks up whose CPU time is to be reported, unless it was said. Nobody is found where the server is not on this
 * machine, or is not ours to look at: then nothing is reported. */
void recipe_find_server(struct recipe *recipe);
void recipe_print_help(FILE *out);

#endif
