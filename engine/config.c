/* config: walks the tree by the rows' keys. "limits.max_payload" is the key max_payload of the section limits; three
 * keys are no plain values and are read by functions of their own: listeners, lag.rules, and who stands inline in auth.
 * A value is handed to the options as text, with its place; they check it as they would check a flag's. */
#include "engine/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/lag.h"
#include "io/wire/nats.h"
#include "matcher/match.h"

#define KEY_BYTES_MAX 64
#define QUOTED_BYTES 96

/* ---- keys ---- */

/* "limits" of "limits.max_payload"; empty: the key has no section. */
static struct span section_of(const struct option_row *row)
{
        const char *dot = row->key == NULL ? NULL : strchr(row->key, '.');
        return dot == NULL ? SPAN_NONE : span_of(row->key, (size_t)(dot - row->key));
}

static const char *last_of(const struct option_row *row)
{
        const char *dot = strchr(row->key, '.');
        return dot == NULL ? row->key : dot + 1;
}

/* What stands in a listener's mapping is no section. */
static bool is_section_key(size_t row)
{
        return option_rows[row].key != NULL && row != OPTION_LAG_LISTENER;
}

struct section {
        char names[DOCUMENT_KEYS_MAX][KEY_BYTES_MAX];
        const char *keys[DOCUMENT_KEYS_MAX]; /* into names; NULL-terminated */
        size_t rows[DOCUMENT_KEYS_MAX];
        size_t count;
};

static void section_add(struct section *section, struct span name, size_t row)
{
        for (size_t i = 0; i < section->count; i++)
                if (span_equal(span_of_text(section->names[i]), name))
                        return;
        assert(section->count + 1 < DOCUMENT_KEYS_MAX);
        assert(name.size < KEY_BYTES_MAX);
        memcpy(section->names[section->count], name.bytes, name.size);
        section->names[section->count][name.size] = '\0';
        section->keys[section->count] = section->names[section->count];
        section->rows[section->count++] = row;
        section->keys[section->count] = NULL;
}

/* The keys of a section; of the whole file, with its sections, where `name` is empty. */
static void section_init(struct section *section, struct span name)
{
        *section = (struct section){0};
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                if (!is_section_key(row))
                        continue;
                struct span of = section_of(&option_rows[row]);
                if (name.size == 0)
                        section_add(section, of.size == 0 ? span_of_text(option_rows[row].key) : of,
                                    of.size == 0 ? row : OPTIONS_COUNT);
                else if (span_equal(of, name))
                        section_add(section, span_of_text(last_of(&option_rows[row])), row);
        }
}

static void with_underscores(char name[KEY_BYTES_MAX], const char *from)
{
        snprintf(name, KEY_BYTES_MAX, "%s", from);
        for (char *c = name; *c != '\0'; c++)
                if (*c == '-')
                        *c = '_';
}

/* Where an unknown key was found, and what is told of it. */
struct elsewhere {
        struct span section;
        char text[OPTIONS_WHY_BYTES];
};

/* Where an unknown key belongs: it is another section's, or the name of a flag. */
static const char *key_elsewhere(const char *key, void *context)
{
        struct elsewhere *elsewhere = context;
        char *text = elsewhere->text, name[KEY_BYTES_MAX];
        with_underscores(name, key);
        for (size_t row = 0; row < OPTIONS_COUNT; row++) {
                const struct option_row *of = &option_rows[row];
                char flag[KEY_BYTES_MAX];
                if (of->key == NULL)
                        continue;
                with_underscores(flag, of->name);
                struct span section = section_of(of);
                bool is_here = is_section_key(row) && span_equal(section, elsewhere->section);
                if (strcmp(name, last_of(of)) != 0 && strcmp(name, flag) != 0)
                        continue;
                if (row == OPTION_LAG_LISTENER)
                        snprintf(text, sizeof elsewhere->text,
                                 "it belongs to one of the listeners: {address: 127.0.0.1:4222, lag_policy: block}");
                else if (is_here)
                        snprintf(text, sizeof elsewhere->text, "did you mean \"%s\"?", last_of(of));
                else if (section.size == 0)
                        snprintf(text, sizeof elsewhere->text, "it is \"%s\", outside of any section", of->key);
                else
                        snprintf(text, sizeof elsewhere->text, "it belongs into the section %.*s: \"%s\"",
                                 (int)section.size, (const char *)section.bytes, last_of(of));
                return text;
        }
        return NULL;
}

