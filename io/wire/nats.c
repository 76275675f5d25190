/* nats: one operation at a time out of contiguous bytes, and events back into bytes.
 *
 *      PUB   foo.bar reply 5  CR LF  hello CR LF
 *      ────  ─────────────────────── ─────
 *      verb    words of the argument  payload
 *
 * Nothing is remembered between calls. A cut operation is read again from its first byte when more has come, which
 * costs little because a line is short and `needed` lets the caller wait for a payload. In exchange any split gives the
 * same operations, and every verdict is the verdict of one place in the bytes: it falls as soon as that place is there
 * and no byte behind it changes it.
 *
 * Strict where nats-server is lax and nobody can miss it: a CR that does not end its line is refused in an operation
 * made of words (there it becomes a part of the subject and comes out again in the middle of a MSG line), and what
 * nats-server skips without a bound, the blanks behind a verb and the rest of a PING line, is bounded like an argument:
 * the caller has to keep it. */
#include "io/wire/nats.h"

#include <errno.h>
#include <limits.h>

#include "io/wire/json.h"
#include "io/wire/swar.h"

/* ---- decoding ---- */

/* What stands between a verb and its argument. */
enum gap {
        GAP_BLANK, /* at least one space or tab */
        GAP_ANY,   /* blanks, or nothing: "CONNECT{}" */
        GAP_NONE,  /* all up to the line end is ignored: "PINGPING" is one PING */
};

struct verb {
        char text[SWAR_BYTES]; /* in capitals, zeros behind it */
        uint8_t size;
        enum nats_kind kind;
        enum gap gap;
        bool is_words; /* the argument is words, not one text */
        bool has_headers;
};

/* What a client may send, the most frequent first. HMSG, MSG, RS+ and the like are for other peers. */
/* clang-format off */
static const struct verb verbs[] = {
        {"PUB",     3, NATS_PUB,     GAP_BLANK, true,  false},
        {"HPUB",    4, NATS_PUB,     GAP_BLANK, true,  true},
        {"PING",    4, NATS_PING,    GAP_NONE,  false, false},
        {"PONG",    4, NATS_PONG,    GAP_NONE,  false, false},
        {"SUB",     3, NATS_SUB,     GAP_BLANK, true,  false},
        {"UNSUB",   5, NATS_UNSUB,   GAP_BLANK, true,  false},
        {"CONNECT", 7, NATS_CONNECT, GAP_ANY,   false, false},
        {"INFO",    4, NATS_INFO,    GAP_ANY,   false, false},
        {"+OK",     3, NATS_OK,      GAP_NONE,  false, false},
        {"-ERR",    4, NATS_ERR,     GAP_BLANK, false, false},
};
/* clang-format on */

#define WORDS_MAX 4
#define SIZE_DIGITS_MAX 9

static ssize_t refuse(struct nats_operation *operation, enum nats_fault fault)
{
        operation->fault = fault;
        return fault == NATS_FAULT_PAYLOAD || fault == NATS_FAULT_CONTROL_LINE ? -EMSGSIZE : -EPROTO;
}

/* Field by field, because for the struct as a whole gcc takes "rep stos", which alone costs more than a decode. */
static void operation_clear(struct nats_operation *operation)
{
        operation->kind = NATS_CONNECT;
        operation->fault = NATS_FAULT_NONE;
        operation->has_headers = false;
        operation->event = (struct event){.subject = SPAN_NONE};
        operation->subject = SPAN_NONE;
        operation->queue = SPAN_NONE;
        operation->sid = SPAN_NONE;
        operation->argument = SPAN_NONE;
        operation->max = 0;
        operation->needed = 0;
}

static bool is_blank(uint8_t byte)
{
        return byte == ' ' || byte == '\t';
}

static bool is_line_end(uint8_t byte)
{
        return byte == '\r' || byte == '\n';
}

/* The verb `in` begins with, or could still begin with when it is shorter; NULL: none. No verb is the start of another,
 * so the first that fits is the only one. */
