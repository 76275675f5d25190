/* document: libyaml gives the tree with the place of every node. What it does not tell well, a tab, a byte that is no
 * text, an anchor, is looked for here. See the header. */
#include "engine/access/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"

#define QUOTED_BYTES 96

/* ---- faults ---- */

__attribute__((format(printf, 3, 0))) static void fault_at(struct document *document, struct option_place place,
                                                           const char *format, va_list arguments)
{
        if (document->failed != 0)
                return;
        document->failed = -EINVAL;
        int size =
                snprintf(document->error, OPTIONS_ERROR_BYTES, "%s:%u:%u: ", document->name, place.line, place.column);
        if (size > 0 && size < OPTIONS_ERROR_BYTES)
                vsnprintf(document->error + size, OPTIONS_ERROR_BYTES - (size_t)size, format, arguments);
}

__attribute__((format(printf, 3, 4))) static void fault_in_text(struct document *document, struct option_place place,
                                                                const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        fault_at(document, place, format, arguments);
        va_end(arguments);
}

void document_fault(struct document *document, const yaml_node_t *node, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        fault_at(document, document_place(node), format, arguments);
        va_end(arguments);
}

void document_out_of_memory(struct document *document, const char *what)
{
        if (document->failed != 0)
                return;
        document->failed = -ENOMEM;
        snprintf(document->error, OPTIONS_ERROR_BYTES, "%s: there is not enough memory for %s", document->name, what);
}

/* ---- from bytes to a tree ---- */