/* ---- values ---- */

struct reading {
        struct document *document;
        struct options *options;
        struct config *config;
};

/* A text that can be the value of an option: one line, and something. */
static bool read_text(struct reading *reading, const yaml_node_t *node, const char *what, struct span *text)
{
        struct document *document = reading->document;
        char quoted[QUOTED_BYTES];
        if (!document_scalar(document, node, what, text))
                return false;
        bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (is_plain && (text->size == 0 || span_equal(*text, SPAN("~")) || span_equal(*text, SPAN("null")))) {
                document_fault(document, node, "%s has no value; write one behind the colon, or take the key out",
                               what);
                return false;
        }
        for (size_t i = 0; i < text->size; i++) {
                if (text->bytes[i] >= ' ' && text->bytes[i] != 0x7f)
                        continue;
                document_fault(document, node, "%s has a control character in %s; take it out", what,
                               log_quote(quoted, sizeof quoted, *text));
                return false;
        }
        return true;
}

static bool take_text(struct reading *reading, size_t row, const yaml_node_t *node, struct span text)
{
        char why[OPTIONS_ERROR_BYTES];
        int failed = options_read_file_value(reading->options, row, text, document_place(node), why);
        if (failed == -ENOMEM)
                document_out_of_memory(reading->document, "its options");
        else if (failed != 0)
                document_fault(reading->document, node, "%s", why);
        return failed == 0;
}

/* A file that is not named from the root is beside this one. */
static bool take_file(struct reading *reading, size_t row, const yaml_node_t *node, struct span text)
{
        const char *slash = strrchr(reading->document->name, '/');
        char *path = NULL;
        if (text.size == 0 || text.bytes[0] == '/' || slash == NULL)
                return take_text(reading, row, node, text);
        if (asprintf(&path, "%.*s%.*s", (int)(slash + 1 - reading->document->name), reading->document->name,
                     (int)text.size, (const char *)text.bytes) < 0) {
                document_out_of_memory(reading->document, "its options");
                return false;
        }
        bool is_taken = take_text(reading, row, node, span_of_text(path));
        free(path);
        return is_taken;
}

static bool read_value(struct reading *reading, size_t row, const yaml_node_t *node)
{
        struct span text;
        if (!read_text(reading, node, option_rows[row].key, &text))
                return false;
        return row == OPTION_USERS ? take_file(reading, row, node, text) : take_text(reading, row, node, text);
}

/* ---- listeners ---- */

/* Whatever is put together with commas and '=' must not contain them. */
static bool has_byte(struct span text, char byte)
{
        return text.size > 0 && memchr(text.bytes, byte, text.size) != NULL;
}

static bool read_address(struct reading *reading, const yaml_node_t *node, struct span *address)
{
        char quoted[QUOTED_BYTES];
        if (!read_text(reading, node, "an address", address))
                return false;
        if (address->size == 0 || has_byte(*address, ',')) {
                document_fault(reading->document, node,
                               "%s is not one address; write HOST:PORT, [IPv6]:PORT or unix:PATH, each as an item of "
                               "its own",
                               log_quote(quoted, sizeof quoted, *address));
                return false;
        }
        return take_text(reading, OPTION_LISTEN, node, *address);
}

static bool read_policy(struct reading *reading, const yaml_node_t *node, const char *what, struct span *word)
{
        char why[OPTIONS_WHY_BYTES], quoted[QUOTED_BYTES];
        uint64_t number;
        if (!read_text(reading, node, what, word))
                return false;
        if (options_read_word(&option_rows[OPTION_LAG_POLICY], *word, &number, why) == 0)
                return true;
        document_fault(reading->document, node,
                       "%s cannot be %s: %s; disconnect, drop-oldest, conflate or block would do", what,
                       log_quote(quoted, sizeof quoted, *word), why);
        return false;
}