static const struct verb *verb_find(struct span in)
{
        uint64_t head = 0;
        uint64_t present = UINT64_MAX;
        if (likely(in.size >= SWAR_BYTES)) {
                head = swar_load(in.bytes);
        } else {
                memcpy(&head, in.bytes, in.size);
                present = swar_first_bytes(in.size);
        }
        for (size_t i = 0; i < array_count(verbs); i++) {
                uint64_t text = swar_load((const uint8_t *)verbs[i].text);
                uint64_t case_bits = (text & SWAR_ONES * 0x40) >> 1; /* 0x20, in letters only: not in '+' and '-' */
                uint64_t compared = swar_first_bytes(verbs[i].size) & ~case_bits & present;
                if (((head ^ text) & compared) == 0)
                        return &verbs[i];
        }
        return NULL;
}

/* The size of what stands between a verb and its argument, where `rest` is what follows the verb; or -EPROTO and the
 * like. When `rest` is empty nobody knows yet: the gap is 0 and the line is incomplete anyway. */
static ssize_t gap_cut(struct span rest, const struct verb *verb, const struct nats_limits *limits,
                       struct nats_operation *operation)
{
        if (verb->gap == GAP_NONE || rest.size == 0)
                return 0;
        if (verb->gap == GAP_BLANK && !is_blank(rest.bytes[0]))
                return refuse(operation, NATS_FAULT_UNKNOWN_OPERATION);
        if (verb->has_headers && !limits->headers)
                return refuse(operation, NATS_FAULT_SILENT);
        size_t blanks = 0;
        while (blanks < rest.size && is_blank(rest.bytes[blanks]))
                if (++blanks > limits->control_line_bytes_max)
                        return refuse(operation, NATS_FAULT_CONTROL_LINE);
        return (ssize_t)blanks;
}

/* What to say of an argument that has `max` bytes or all that there are of it, and no LF behind it. */
static ssize_t line_unfinished(struct span rest, size_t max, struct nats_operation *operation)
{
        bool may_fit = rest.size <= max || (rest.size == max + 1 && rest.bytes[max] == '\r');
        return may_fit ? 0 : refuse(operation, NATS_FAULT_CONTROL_LINE);
}

/* Finds the end of a line whose argument, *argument, is one text. Returns the size up to and with the line end; 0 or a
 * negative number as nats_decode() does. */
static ssize_t text_cut(struct span rest, size_t max, struct nats_operation *operation, struct span *argument)
{
        size_t window = rest.size < max + 2 ? rest.size : max + 2; /* 2: CR LF */
        const uint8_t *end = window == 0 ? NULL : memchr(rest.bytes, '\n', window);
        if (end == NULL)
                return line_unfinished(rest, max, operation);
        size_t line_size = (size_t)(end + 1 - rest.bytes);
        size_t size = line_size - 1;
        if (size != 0 && rest.bytes[size - 1] == '\r')
                size--;
        if (size > max)
                return refuse(operation, NATS_FAULT_CONTROL_LINE);
        *argument = span_of(rest.bytes, size);
        return (ssize_t)line_size;
}

/* The size of the word that `text` begins with: up to a blank, CR, LF or the end. Other control bytes are ordinary. */
static size_t word_size(struct span text)
{
        size_t size = 0;
        for (;;) {
                while (text.size - size >= SWAR_BYTES) {
                        uint64_t marks = swar_below(swar_load(text.bytes + size), ' ' + 1);
                        if (marks != 0) {
                                size += swar_first(marks);
                                break;
                        }
                        size += SWAR_BYTES;
                }
                while (size < text.size && text.bytes[size] > ' ')
                        size++;
                if (size == text.size || is_blank(text.bytes[size]) || is_line_end(text.bytes[size]))
                        return size;
                size++;
        }
}

/* The words of an argument. `count` may be more than WORDS_MAX, then the last ones are not kept; it is 0 when there are
 * none, or a CR is among them. No operation takes any of these. */
struct words {
        struct span word[WORDS_MAX];
        size_t count;
};

