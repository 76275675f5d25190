/* log: one line an occurrence, logfmt, to standard error:
 *
 *      2026-11-21T09:30:00.123Z level=info event=listening address=127.0.0.1:4222 protocol=nats
 *
 * Under systemd (JOURNAL_STREAM names our standard error) a "<6>" priority stands in front instead of the time. Values
 * that come from peers are escaped. Each event name may be limited, so a flood costs one line a second with a count of
 * the rest. */
#ifndef SPATE_BASE_LOG_H
#define SPATE_BASE_LOG_H

#include "engine/base/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_level_now(void);
/* error, warn, info or debug; -EINVAL otherwise. */
int log_level_of_text(const char *text, enum log_level *level);

/* `event` is a fixed word; `fields` a printf format of "key=value" pairs, or NULL. Any thread. One write(2) a line;
 * lines longer than 2 KiB are cut. */
void log_line(enum log_level level, const char *event, const char *fields, ...) __attribute__((format(printf, 3, 4)));

/* What could begin a line of its own, or do something to a terminal, becomes a '?': for messages that repeat what
 * somebody wrote. */
void log_tame(char *text, size_t size);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* At most `lines_per_second` lines pass; the next line that passes tells how many did not (suppressed=N). */
struct log_limit {
        uint64_t window_ns; /* when the current second began */
        unsigned passed;
        unsigned suppressed;
};
/* May a line pass at `now_ns`? *suppressed gets the number held back since the last that passed. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, unsigned lines_per_second, unsigned *suppressed);

/* Writes `value` as a logfmt value into `out` (always terminated): quoted when it needs to be, control bytes and
 * invalid UTF-8 as \xNN, cut with "..." where it does not fit. Returns `out`. */
const char *log_quote(char *out, size_t out_size, struct span value);

#endif
