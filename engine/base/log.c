/* log: a line is built on the stack and leaves in one write(2), so lines of several threads never mix, nothing is
 * buffered when the process dies, and there is no lock and no heap. Nothing is kept between two lines but the level. */
#include "engine/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 2048
#define WINDOW_NS UINT64_C(1000000000)
#define CUT "..."
#define CUT_BYTES (sizeof(CUT) - 1)

static const struct {
        const char *name;
        int priority; /* of syslog, as journald reads it */
} levels[] = {
        [LOG_LEVEL_ERROR] = {"error", 3},
        [LOG_LEVEL_WARN] = {"warn", 4},
        [LOG_LEVEL_INFO] = {"info", 6},
        [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* Any thread reads it while a reload may write it; nothing hangs on the moment, so relaxed is enough. */
static int level_max = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
        assert((size_t)level < array_count(levels));
        __atomic_store_n(&level_max, (int)level, __ATOMIC_RELAXED);
}

enum log_level log_level_now(void)
{
        return (enum log_level)__atomic_load_n(&level_max, __ATOMIC_RELAXED);
}

int log_level_of_text(const char *text, enum log_level *level)
{
        for (size_t i = 0; i < array_count(levels); i++) {
                if (strcmp(text, levels[i].name) != 0)
                        continue;
                *level = (enum log_level)i;
                return 0;
        }
        return -EINVAL;
}

/* JOURNAL_STREAM is inherited by whatever the service starts; it means us only if it names our standard error. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat status;
        unsigned long long device, inode;
        if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

static size_t write_start(char *line, size_t size, enum log_level level)
{
        if (stderr_is_journal())
                return (size_t)snprintf(line, size, "<%d>", levels[level].priority);
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
        return used + (size_t)snprintf(line + used, size - used, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

static bool is_continuation(char byte)
{
        return ((unsigned char)byte & 0xc0) == 0x80;
}

void log_tame(char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
                        text[i] = '?';
}

void log_line(enum log_level level, const char *event, const char *fields, ...)
{
        int saved_errno = errno;
        char line[LINE_BYTES_MAX + 1]; /* vsnprintf wants its 0, where we put the newline */
        if (level > log_level_now())
                return;
        size_t size = write_start(line, sizeof(line), level);
        size += (size_t)snprintf(line + size, sizeof(line) - size, "level=%s event=%.200s%s", levels[level].name, event,
                                 fields != NULL ? " " : "");
        size_t fields_start = size;
        if (fields != NULL) {
                va_list arguments;
                va_start(arguments, fields);
                int fields_size = vsnprintf(line + size, sizeof(line) - size, fields, arguments);
                va_end(arguments);
                size += fields_size > 0 ? (size_t)fields_size : 0;
        }
        if (size > LINE_BYTES_MAX - 1) {
                size = LINE_BYTES_MAX - 1 - CUT_BYTES;
                while (is_continuation(line[size]))
                        size--;
                memcpy(line + size, CUT, CUT_BYTES);
                size += CUT_BYTES;
        }
        /* Whoever forgot log_quote() must not be able to begin a line of their own. */
        log_tame(line + fields_start, size - fields_start);
        line[size++] = '\n';
        /* A standard error that is full or gone loses the line: there is nobody else to tell. */
        while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
                continue;
        errno = saved_errno;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, unsigned lines_per_second, unsigned *suppressed)
{
        *suppressed = 0;
        if (now_ns - limit->window_ns >= WINDOW_NS) {
                limit->window_ns = now_ns;
                limit->passed = 0;
        }
        if (limit->passed >= lines_per_second) {
                limit->suppressed++;
                return false;
        }
        limit->passed++;
        *suppressed = limit->suppressed;
        limit->suppressed = 0;
        return true;
}

/* How many bytes the well-formed UTF-8 character at the start of `text` takes (Unicode 15, table 3-7), or 0. */
static size_t utf8_character_bytes(struct span text)
{
        const uint8_t *b = text.bytes;
        if (b[0] < 0x80)
                return 1;
        size_t size = b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
        if (size == 0 || size > text.size)
                return 0;
        uint8_t second_min = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t second_max = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
        if (b[1] < second_min || b[1] > second_max)
                return 0;
        for (size_t i = 2; i < size; i++)
                if ((b[i] & 0xc0) != 0x80)
                        return 0;
        return size;
}

/* What the start of a value becomes. */
struct piece {
        char text[8];
        size_t text_size;
        size_t taken_size;
        bool needs_quotes;
};

static struct piece piece_of(struct span value)
{
        struct piece piece = {.taken_size = utf8_character_bytes(value)};
        uint8_t byte = value.bytes[0];
        /* C0 and C1 control characters: a terminal obeys both. */
        bool is_control =
                byte < ' ' || byte == 0x7f || (byte == 0xc2 && piece.taken_size == 2 && value.bytes[1] < 0xa0);
        if (piece.taken_size == 0 || is_control) {
                piece.taken_size = 1;
                piece.text_size = (size_t)snprintf(piece.text, sizeof(piece.text), "\\x%02x", byte);
                piece.needs_quotes = true;
        } else if (byte == '"' || byte == '\\') {
                piece.text[0] = '\\';
                piece.text[1] = (char)byte;
                piece.text_size = 2;
                piece.needs_quotes = true;
        } else {
                memcpy(piece.text, value.bytes, piece.taken_size);
                piece.text_size = piece.taken_size;
                piece.needs_quotes = byte == ' ' || byte == '=';
        }
        return piece;
}

/* Only as much of the value as can be shown is looked at: it may be a megabyte of payload. */
static bool needs_quotes(struct span value, size_t out_size)
{
        if (value.size == 0)
                return true;
        for (size_t i = 0; i < value.size && i < out_size;) {
                struct piece piece = piece_of(span_skip(value, i));
                if (piece.needs_quotes)
                        return true;
                i += piece.taken_size;
        }
        return false;
}

const char *log_quote(char *out, size_t out_size, struct span value)
{
        assert(out_size >= 1);
        bool is_quoted = needs_quotes(value, out_size);
        size_t end_bytes = is_quoted ? 2 : 1; /* closing quote and 0 */
        size_t used = 0;
        bool fits = out_size >= is_quoted + end_bytes;
        if (is_quoted && fits)
                out[used++] = '"';
        size_t cut_at = SIZE_MAX; /* the last place where the dots still fit */
        while (fits && value.size > 0) {
                struct piece piece = piece_of(value);
                if (used + CUT_BYTES + end_bytes <= out_size)
                        cut_at = used;
                fits = used + piece.text_size + end_bytes <= out_size;
                if (!fits)
                        break;
                memcpy(out + used, piece.text, piece.text_size);
                used += piece.text_size;
                value = span_skip(value, piece.taken_size);
        }
        if (!fits && cut_at == SIZE_MAX) {
                memset(out, '.', out_size - 1);
                out[out_size - 1] = '\0';
                return out;
        }
        if (!fits) {
                memcpy(out + cut_at, CUT, CUT_BYTES);
                used = cut_at + CUT_BYTES;
        }
        if (is_quoted)
                out[used++] = '"';
        out[used] = '\0';
        return out;
}
