/* config: the configuration file. What may stand in it follows from the `key`s of the option rows:
 *
 *      listeners:                        # strings, or mappings with what a listener has of its own
 *        - 127.0.0.1:4222
 *        - {address: unix:/run/spate/nats.sock, lag_policy: block}
 *      limits: {max_payload: 2MiB}       # the value of --max-payload
 *      lag: {rules: [{pattern: prices.*, policy: conflate, limit: 1MiB}]}
 *      auth: {users_file: users.yaml}    # or users, tokens and no_auth_user as in that file; beside this one
 *
 * It gives options values, as flags do, with a lower precedence; users that stand in it stay in its tree. */
#ifndef SPATE_ENGINE_CONFIG_H
#define SPATE_ENGINE_CONFIG_H

#include "engine/access/users.h"
#include "engine/option_table.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)1 << 20)

struct config {
        struct document document;
        struct users_nodes users; /* inline, as far as they are given */
        bool has_inline_users;
        bool names_users; /* the file does, inline or as another file */
};

struct config_sources {
        int argc;
        char **argv;
        int first;
        const struct option_row *rows; /* option_rows, perhaps with others behind them */
        size_t rows_count;
};
/* Everything that is said of the options: argv[first..] as flags, the environment, and the file that one of those two
 * names. What the client commands read of the environment is passed over. Fills all of `options`, which are not yet
 * initialized, and `config`; both are to be freed whatever comes of it. *next is the first argument that is no option.
 * 0, -ENOMEM or -errno with one line in `error`, which stays in use as long as `config`. */
int config_read(struct options *options, struct config *config, const struct config_sources *sources, int *next,
                char error[OPTIONS_ERROR_BYTES]);
/* The file's text alone; `name` stands for it in faults, and a users file is named from the folder that is in it. */
int config_parse(struct options *options, struct config *config, const char *name, struct span text,
                 char error[OPTIONS_ERROR_BYTES]);
/* Accepts a zeroed one. */
void config_fini(struct config *config);

/* Is anybody to be asked who he is? */
static inline bool config_has_users(const struct config *config, const struct options *options)
{
        return options_text(options, OPTION_USERS)[0] != '\0' || config->has_inline_users;
}

/* The users, from wherever they are. 0, or -errno with one line in `error`. */
int config_users(struct config *config, const struct options *options, const struct users_context *context,
                 struct users **users, char error[OPTIONS_ERROR_BYTES]);

#endif
