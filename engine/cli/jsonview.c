/* jsonview: the text is checked, then walked as it is: a parser's numbers would come out with other digits than the
 * engine wrote. The strict reader of io/wire checks it, for jansson overlooks a NUL behind a number. See the header. */
#include "engine/cli/jsonview.h"

#include <errno.h>

#include "engine/cli/escape.h"
#include "io/wire/json.h"
#include "io/wire/utf8.h"

static void print_line(FILE *out, size_t depth)
{
        fputc('\n', out);
        for (size_t i = 0; i < depth; i++)
                fputs("  ", out);
}

static bool is_blank(uint8_t byte)
{
        return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* What stands in quotes at the start of `json`, which is sound. Returns its bytes, quotes included. */
static size_t print_string(FILE *out, struct span json)
{
        size_t at = 0;
        do {
                size_t size = json.bytes[at] == '\\' ? 2 : utf8_sequence_size(span_skip(json, at));
                uint32_t code = escape_code(span_of(json.bytes + at, size));
                if (json.bytes[at] != '\\' && !escape_is_harmless(code))
                        fprintf(out, "\\u%04x", code); /* none of them is beyond U+FFFF */
                else
                        fwrite(json.bytes + at, 1, size, out);
                at += size;
        } while (json.bytes[at] != '"');
        fputc('"', out);
        return at + 1;
}

int jsonview_print(FILE *out, struct span json)
{
        size_t depth = 0;
        if (!json_is_valid(json))
                return -EPROTO;
        for (size_t at = 0; at < json.size;) {
                uint8_t byte = json.bytes[at];
                size_t next = at + 1;
                if (byte == '"') {
                        at += print_string(out, span_skip(json, at));
                        continue;
                }
                if (byte == '{' || byte == '[') {
                        fputc(byte, out);
                        while (next < json.size && is_blank(json.bytes[next]))
                                next++;
                        if (json.bytes[next] == (byte == '{' ? '}' : ']'))
                                fputc(json.bytes[next++], out);
                        else
                                print_line(out, ++depth);
                } else if (byte == '}' || byte == ']') {
                        print_line(out, --depth);
                        fputc(byte, out);
                } else if (byte == ',') {
                        fputc(byte, out);
                        print_line(out, depth);
                } else if (byte == ':') {
                        fputs(": ", out);
                } else if (!is_blank(byte)) {
                        fputc(byte, out);
                }
                at = next;
        }
        fputc('\n', out);
        return 0;
}
