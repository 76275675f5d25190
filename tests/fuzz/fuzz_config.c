/* fuzz_config: any bytes are a configuration, or one fault with a place; the same bytes are the same one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/config.h"
#include "engine/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char name[] = "/nowhere/f";

/* What settings are checked against: their CPUs are looked up once. */
static struct settings *settings_of_defaults(void)
{
        struct options options;
        struct settings *settings;
        char error[OPTIONS_ERROR_BYTES];
        if (options_init(&options, option_rows, OPTIONS_COUNT) != 0 ||
            settings_new(&settings, &options, false, NULL, error) != 0)
                abort();
        return settings;
}

struct outcome {
        int failed;
        struct options options;
        char error[OPTIONS_ERROR_BYTES];
};

static void read_file(struct outcome *outcome, struct config *config, struct span text)
{
        *outcome = (struct outcome){0};
        if (options_init(&outcome->options, option_rows, OPTIONS_COUNT) != 0)
                abort();
        outcome->options.file = strdup(name);
        outcome->failed = config_parse(&outcome->options, config, outcome->options.file, text, outcome->error);
        assert((outcome->failed != 0) == (outcome->error[0] != '\0'));
        assert(outcome->failed == 0 || outcome->failed == -EINVAL);
        /* "/nowhere/f:LINE:COLUMN: " */
        unsigned line, column;
        assert(outcome->failed == 0 ||
               (strncmp(outcome->error, name, strlen(name)) == 0 &&
                sscanf(outcome->error + strlen(name), ":%u:%u: ", &line, &column) == 2 && line >= 1 && column >= 1));
}

static void read_users(struct config *config, const struct settings *settings)
{
        struct permission_sets sets;
        struct users *users;
        char error[OPTIONS_ERROR_BYTES] = "";
        struct users_context context = {
                .listeners = settings->listeners.names, .listeners_count = settings->listeners.count, .sets = &sets};
        if (permission_sets_init(&sets, 0) != 0)
                abort();
        if (config_users(config, &settings->options, &context, &users, error) == 0)
                users_free(users);
        else
                assert(error[0] != '\0');
        permission_sets_fini(&sets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct settings *defaults;
        struct outcome first, second;
        struct config config, same;
        char error[OPTIONS_ERROR_BYTES] = "";
        if (defaults == NULL)
                defaults = settings_of_defaults();
        read_file(&first, &config, span_of(data, size));
        read_file(&second, &same, span_of(data, size));
        assert(first.failed == second.failed && strcmp(first.error, second.error) == 0);
        for (size_t row = 0; row < OPTIONS_COUNT; row++)
                assert(strcmp(options_text(&first.options, row), options_text(&second.options, row)) == 0);
        struct settings *settings;
        bool has_inline = config.has_inline_users;
        if (first.failed == 0) {
                int failed = settings_new(&settings, &first.options, has_inline, defaults, error);
                assert(failed == 0 || error[0] != '\0');
                if (failed == 0 && has_inline)
                        read_users(&config, settings);
                if (failed == 0)
                        settings_free(settings);
        }
        config_fini(&config);
        config_fini(&same);
        options_fini(&first.options);
        options_fini(&second.options);
        return 0;
}