static bool take_formatted(struct reading *reading, size_t row, const yaml_node_t *node, char *text)
{
        bool is_taken = false;
        if (text == NULL)
                document_out_of_memory(reading->document, "its options");
        else
                is_taken = take_text(reading, row, node, span_of_text(text));
        free(text);
        return is_taken;
}

static bool read_listener(struct reading *reading, const yaml_node_t *node)
{
        static const char *const keys[] = {"address", "lag_policy", NULL};
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        struct span address, policy;
        struct elsewhere here = {.section = SPAN("listeners")};
        char *text = NULL;
        if (node->type == YAML_SCALAR_NODE)
                return read_address(reading, node, &address);
        if (!document_mapping(reading->document, node, "a listener", keys, values, key_elsewhere, &here))
                return false;
        if (values[0] == NULL) {
                document_fault(reading->document, node,
                               "the listener has no address; add one, address: 127.0.0.1:4222");
                return false;
        }
        if (!read_address(reading, values[0], &address))
                return false;
        if (values[1] == NULL)
                return true;
        if (!read_policy(reading, values[1], "lag_policy", &policy))
                return false;
        if (asprintf(&text, "%.*s=%.*s", (int)address.size, (const char *)address.bytes, (int)policy.size,
                     (const char *)policy.bytes) < 0)
                text = NULL;
        return take_formatted(reading, OPTION_LAG_LISTENER, values[1], text);
}

static bool read_listeners(struct reading *reading, const yaml_node_t *node)
{
        const yaml_node_item_t *items;
        size_t count;
        if (!document_list(reading->document, node, "listeners", &items, &count))
                return false;
        if (count == 0)
                document_fault(reading->document, node,
                               "listeners is empty: nobody could connect; write one, or take the key out for %s",
                               option_rows[OPTION_LISTEN].value);
        for (size_t i = 0; i < count && reading->document->failed == 0; i++)
                read_listener(reading, document_node(reading->document, items[i]));
        return reading->document->failed == 0;
}

/* ---- rules for those who lag ---- */

static bool read_limit(struct reading *reading, const yaml_node_t *node, struct span *text)
{
        static const struct option_row row = {.type = OPTION_BYTES, .min = LAG_LIMIT_BYTES_MIN};
        char why[OPTIONS_WHY_BYTES], quoted[QUOTED_BYTES];
        uint64_t number;
        if (!read_text(reading, node, "limit", text))
                return false;
        if (options_read_word(&row, *text, &number, why) == 0)
                return true;
        document_fault(reading->document, node,
                       "limit cannot be %s: %s; a size from 64KiB to half of engine.memory would do",
                       log_quote(quoted, sizeof quoted, *text), why);
        return false;
}

static bool read_rule(struct reading *reading, const yaml_node_t *node)
{
        static const char *const keys[] = {"pattern", "policy", "limit", NULL};
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        struct span pattern, policy, limit = SPAN_NONE;
        struct elsewhere here = {.section = SPAN("lag.rules")};
        char quoted[QUOTED_BYTES], *text = NULL;
        struct document *document = reading->document;
        if (!document_mapping(document, node, "a rule", keys, values, key_elsewhere, &here))
                return false;
        for (size_t i = 0; i < 2; i++)
                if (values[i] == NULL)
                        document_fault(document, node,
                                       "the rule has no %s; write {pattern: prices.*, policy: conflate, limit: 1MiB}, "
                                       "of which only the limit may be absent",
                                       keys[i]);
        if (document->failed != 0 || !read_text(reading, values[0], "pattern", &pattern) ||
            !read_policy(reading, values[1], "policy", &policy) ||
            (values[2] != NULL && !read_limit(reading, values[2], &limit)))
                return false;
        if (pattern.size > MATCH_SUBJECT_BYTES_MAX || !nats_subject_is_valid(pattern) || has_byte(pattern, ',')) {
                document_fault(document, values[0],
                               "%s is not a pattern: tokens between dots, none empty, without commas, `*` for one "
                               "token, `>` only last; for example telemetry.>",
                               log_quote(quoted, sizeof quoted, pattern));
                return false;
        }
        if (asprintf(&text, "%.*s=%.*s%s%.*s", (int)pattern.size, (const char *)pattern.bytes, (int)policy.size,
                     (const char *)policy.bytes, limit.size > 0 ? "," : "", (int)limit.size,
                     (const char *)limit.bytes) < 0)
                text = NULL;
        return take_formatted(reading, OPTION_LAG_RULE, node, text);
}

