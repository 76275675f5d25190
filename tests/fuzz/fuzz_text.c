/* fuzz_text: bytes of strangers on their way to a log, a terminal and a JSON text: nothing of them can end a line, move
 * a cursor or leave its quotes, and what is UTF-8 says the same behind it. */
#include <jansson.h>
#include <stdio.h>

#include "engine/base/log.h"
#include "engine/cli/escape.h"
#include "io/wire/json.h"
#include "io/wire/utf8.h"
#include "tests/fuzz/fuzz.h"

/* In the words of RFC 3629, section 4. */
static bool is_utf8(const uint8_t *at, const uint8_t *end)
{
        while (at < end) {
                size_t more = *at < 0x80                   ? 0
                              : *at >= 0xc2 && *at <= 0xdf ? 1
                              : (*at & 0xf0) == 0xe0       ? 2
                              : *at >= 0xf0 && *at <= 0xf4 ? 3
                                                           : 9;
                uint8_t low = *at == 0xe0   ? 0xa0
                              : *at == 0xf0 ? 0x90
                                            : 0x80,
                        high = *at == 0xed   ? 0x9f
                               : *at == 0xf4 ? 0x8f
                                             : 0xbf;
                if (more == 9 || (size_t)(end - at) <= more)
                        return false;
                if (more > 0 && (at[1] < low || at[1] > high))
                        return false;
                for (size_t i = 2; i <= more; i++)
                        if ((at[i] & 0xc0) != 0x80)
                                return false;
                at += more + 1;
        }
        return true;
}

static void check_log(struct span text, size_t room)
{
        char *out = malloc(room);
        assert(log_quote(out, room, text) == out);
        struct span quoted = span_of(out, strnlen(out, room));
        assert(quoted.size < room);
        for (size_t i = 0; i < quoted.size; i++)
                assert(quoted.bytes[i] >= ' ' && quoted.bytes[i] != 0x7f);
        if (room >= 4 * text.size + 8) {
                /* A value is one word, or stands in quotes that nothing inside closes. */
                bool is_quoted = quoted.size > 0 && quoted.bytes[0] == '"';
                assert(is_quoted || memchr(quoted.bytes, ' ', quoted.size) == NULL);
                assert(utf8_is_valid(quoted));
                for (size_t i = 1; is_quoted && i + 1 < quoted.size; i++) {
                        assert(quoted.bytes[i] != '"');
                        i += quoted.bytes[i] == '\\';
                }
        }
        free(out);
}

static void check_terminal(struct span text)
{
        char *shown = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&shown, &size);
        assert(out != NULL);
        escape_print(out, text);
        fclose(out);
        assert(utf8_is_valid(span_of(shown, size)));
        for (size_t at = 0; at < size;) {
                size_t one = utf8_sequence_size(span_of(shown + at, size - at));
                assert(one >= 1);
                /* A backslash is what escapes begin with. */
                assert(shown[at] == '\\' || escape_is_harmless(escape_code(span_of(shown + at, one))));
                at += one;
        }
        free(shown);
}

static void check_json(struct span text, bool is_sound)
{
        size_t room = JSON_STRING_BYTES_MAX(text.size);
        uint8_t *out = malloc(room);
        size_t size = json_write_string(out, room, text);
        assert(size >= 2 && size <= room && json_is_valid(span_of(out, size)));
        assert(size == 0 || json_write_string(out, size - 1, text) == 0);
        assert(json_write_string(out, size, text) == size);
        json_error_t error;
        json_t *read = json_loadb((const char *)out, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert(json_is_string(read));
        if (is_sound)
                assert(span_equal(span_of(json_string_value(read), json_string_length(read)), text));
        json_decref(read);
        free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        size_t room = 1 + fuzz_byte(&input);
        uint8_t *copy = fuzz_copy(input);
        struct span text = span_of(copy, input.size);
        bool is_sound = is_utf8(copy, copy + text.size);
        assert(utf8_is_valid(text) == is_sound);
        check_log(text, room);
        check_log(text, 4 * text.size + 8);
        check_terminal(text);
        check_json(text, is_sound);
        free(copy);
        return 0;
}