static struct option_place place_of(yaml_mark_t mark)
{
        return (struct option_place){.line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
}

/* Of the byte at `offset`; columns count characters, as libyaml's do. */
static struct option_place place_in(struct span text, size_t offset)
{
        struct option_place place = {.line = 1, .column = 1};
        for (size_t i = 0; i < offset && i < text.size; i++) {
                if (text.bytes[i] == '\n')
                        place = (struct option_place){.line = place.line + 1, .column = 1};
                else if ((text.bytes[i] & 0xc0) != 0x80)
                        place.column++;
        }
        return place;
}

/* Is the first thing in this line, but for blanks, a tab? */
static bool begins_with_tab(struct span text, unsigned line, struct option_place *place)
{
        size_t at = 0;
        for (unsigned i = 1; i < line; i++) {
                const uint8_t *end = memchr(text.bytes + at, '\n', text.size - at);
                if (end == NULL)
                        return false;
                at = (size_t)(end - text.bytes) + 1;
        }
        while (at < text.size && text.bytes[at] == ' ')
                at++;
        *place = place_in(text, at);
        return at < text.size && text.bytes[at] == '\t';
}

/* What helps with the usual ones; found by what the parser says it saw, or was at. */
static const char *parser_hint(const yaml_parser_t *parser)
{
        static const struct {
                const char *said, *hint;
        } hints[] = {
                {"scanning an alias", "; a value that begins with * stands in quotes, as \"*\""},
                {"scanning an anchor", "; a value that begins with & stands in quotes"},
                {"cannot start any token", "; a value that begins with >, %, @ or ` stands in quotes, as \">\""},
                {"expected node content", "; a value that begins with [, ] or , stands in quotes, as \"[::1]:4222\""},
                {"mapping values are not allowed", "; is the line too far to the right, a blank missing behind the "
                                                   "colon above it, or quotes around a value with a colon?"},
        };
        for (size_t i = 0; i < array_count(hints); i++)
                if ((parser->problem != NULL && strstr(parser->problem, hints[i].said) != NULL) ||
                    (parser->context != NULL && strstr(parser->context, hints[i].said) != NULL))
                        return hints[i].hint;
        return "";
}

static void parser_fault(struct document *document, const yaml_parser_t *parser, struct span text)
{
        struct option_place place = place_of(parser->problem_mark), tab;
        /* libyaml does not always say that it was memory; of anything else it tells what. */
        if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
                document_out_of_memory(document, "what is in it");
        else if (parser->error == YAML_READER_ERROR)
                fault_in_text(document, place_in(text, parser->problem_offset),
                              "this byte is not part of any text: %s; save the file as UTF-8", parser->problem);
        else if (begins_with_tab(text, place.line, &tab) || begins_with_tab(text, place.line + 1, &tab))
                fault_in_text(document, tab, "a tab stands where the line is indented; YAML takes only blanks there");
        else if (parser->context != NULL)
                fault_in_text(document, place, "it is not YAML: %s, %s that begins in line %zu%s", parser->problem,
                              parser->context, parser->context_mark.line + 1, parser_hint(parser));
        else
                fault_in_text(document, place, "it is not YAML: %s%s", parser->problem, parser_hint(parser));
}

static bool parser_begin(struct document *document, yaml_parser_t *parser, struct span text)
{
        if (!yaml_parser_initialize(parser)) {
                document_out_of_memory(document, "what is in it");
                return false;
        }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(parser, text.bytes == NULL ? (const uint8_t *)"" : text.bytes, text.size);
        return true;
}

/* The tree does not tell an alias from what it stands for; the tokens do. What is no YAML at all is told later. */
static void look_for_anchors(struct document *document, struct span text)
{
        yaml_parser_t parser;
        bool is_over = false;
        if (!parser_begin(document, &parser, text))
                return;
        while (!is_over) {
                yaml_token_t token;
                if (!yaml_parser_scan(&parser, &token)) {
                        if (parser.error == YAML_MEMORY_ERROR)
                                document_out_of_memory(document, "what is in it");
                        break;
                }
                if (token.type == YAML_ANCHOR_TOKEN || token.type == YAML_ALIAS_TOKEN)
                        fault_in_text(document, place_of(token.start_mark),
                                      "%c%s: anchors and aliases are not taken here; write the value where it is "
                                      "meant, or in quotes if it begins with %c",
                                      token.type == YAML_ANCHOR_TOKEN ? '&' : '*',
                                      token.type == YAML_ANCHOR_TOKEN ? (const char *)token.data.anchor.value
                                                                      : (const char *)token.data.alias.value,
                                      token.type == YAML_ANCHOR_TOKEN ? '&' : '*');
                is_over = token.type == YAML_STREAM_END_TOKEN || document->failed != 0;
                yaml_token_delete(&token);
        }
        yaml_parser_delete(&parser);
}

int document_parse(struct document *document, struct span text)
{
        yaml_parser_t parser;
        yaml_document_t rest;
        document->failed = 0;
        document->has_tree = false;
        if (document->refuses_anchors)
                look_for_anchors(document, text);
        if (document->failed != 0 || !parser_begin(document, &parser, text))
                return document->failed;
        document->has_tree = yaml_parser_load(&parser, &document->tree) != 0;
        if (!document->has_tree) {
                parser_fault(document, &parser, text);
        } else if (yaml_document_get_root_node(&document->tree) == NULL) {
                fault_in_text(document, (struct option_place){1, 1}, "it is empty; %s", document->nothing);
        } else if (!yaml_parser_load(&parser, &rest)) {
                parser_fault(document, &parser, text);
        } else {
                const yaml_node_t *second = yaml_document_get_root_node(&rest);
                if (second != NULL)
                        document_fault(document, second, "a second document begins; keep one in a file");
                yaml_document_delete(&rest);
        }
        yaml_parser_delete(&parser);
        if (document->failed != 0)
                document_fini(document);
        return document->failed;
}

void document_fini(struct document *document)
{
        if (document->has_tree)
                yaml_document_delete(&document->tree);
        document->has_tree = false;
}

int document_read_file(const char *path, const char *origin, size_t bytes_max, uint8_t **bytes, size_t *size,
                       char error[OPTIONS_ERROR_BYTES])
{
        struct stat about;
        int failed = 0;
        int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        *bytes = NULL;
        *size = 0;
        if (file < 0)
                failed = -errno;
        else if (fstat(file, &about) != 0)
                failed = -errno;
        else if (!S_ISREG(about.st_mode))
                failed = -EISDIR;
        else if ((uint64_t)about.st_size > bytes_max)
                failed = -EFBIG;
        else if ((*bytes = malloc((size_t)about.st_size + 1)) == NULL)
                failed = -ENOMEM;
        while (failed == 0 && *size < (size_t)about.st_size) {
                ssize_t got = read(file, *bytes + *size, (size_t)about.st_size - *size);
                if (got < 0 && errno != EINTR)
                        failed = -errno;
                else if (got == 0)
                        break;
                else if (got > 0)
                        *size += (size_t)got;
        }
        if (file >= 0)
                close(file);
        if (failed == -EISDIR)
                snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: it is %s; name the file itself", origin, path,
                         S_ISDIR(about.st_mode) ? "a folder" : "not a regular file");
        else if (failed == -EFBIG)
                snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: it is larger than %zu MiB; is it the right file?", origin,
                         path, bytes_max >> 20);
        else if (failed == -ENOENT)
                snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: No such file or directory; see the path", origin, path);
        else if (failed == -EACCES)
                snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: this user may not read it; see the rights of the path",
                         origin, path);
        else if (failed != 0)
                snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: it cannot be read: %s", origin, path, strerror(-failed));
        if (failed != 0) {
                free(*bytes);
                *bytes = NULL;
        }
        return failed;
}