static bool read_rules(struct reading *reading, const yaml_node_t *node)
{
        const yaml_node_item_t *items;
        size_t count;
        if (!document_list(reading->document, node, "lag.rules", &items, &count))
                return false;
        for (size_t i = 0; i < count && reading->document->failed == 0; i++)
                read_rule(reading, document_node(reading->document, items[i]));
        return reading->document->failed == 0;
}

/* ---- sections ---- */

static void read_section(struct reading *reading, struct span name, const yaml_node_t *node)
{
        struct section section;
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        char what[KEY_BYTES_MAX + 16];
        bool is_auth = span_equal(name, SPAN("auth"));
        struct elsewhere here = {.section = name};
        section_init(&section, name);
        size_t plain_count = section.count;
        if (is_auth) {
                section_add(&section, SPAN("users"), OPTIONS_COUNT);
                section_add(&section, SPAN("tokens"), OPTIONS_COUNT);
                section_add(&section, SPAN("no_auth_user"), OPTIONS_COUNT);
        }
        snprintf(what, sizeof what, "the section %.*s", (int)name.size, (const char *)name.bytes);
        if (node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0) {
                document_fault(reading->document, node, "%s is empty; indent its keys below it, or take it out", what);
                return;
        }
        if (!document_mapping(reading->document, node, what, section.keys, values, key_elsewhere, &here))
                return;
        for (size_t i = 0; i < plain_count && reading->document->failed == 0; i++) {
                if (values[i] == NULL)
                        continue;
                if (section.rows[i] == OPTION_LAG_RULE)
                        read_rules(reading, values[i]);
                else
                        read_value(reading, section.rows[i], values[i]);
        }
        if (!is_auth || reading->document->failed != 0)
                return;
        struct config *config = reading->config;
        config->users = (struct users_nodes){.users = values[plain_count],
                                             .tokens = values[plain_count + 1],
                                             .no_auth_user = values[plain_count + 2]};
        config->has_inline_users =
                config->users.users != NULL || config->users.tokens != NULL || config->users.no_auth_user != NULL;
        const yaml_node_t *inline_node = config->users.users != NULL    ? config->users.users
                                         : config->users.tokens != NULL ? config->users.tokens
                                                                        : config->users.no_auth_user;
        config->names_users = config->has_inline_users;
        for (size_t i = 0; i < plain_count; i++) {
                if (section.rows[i] != OPTION_USERS || values[i] == NULL)
                        continue;
                config->names_users = true;
                if (config->has_inline_users)
                        document_fault(reading->document, inline_node,
                                       "users stand here and in a users_file; keep one of the two");
        }
}

static void read_version(struct document *document, const yaml_node_t *node)
{
        struct span text;
        char quoted[QUOTED_BYTES];
        if (document_scalar(document, node, "version", &text) && !span_equal(text, SPAN("1")))
                document_fault(document, node, "version cannot be %s: this server reads version 1; write 1",
                               log_quote(quoted, sizeof quoted, text));
}

static void read_root(struct reading *reading, const yaml_node_t *root)
{
        struct section section;
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        struct elsewhere here = {.section = SPAN_NONE};
        section_init(&section, SPAN_NONE);
        section_add(&section, SPAN("version"), OPTIONS_COUNT);
        if (!document_mapping(reading->document, root, "the file", section.keys, values, key_elsewhere, &here))
                return;
        for (size_t i = 0; i < section.count && reading->document->failed == 0; i++) {
                if (values[i] == NULL)
                        continue;
                if (i == section.count - 1)
                        read_version(reading->document, values[i]);
                else if (section.rows[i] == OPTION_LISTEN)
                        read_listeners(reading, values[i]);
                else if (section.rows[i] < OPTIONS_COUNT)
                        read_value(reading, section.rows[i], values[i]);
                else
                        read_section(reading, span_of_text(section.keys[i]), values[i]);
        }
}

