/* ledger: who did not get what, and why: the last losses of one reactor, for people.
 *
 * The accounts (engine/account.h) count every event; this keeps the rows that an operator asks for: when, which
 * connection, how many, the first and the last subject. What one connection loses for one reason within two seconds is
 * one row. The rows are a ring: the oldest gives way, and how many did is told. The log gets a line for each reason at
 * most once a second.
 *
 * Belongs to one reactor. */
#ifndef SPATE_ENGINE_LEDGER_H
#define SPATE_ENGINE_LEDGER_H

#include "engine/account.h"
#include "engine/base/log.h"

#define LEDGER_ROWS 1024
#define LEDGER_SUBJECT_BYTES 96 /* a longer one is cut, and shown so */
#define LEDGER_NAME_BYTES 32
#define LEDGER_ADDRESS_BYTES 48

/* What is known of a connection. Texts are borrowed and end in a zero; they may hold whatever a client sent. */
struct ledger_reader {
        uint64_t connection;
        const char *protocol, *address, *user, *name;
};

struct ledger_subject {
        uint16_t bytes; /* of the whole; more than there is room for: cut */
        uint8_t text[LEDGER_SUBJECT_BYTES];
};

struct ledger_row {
        uint64_t first_ns, last_ns; /* the clock of the reactor's backend */
        uint64_t connection;
        uint64_t count;
        uint64_t pending; /* what the connection was still to get, after the last of these losses */
        enum loss loss;
        const char *protocol; /* set before the reactors start */
        char address[LEDGER_ADDRESS_BYTES];
        char user[LEDGER_NAME_BYTES], name[LEDGER_NAME_BYTES];
        struct ledger_subject first, last; /* no bytes: not known */
};

struct ledger {
        struct ledger_row *rows; /* LEDGER_ROWS */
        uint64_t rows_written;   /* ever; row n lies at n % LEDGER_ROWS */
        struct log_limit limits[LOSSES];
};

/* 0 or -ENOMEM. */
int ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);

/* Notes that `reader` did not get `count` events. *row is the reader's own: the number of its last row plus one, 0
 * before the first. Subjects are borrowed, empty where they are not known. Allocates nothing. */
void ledger_note(struct ledger *ledger, uint64_t *row, const struct ledger_reader *reader, uint64_t now_ns,
                 enum loss loss, uint64_t count, uint64_t pending, struct span first, struct span last);

/* The newest `rows_max` rows, and the account of all that the reactor's lanes ever had, as a JSON object. On the heap,
 * for the caller to free; NULL: no memory. */
char *ledger_write_json(const struct ledger *ledger, const struct account *account, unsigned reactor, uint64_t now_ns,
                        size_t rows_max);

#endif
