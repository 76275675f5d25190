/* postmortemfile: what stands in a file of engine/postmortem: read whole, checked, put in the order of time. The file
 * may come from anywhere: every number in it is looked at before it is used, and its texts are a stranger's. One that
 * is cut short, as by a crash within a crash, tells what it has. */
#ifndef SPATE_ENGINE_CLI_POSTMORTEMFILE_H
#define SPATE_ENGINE_CLI_POSTMORTEMFILE_H

#include "engine/base/span.h"
#include "engine/postmortem.h"

#define POSTMORTEMFILE_ERROR_BYTES 256
#define POSTMORTEMFILE_NAMES (1 << FLIGHT_WHAT_BITS)

/* One that was recorded; the field names are those of the file, "" for none. */
struct postmortem_row {
        uint64_t time_ns, who, number, more;
        uint32_t reactor;
        uint8_t kind;
        uint8_t ring;   /* enum flight_ring */
        uint64_t order; /* of its ring */
};

struct postmortem_kind {
        struct span name, number, more; /* empty: none */
};

struct postmortem_reactor {
        uint64_t number;
        uint64_t now[FLIGHT_NOW];
        uint64_t counts[FLIGHT_RINGS];
};

struct postmortemfile {
        uint8_t *bytes;
        size_t size;
        struct postmortem_header header;
        struct postmortem_kind kinds[POSTMORTEMFILE_NAMES];
        struct span steps[POSTMORTEMFILE_NAMES];
        struct postmortem_reactor reactors[POSTMORTEM_REACTORS_MAX];
        size_t reactors_count;
        struct postmortem_row *rows;
        size_t rows_count, rows_capacity;
        uint64_t trace[POSTMORTEM_TRACE_MAX];
        size_t trace_count;
        bool is_cut; /* it ends before its end; what is there is here */
};

/* 0, or -errno with one line in `error`. postmortemfile_fini() is due in any case. */
int postmortemfile_read(struct postmortemfile *file, const char *path, char error[POSTMORTEMFILE_ERROR_BYTES]);
/* The same of bytes, which are copied. */
int postmortemfile_parse(struct postmortemfile *file, struct span bytes, char error[POSTMORTEMFILE_ERROR_BYTES]);
void postmortemfile_fini(struct postmortemfile *file);

/* "reason:peer,stale" is called "reason"; *value is the word that `number` stands for, or empty. */
struct span postmortemfile_field(struct span field, uint64_t number, struct span *value);

#endif