/* ---- the tree ---- */

const yaml_node_t *document_root(struct document *document)
{
        return yaml_document_get_root_node(&document->tree);
}

const yaml_node_t *document_node(struct document *document, int index)
{
        return yaml_document_get_node(&document->tree, index);
}

struct option_place document_place(const yaml_node_t *node)
{
        return place_of(node->start_mark);
}

const char *document_kind(const yaml_node_t *node)
{
        return node->type == YAML_SCALAR_NODE     ? "a single value"
               : node->type == YAML_SEQUENCE_NODE ? "a list"
                                                  : "a mapping";
}

bool document_scalar(struct document *document, const yaml_node_t *node, const char *what, struct span *value)
{
        if (document->failed != 0)
                return false;
        if (node->type != YAML_SCALAR_NODE) {
                document_fault(document, node, "%s is %s; it must be a single value", what, document_kind(node));
                return false;
        }
        if (strcmp((const char *)node->tag, YAML_STR_TAG) != 0) {
                document_fault(document, node, "%s has a tag of YAML, which means nothing here: take it away", what);
                return false;
        }
        *value = span_of(node->data.scalar.value, node->data.scalar.length);
        return true;
}

bool document_list(struct document *document, const yaml_node_t *node, const char *what, const yaml_node_item_t **items,
                   size_t *count)
{
        if (document->failed != 0)
                return false;
        if (node->type != YAML_SEQUENCE_NODE) {
                document_fault(document, node, "%s is %s; it must be a list: [one, other], or [] for an empty one",
                               what, document_kind(node));
                return false;
        }
        *items = node->data.sequence.items.start;
        *count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
        return true;
}

static void unknown_key(struct document *document, const yaml_node_t *key, const char *what, struct span text,
                        const char *const *keys, size_t keys_count,
                        const char *(*elsewhere)(const char *key, void *context), void *context)
{
        char quoted[QUOTED_BYTES], name[64] = "";
        if (text.size < sizeof name && memchr(text.bytes, '\0', text.size) == NULL)
                memcpy(name, text.bytes, text.size);
        const char *where = elsewhere != NULL ? elsewhere(name, context) : NULL;
        const char *near = where == NULL ? options_nearest(name, keys, keys_count) : NULL;
        log_quote(quoted, sizeof quoted, text);
        if (where != NULL)
                document_fault(document, key, "%s may not have the key %s; %s", what, quoted, where);
        else if (near != NULL)
                document_fault(document, key, "%s may not have the key %s; did you mean \"%s\"?", what, quoted, near);
        else
                document_fault(document, key, "%s may not have the key %s; take it out", what, quoted);
}

bool document_mapping(struct document *document, const yaml_node_t *node, const char *what, const char *const *keys,
                      const yaml_node_t *values[DOCUMENT_KEYS_MAX],
                      const char *(*elsewhere)(const char *key, void *context), void *context)
{
        size_t keys_count = 0;
        while (keys[keys_count] != NULL)
                values[keys_count++] = NULL;
        assert(keys_count < DOCUMENT_KEYS_MAX);
        if (document->failed != 0)
                return false;
        if (node->type != YAML_MAPPING_NODE) {
                document_fault(document, node, "%s is %s; it must be a mapping of keys to values", what,
                               document_kind(node));
                return false;
        }
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
             pair++) {
                const yaml_node_t *key = document_node(document, pair->key);
                struct span text;
                size_t i = 0;
                if (!document_scalar(document, key, "a key", &text))
                        return false;
                while (i < keys_count && !span_equal(text, span_of_text(keys[i])))
                        i++;
                if (i == keys_count) {
                        unknown_key(document, key, what, text, keys, keys_count, elsewhere, context);
                        return false;
                }
                if (values[i] != NULL) {
                        document_fault(document, key, "the key \"%s\" is there twice; keep one", keys[i]);
                        return false;
                }
                values[i] = document_node(document, pair->value);
        }
        return true;
}