/* As text_cut(), for an argument that is words: one pass finds them and the line end. */
static ssize_t words_cut(struct span rest, size_t max, struct nats_operation *operation, struct words *words)
{
        struct span window = span_of(rest.bytes, rest.size < max + 2 ? rest.size : max + 2); /* 2: CR LF */
        bool has_stray_cr = false;
        size_t at = 0;
        words->count = 0;
        for (;;) {
                while (at < window.size && is_blank(window.bytes[at]))
                        at++;
                if (at == window.size)
                        return line_unfinished(rest, max, operation);
                uint8_t byte = window.bytes[at];
                bool is_cr = byte == '\r';
                if (is_cr && at + 1 == window.size)
                        return line_unfinished(rest, max, operation);
                if (byte == '\n' || (is_cr && window.bytes[at + 1] == '\n'))
                        break;
                if (is_cr) {
                        has_stray_cr = true;
                        at++;
                        continue;
                }
                struct span word = span_of(window.bytes + at, word_size(span_skip(window, at)));
                if (words->count < WORDS_MAX)
                        words->word[words->count] = word;
                words->count++;
                at += word.size;
        }
        if (at > max)
                return refuse(operation, NATS_FAULT_CONTROL_LINE);
        if (has_stray_cr)
                words->count = 0;
        return (ssize_t)(at + (window.bytes[at] == '\r' ? 2 : 1));
}

/* Digits only, at most nine of them: so the sum of two sizes cannot overflow. */
static bool size_parse(struct span word, size_t *value)
{
        if (word.size == 0 || word.size > SIZE_DIGITS_MAX)
                return false;
        size_t sum = 0;
        for (size_t i = 0; i < word.size; i++) {
                uint8_t digit = (uint8_t)(word.bytes[i] - '0');
                if (digit > 9)
                        return false;
                sum = sum * 10 + digit;
        }
        *value = sum;
        return true;
}

/* PUB subject [reply] size  and  HPUB subject [reply] headers-size size */
static ssize_t publish_decode(struct span in, size_t line_size, const struct words *words,
                              const struct nats_limits *limits, struct nats_operation *operation)
{
        struct event *event = &operation->event;
        size_t sizes_count = operation->has_headers ? 2 : 1;
        if (words->count != 1 + sizes_count && words->count != 2 + sizes_count)
                return refuse(operation, NATS_FAULT_SILENT);

        size_t headers_size = 0;
        size_t size;
        if (!size_parse(words->word[words->count - 1], &size))
                return refuse(operation, NATS_FAULT_SILENT);
        if (operation->has_headers &&
            (!size_parse(words->word[words->count - 2], &headers_size) || headers_size > size))
                return refuse(operation, NATS_FAULT_SILENT);
        if (size > limits->payload_bytes_max)
                return refuse(operation, NATS_FAULT_PAYLOAD);

        struct span rest = span_skip(in, line_size);
        if (rest.size > size && rest.bytes[size] != '\r')
                return refuse(operation, NATS_FAULT_UNKNOWN_OPERATION);
        if (rest.size > size + 1 && rest.bytes[size + 1] != '\n')
                return refuse(operation, NATS_FAULT_UNKNOWN_OPERATION);
        size_t whole = line_size + size + 2;
        if (in.size < whole) {
                operation->needed = whole;
                return 0;
        }
        event->subject = words->word[0];
        if (words->count == 2 + sizes_count)
                event->reply = words->word[1];
        event->headers = span_of(rest.bytes, headers_size);
        event->payload = span_of(rest.bytes + headers_size, size - headers_size);
        return (ssize_t)whole;
}

/* SUB subject [queue] sid */
static bool subscribe_decode(const struct words *words, struct nats_operation *operation)
{
        if (words->count != 2 && words->count != 3)
                return false;
        operation->subject = words->word[0];
        if (words->count == 3)
                operation->queue = words->word[1];
        operation->sid = words->word[words->count - 1];
        return true;
}

/* UNSUB sid [max]; a max that is no number means at once. */
static bool unsubscribe_decode(const struct words *words, struct nats_operation *operation)
{
        size_t max = 0;
        if (words->count != 1 && words->count != 2)
                return false;
        if (words->count == 2 && !size_parse(words->word[1], &max))
                max = 0;
        operation->sid = words->word[0];
        operation->max = max;
        return true;
}