int config_parse(struct options *options, struct config *config, const char *name, struct span text,
                 char error[OPTIONS_ERROR_BYTES])
{
        struct reading reading = {.document = &config->document, .options = options, .config = config};
        *config = (struct config){.document = {.name = name,
                                               .nothing = "write version: 1, or see spate config defaults",
                                               .refuses_anchors = true,
                                               .error = error}};
        if (document_parse(&config->document, text) == 0)
                read_root(&reading, document_root(&config->document));
        return config->document.failed;
}

void config_fini(struct config *config)
{
        document_fini(&config->document);
        *config = (struct config){0};
}

/* What a listener of the file has of its own goes with it, when flags or the environment name others. So do users, but
 * not for nobody: a variable that was left blank somewhere would let everyone in. */
static int drop_orphans(struct options *options, struct config *config, char error[OPTIONS_ERROR_BYTES])
{
        const struct option_value *values = options->values;
        char called[OPTIONS_ORIGIN_BYTES];
        if (values[OPTION_USERS].source > OPTION_FROM_FILE && values[OPTION_USERS].text[0] == '\0' &&
            config->names_users)
                return options_refuse(
                        options, OPTION_USERS, 0, error,
                        "%s is empty: it would let everyone in, without the users of %s; leave it out, or "
                        "take them out there",
                        options_called(options, OPTION_USERS, called), options->file);
        if (values[OPTION_USERS].source > OPTION_FROM_FILE)
                config->has_inline_users = false;
        if (values[OPTION_LISTEN].source > OPTION_FROM_FILE && values[OPTION_LAG_LISTENER].source == OPTION_FROM_FILE)
                return options_forget(options, OPTION_LAG_LISTENER);
        return 0;
}

static int read_file(struct options *options, struct config *config, char error[OPTIONS_ERROR_BYTES])
{
        char called[OPTIONS_ORIGIN_BYTES];
        uint8_t *bytes;
        size_t size;
        options->file = strdup(options_text(options, OPTION_CONFIG));
        if (options->file == NULL)
                return -ENOMEM;
        int failed = document_read_file(options->file, options_called(options, OPTION_CONFIG, called),
                                        CONFIG_FILE_BYTES_MAX, &bytes, &size, error);
        if (failed == 0)
                failed = config_parse(options, config, options->file, span_of(bytes, size), error);
        if (bytes != NULL)
                explicit_bzero(bytes, size);
        free(bytes);
        return failed != 0 ? failed : drop_orphans(options, config, error);
}

/* Read by the client commands, who may share our environment. */
static const char *const of_clients[] = {
#define SECRET(name, help) name,
        ENVIRONMENT_TABLE(SECRET)
#undef SECRET
                NULL,
};

int config_read(struct options *options, struct config *config, const struct config_sources *sources, int *next,
                char error[OPTIONS_ERROR_BYTES])
{
        *config = (struct config){0};
        error[0] = '\0';
        *next = sources->first;
        int failed = options_init(options, sources->rows, sources->rows_count);
        if (failed == 0)
                failed = options_read_environment(options, environ, of_clients, error);
        if (failed == 0)
                failed = options_read_flags(options, sources->argc, sources->argv, sources->first, next, error);
        if (failed == 0 && options_text(options, OPTION_CONFIG)[0] != '\0')
                failed = read_file(options, config, error);
        if (failed == -ENOMEM && error[0] == '\0')
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot read the configuration: no memory is left");
        return failed;
}

int config_users(struct config *config, const struct options *options, const struct users_context *context,
                 struct users **users, char error[OPTIONS_ERROR_BYTES])
{
        const char *path = options_text(options, OPTION_USERS);
        if (path[0] != '\0') {
                char place[OPTIONS_ORIGIN_BYTES], called[OPTIONS_ORIGIN_BYTES], origin[2 * OPTIONS_ORIGIN_BYTES];
                bool is_from_file = options->values[OPTION_USERS].source == OPTION_FROM_FILE;
                snprintf(origin, sizeof(origin), "%s%s%s",
                         is_from_file ? options_origin(options, OPTION_USERS, 0, place) : "", is_from_file ? ": " : "",
                         options_called(options, OPTION_USERS, called));
                return users_load(users, path, origin, context, error);
        }
        assert(config->has_inline_users);
        config->document.error = error;
        return users_read(users, &config->document, &config->users, context);
}
