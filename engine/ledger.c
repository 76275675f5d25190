/* ledger: a ring of rows, and how they are shown. See the header. */
#include "engine/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/admin/jsontext.h"
#include "engine/base/clock.h"

#define MERGE_NS (2 * NS_PER_S) /* the rest of a half-sent event may fail a second after the cut */

int ledger_init(struct ledger *ledger)
{
        *ledger = (struct ledger){.rows = calloc(LEDGER_ROWS, sizeof *ledger->rows)};
        return ledger->rows == NULL ? -ENOMEM : 0;
}

void ledger_fini(struct ledger *ledger)
{
        free(ledger->rows);
        *ledger = (struct ledger){0};
}

static void subject_set(struct ledger_subject *subject, struct span text)
{
        size_t size = text.size < sizeof subject->text ? text.size : sizeof subject->text;
        subject->bytes = (uint16_t)(text.size < UINT16_MAX ? text.size : UINT16_MAX);
        span_copy(subject->text, span_of(text.bytes, size));
}

static struct span subject_span(const struct ledger_subject *subject)
{
        return span_of(subject->text, subject->bytes < sizeof subject->text ? subject->bytes : sizeof subject->text);
}

/* Something that somebody chose to do is no warning: a client that leaves, a server that stops. */
static enum log_level level_of(enum loss loss)
{
        switch (loss) {
        case LOSS_TRANSPORT_ERROR:
        case LOSS_DRAINING:
        case LOSS_UPGRADE:
        case LOSS_CONFLATED:
        case LOSS_NO_PERMISSION:
                return LOG_LEVEL_INFO;
        default:
                return LOG_LEVEL_WARN;
        }
}

static void ledger_log(struct ledger *ledger, const struct ledger_row *row)
{
        char name[3 * LEDGER_NAME_BYTES], user[3 * LEDGER_NAME_BYTES], first[2 * LEDGER_SUBJECT_BYTES],
                last[2 * LEDGER_SUBJECT_BYTES];
        unsigned suppressed;
        if (!log_limit_pass(&ledger->limits[row->loss], row->last_ns, 1, &suppressed))
                return;
        log_line(level_of(row->loss), "events_lost",
                 "reason=%s count=%llu connection=%llu address=%s user=%s name=%s first=%s last=%s suppressed=%u",
                 loss_name(row->loss), (unsigned long long)row->count, (unsigned long long)row->connection,
                 row->address, log_quote(user, sizeof user, span_of_text(row->user)),
                 log_quote(name, sizeof name, span_of_text(row->name)),
                 log_quote(first, sizeof first, subject_span(&row->first)),
                 log_quote(last, sizeof last, subject_span(&row->last)), suppressed);
}

void ledger_note(struct ledger *ledger, uint64_t *row_number, const struct ledger_reader *reader, uint64_t now_ns,
                 enum loss loss, uint64_t count, uint64_t pending, struct span first, struct span last)
{
        bool is_kept = *row_number > 0 && ledger->rows_written - *row_number < LEDGER_ROWS;
        struct ledger_row *row = is_kept ? &ledger->rows[(*row_number - 1) % LEDGER_ROWS] : NULL;
        if (row != NULL && row->connection == reader->connection && row->loss == loss &&
            now_ns - row->first_ns < MERGE_NS) {
                row->count += count;
                row->pending = pending;
                row->last_ns = now_ns;
                if (last.size > 0)
                        subject_set(&row->last, last);
                return;
        }
        row = &ledger->rows[ledger->rows_written % LEDGER_ROWS];
        *row_number = ++ledger->rows_written;
        *row = (struct ledger_row){
                .first_ns = now_ns,
                .last_ns = now_ns,
                .connection = reader->connection,
                .count = count,
                .pending = pending,
                .loss = loss,
                .protocol = reader->protocol,
        };
        snprintf(row->address, sizeof row->address, "%s", reader->address);
        snprintf(row->user, sizeof row->user, "%s", reader->user);
        snprintf(row->name, sizeof row->name, "%s", reader->name);
        subject_set(&row->first, first);
        subject_set(&row->last, last);
        ledger_log(ledger, row);
}

/* ---- for people ---- */

static json_t *subject_json(const struct ledger_subject *subject)
{
        return subject->bytes == 0 ? json_null()
                                   : jsontext_string(subject_span(subject), subject->bytes > sizeof subject->text);
}

static json_t *row_json(const struct ledger_row *row, uint64_t now_ns)
{
        json_t *json = json_object();
        char at[JSONTEXT_TIME_BYTES];
        double ago_s = (double)(now_ns - row->last_ns) / 1e9;
        json_object_set_new(json, "at", json_string(jsontext_time(at, now_ns - row->last_ns)));
        json_object_set_new(json, "seconds_ago", json_real(ago_s));
        json_object_set_new(json, "seconds_long", json_real((double)(row->last_ns - row->first_ns) / 1e9));
        json_object_set_new(json, "connection", json_integer((json_int_t)row->connection));
        json_object_set_new(json, "protocol", json_string(row->protocol));
        json_object_set_new(json, "address", jsontext_string(span_of_text(row->address), false));
        json_object_set_new(json, "user", jsontext_string(span_of_text(row->user), false));
        json_object_set_new(json, "name", jsontext_string(span_of_text(row->name), false));
        json_object_set_new(json, "reason", json_string(loss_name(row->loss)));
        json_object_set_new(json, "count", json_integer((json_int_t)row->count));
        json_object_set_new(json, "first_subject", subject_json(&row->first));
        json_object_set_new(json, "last_subject", subject_json(&row->last));
        json_object_set_new(json, "pending", json_integer((json_int_t)row->pending));
        return json;
}

char *ledger_write_json(const struct ledger *ledger, const struct account *account, unsigned reactor, uint64_t now_ns,
                        size_t rows_max)
{
        json_t *json = json_object(), *rows = json_array();
        uint64_t kept = ledger->rows_written < LEDGER_ROWS ? ledger->rows_written : LEDGER_ROWS;
        for (uint64_t i = 0; i < kept && i < rows_max; i++)
                json_array_append_new(rows,
                                      row_json(&ledger->rows[(ledger->rows_written - 1 - i) % LEDGER_ROWS], now_ns));
        json_object_set_new(json, "reactor", json_integer(reactor));
        jsontext_add_account(json, account, account->matched - account->released - account_dropped(account));
        json_object_set_new(json, "rows_kept", json_integer((json_int_t)kept));
        json_object_set_new(json, "rows_forgotten", json_integer((json_int_t)(ledger->rows_written - kept)));
        json_object_set_new(json, "losses", rows);
        return jsontext_end(json);
}