ssize_t nats_decode(struct span in, const struct nats_limits *limits, struct nats_operation *operation)
{
        size_t max = limits->control_line_bytes_max;
        assert_slow(max <= SSIZE_MAX);
        operation_clear(operation);
        if (in.size == 0)
                return 0;
        const struct verb *verb = verb_find(in);
        if (verb == NULL)
                return refuse(operation, NATS_FAULT_UNKNOWN_OPERATION);
        if (in.size < verb->size)
                return 0;
        ssize_t gap = gap_cut(span_skip(in, verb->size), verb, limits, operation);
        if (gap < 0)
                return gap;
        operation->kind = verb->kind;
        operation->has_headers = verb->has_headers;

        size_t start = verb->size + (size_t)gap;
        struct span rest = span_skip(in, start);
        struct words words;
        ssize_t line = verb->is_words ? words_cut(rest, max, operation, &words)
                                      : text_cut(rest, max, operation, &operation->argument);
        if (line <= 0)
                return line;

        size_t line_size = start + (size_t)line;
        bool is_sound = true;
        switch (verb->kind) {
        case NATS_PUB:
                return publish_decode(in, line_size, &words, limits, operation);
        case NATS_SUB:
                is_sound = subscribe_decode(&words, operation);
                break;
        case NATS_UNSUB:
                is_sound = unsubscribe_decode(&words, operation);
                break;
        case NATS_CONNECT:
        case NATS_INFO:
                is_sound = operation->argument.size != 0;
                break;
        case NATS_ERR:
                break;
        case NATS_PING:
        case NATS_PONG:
        case NATS_OK:
                operation->argument = SPAN_NONE;
                break;
        }
        return is_sound ? (ssize_t)line_size : refuse(operation, NATS_FAULT_SILENT);
}

struct span nats_fault_reply(enum nats_fault fault)
{
        switch (fault) {
        case NATS_FAULT_UNKNOWN_OPERATION:
                return SPAN("-ERR 'Unknown Protocol Operation'\r\n");
        case NATS_FAULT_CONTROL_LINE:
                return SPAN("-ERR 'maximum control line exceeded'\r\n");
        case NATS_FAULT_PAYLOAD:
                return SPAN("-ERR 'Maximum Payload Violation'\r\n");
        case NATS_FAULT_NONE:
        case NATS_FAULT_SILENT:
                break;
        }
        return SPAN_NONE;
}

/* ---- CONNECT ---- */

enum field_type { FIELD_BOOL, FIELD_TEXT, FIELD_PROTOCOL, FIELD_ACCOUNT };

struct field {
        const char *name;
        enum field_type type;
        size_t offset; /* in struct nats_connect */
};

#define FIELD(name, type, member)                                                                                      \
        {                                                                                                              \
                name, type, offsetof(struct nats_connect, member)                                                      \
        }

static const struct field connect_fields[] = {
        FIELD("verbose", FIELD_BOOL, verbose),
        FIELD("pedantic", FIELD_BOOL, pedantic),
        FIELD("echo", FIELD_BOOL, echo),
        FIELD("headers", FIELD_BOOL, headers),
        FIELD("no_responders", FIELD_BOOL, no_responders),
        FIELD("tls_required", FIELD_BOOL, tls_required),
        FIELD("protocol", FIELD_PROTOCOL, protocol),
        FIELD("name", FIELD_TEXT, name),
        FIELD("lang", FIELD_TEXT, lang),
        FIELD("version", FIELD_TEXT, version),
        FIELD("user", FIELD_TEXT, user),
        FIELD("pass", FIELD_TEXT, pass),
        FIELD("auth_token", FIELD_TEXT, auth_token),
        FIELD("nkey", FIELD_TEXT, nkey),
        FIELD("jwt", FIELD_TEXT, jwt),
        FIELD("sig", FIELD_TEXT, sig),
        FIELD("account", FIELD_ACCOUNT, has_account),
        FIELD("new_account", FIELD_ACCOUNT, has_account),
};

static const struct field *field_find(struct span name)
{
        for (size_t i = 0; i < array_count(connect_fields); i++)
                if (json_says(name, span_of_text(connect_fields[i].name)))
                        return &connect_fields[i];
        return NULL;
}

/* Puts a member where its field belongs. false: it has the wrong type. null is as good as absent. */
static bool field_set(const struct field *field, const struct json_member *member, struct nats_connect *connect)
{
        void *target = (char *)connect + field->offset;
        int64_t protocol;
        if (member->kind == JSON_KIND_NULL)
                return true;
        switch (field->type) {
        case FIELD_BOOL:
                *(bool *)target = member->kind == JSON_KIND_TRUE;
                return member->kind == JSON_KIND_TRUE || member->kind == JSON_KIND_FALSE;
        case FIELD_TEXT:
                *(struct span *)target = member->value;
                return member->kind == JSON_KIND_STRING;
        case FIELD_ACCOUNT:
                *(bool *)target |=
                        member->kind == JSON_KIND_TRUE || (member->kind == JSON_KIND_STRING && member->value.size != 0);
                return member->kind == JSON_KIND_TRUE || member->kind == JSON_KIND_FALSE ||
                       member->kind == JSON_KIND_STRING;
        case FIELD_PROTOCOL:
                if (member->kind != JSON_KIND_NUMBER || json_read_integer(member->value, &protocol) < 0)
                        return false;
                *(int *)target = protocol < INT_MIN || protocol > INT_MAX ? INT_MAX : (int)protocol;
                return true;
        }
        return false;
}

int nats_parse_connect(struct span json, struct nats_connect *connect)
{
        struct json_walk walk;
        struct json_member member;
        *connect = (struct nats_connect){.verbose = true, .pedantic = true, .echo = true};
        if (json_open_object(&walk, json) < 0)
                return -EPROTO;
        int more;
        while ((more = json_next(&walk, &member)) > 0) {
                const struct field *field = field_find(member.name);
                if (field != NULL && !field_set(field, &member, connect))
                        return -EPROTO;
        }
        return more;
}

/* ---- INFO ---- */

/* Text that is written as far as it fits. */
struct writer {
        uint8_t *at;
        uint8_t *end; /* NULL: it did not fit */
};

static void write_text(struct writer *writer, struct span text)
{
        if (writer->end == NULL || text.size > (size_t)(writer->end - writer->at))
                writer->end = NULL;
        else
                writer->at = span_copy(writer->at, text);
}

static void write_string(struct writer *writer, struct span text)
{
        size_t size = writer->end == NULL ? 0 : json_write_string(writer->at, (size_t)(writer->end - writer->at), text);
        if (size == 0)
                writer->end = NULL;
        else
                writer->at += size;
}

static unsigned digits_count(uint64_t value)
{
        unsigned count = 1;
        for (; value >= 10000; value /= 10000)
                count += 4;
        return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Writes `value` in decimal; returns the place behind it. */
static uint8_t *digits_put(uint8_t *at, uint64_t value)
{
        uint8_t *end = at + digits_count(value);
        uint8_t *digit = end;
        do {
                *--digit = (uint8_t)('0' + value % 10);
                value /= 10;
        } while (value != 0);
        return end;
}

#define DIGITS_MAX 20 /* of a uint64_t */

static void write_number(struct writer *writer, uint64_t value)
{
        uint8_t digits[DIGITS_MAX];
        write_text(writer, span_of(digits, (size_t)(digits_put(digits, value) - digits)));
}

size_t nats_write_info(uint8_t *out, size_t out_size, const struct nats_info *info)
{
        struct writer writer = {.at = out, .end = out + out_size};
        write_text(&writer, SPAN("INFO {\"server_id\":"));
        write_string(&writer, info->server_id);
        write_text(&writer, SPAN(",\"server_name\":"));
        write_string(&writer, info->server_name);
        /* The JavaScript clients hang when the version has no \d+.\d+.\d+ in it. */
        write_text(&writer, SPAN(",\"version\":\"" SPATE_VERSION "\",\"proto\":1,\"go\":\"\",\"host\":"));
        write_string(&writer, info->host);
        write_text(&writer, SPAN(",\"port\":"));
        write_number(&writer, info->port);
        write_text(&writer, SPAN(",\"headers\":true,\"max_payload\":"));
        write_number(&writer, info->payload_bytes_max);
        write_text(&writer, SPAN(",\"client_id\":"));
        write_number(&writer, info->client_id);
        write_text(&writer, SPAN(",\"client_ip\":"));
        write_string(&writer, info->client_ip);
        if (info->auth_required)
                write_text(&writer, SPAN(",\"auth_required\":true"));
        if (info->lame_duck)
                write_text(&writer, SPAN(",\"ldm\":true"));
        write_text(&writer, SPAN("} \r\n")); /* the blank: as nats-server does */
        return writer.end == NULL ? 0 : (size_t)(writer.at - out);
}

/* ---- subjects ---- */

static bool is_subject_byte(uint8_t byte)
{
        return byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n';
}

/* One walk for both questions: are the tokens legal, and is one of them a wildcard? */
static bool subject_check(struct span subject, bool *has_wildcard)
{
        size_t start = 0; /* of the token */
        *has_wildcard = false;
        for (size_t i = 0; i <= subject.size; i++) {
                if (i < subject.size && subject.bytes[i] != '.') {
                        if (!is_subject_byte(subject.bytes[i]))
                                return false;
                        continue;
                }
                if (i == start)
                        return false;
                uint8_t only = i == start + 1 ? subject.bytes[start] : 0;
                if (only == '>' && i != subject.size)
                        return false;
                *has_wildcard |= only == '>' || only == '*';
                start = i + 1;
        }
        return true;
}

bool nats_subject_is_valid(struct span subject)
{
        bool has_wildcard;
        return subject_check(subject, &has_wildcard);
}

bool nats_subject_is_literal(struct span subject)
{
        bool has_wildcard;
        return subject_check(subject, &has_wildcard) && !has_wildcard;
}

/* ---- encoding ----
 *
 *      MSG  subject sid [reply] size CR LF payload CR LF
 *      HMSG subject sid [reply] headers-size size CR LF headers payload CR LF */

/* "HMSG ", four blanks, two sizes, two line ends. */
#define FRAME_BYTES_MAX (5 + 4 + 2 * DIGITS_MAX + 4)

static uint8_t *byte_put(uint8_t *at, uint8_t byte)
{
        *at = byte;
        return at + 1;
}

static uint8_t *line_end_put(uint8_t *at)
{
        return byte_put(byte_put(at, '\r'), '\n');
}

/* All of the line that MSG and HMSG have in common: the verb up to the blank before the sizes. */
static uint8_t *address_put(uint8_t *at, struct span verb, const struct event *event, struct span sid)
{
        at = span_copy(at, verb);
        at = byte_put(span_copy(at, event->subject), ' ');
        at = byte_put(span_copy(at, sid), ' ');
        if (event->reply.size != 0)
                at = byte_put(span_copy(at, event->reply), ' ');
        return at;
}

size_t nats_plain_bound(const struct event *event, struct span sid)
{
        return FRAME_BYTES_MAX + event->subject.size + sid.size + event->reply.size + event->payload.size;
}

size_t nats_plain_write(uint8_t *out, const struct event *event, struct span sid)
{
        uint8_t *at = address_put(out, SPAN("MSG "), event, sid);
        at = digits_put(at, event->payload.size);
        at = line_end_put(at);
        at = span_copy(at, event->payload);
        at = line_end_put(at);
        return (size_t)(at - out);
}

size_t nats_message_bound(const struct event *event, struct span sid)
{
        return nats_plain_bound(event, sid) + event->headers.size;
}

size_t nats_message_write(uint8_t *out, const struct event *event, struct span sid)
{
        if (event->headers.size == 0)
                return nats_plain_write(out, event, sid);
        uint8_t *at = address_put(out, SPAN("HMSG "), event, sid);
        at = byte_put(digits_put(at, event->headers.size), ' ');
        at = digits_put(at, event->headers.size + event->payload.size);
        at = line_end_put(at);
        at = span_copy(at, event->headers);
        at = span_copy(at, event->payload);
        at = line_end_put(at);
        return (size_t)(at - out);
}

struct span nats_message_key(struct span operation)
{
        struct span verb = span_starts_with(operation, SPAN("MSG "))    ? SPAN("MSG ")
                           : span_starts_with(operation, SPAN("HMSG ")) ? SPAN("HMSG ")
                                                                        : SPAN_NONE;
        if (operation.size == verb.size || verb.size == 0)
                return SPAN_NONE;
        struct span rest = span_skip(operation, verb.size);
        const uint8_t *blank = memchr(rest.bytes, ' ', rest.size);
        if (blank == NULL)
                return SPAN_NONE;
        size_t subject_bytes = (size_t)(blank + 1 - rest.bytes);
        blank = rest.size == subject_bytes ? NULL : memchr(blank + 1, ' ', rest.size - subject_bytes);
        return blank == NULL ? SPAN_NONE : span_of(rest.bytes, (size_t)(blank - rest.bytes));
}

struct span nats_key_subject(struct span key)
{
        const uint8_t *blank = key.size == 0 ? NULL : memchr(key.bytes, ' ', key.size);
        return blank == NULL ? SPAN_NONE : span_of(key.bytes, (size_t)(blank - key.bytes));
}

struct span nats_message_subject(struct span operation)
{
        return nats_key_subject(nats_message_key(operation));
}
