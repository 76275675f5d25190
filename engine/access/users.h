/* users: who may come in, as a file says it (YAML):
 *
 *      users:
 *        - name: alice
 *          password: "$2b$11$..."             # of `spate passwd`
 *          publish: {allow: [orders.>], deny: [orders.internal.>]}
 *          subscribe: {allow: [orders.*, jobs workers]}
 *          listeners: [127.0.0.1:4222]        # as given to --listen, or nats for all of these; absent: everywhere
 *      tokens:
 *        - {name: sensor, token: "sha256:..."}  # or a bcrypt hash
 *      no_auth_user: guest                    # who comes without credentials is this user, on its listeners only
 *
 * All or nothing: a file with any fault makes no image, and the fault is told with its line and column. An image is
 * published: it never changes, any core reads it, and its owner frees it when nobody does any more. */
#ifndef SPATE_ENGINE_ACCESS_USERS_H
#define SPATE_ENGINE_ACCESS_USERS_H

#include "engine/access/document.h"
#include "engine/access/permissions.h"
#include "engine/access/usage.h"
#include "engine/base/epoch.h"
#include "engine/base/map.h"

#define USER_NAME_BYTES_MAX 256
#define USERS_FILE_BYTES_MAX ((size_t)64 << 20)
#define USERS_BCRYPT_TOKENS_MAX 8 /* each of them is tried when a token comes: it names nobody */
#define BCRYPT_HASH_BYTES 60
#define BCRYPT_COST_MAX 15 /* beyond, a login takes longer than clients wait */
#define TOKEN_DIGEST_BYTES 32

/* Equal sets of permissions are one object with one id, across the images that hold them. Belongs to whoever loads. */
struct permission_sets {
        struct map map;
        uint32_t next_id;
        uint8_t secret[16];
        struct epoch_bin bin; /* reactors read each other's sets, as long as a turn lasts */
        struct usages usages; /* likewise by name; there is none while its reactors_count is 0 */
};

/* 0 or -ENOMEM. `reactors_count`: how many use what is loaded; 0: it is only looked at. */
int permission_sets_init(struct permission_sets *sets, unsigned reactors_count);
/* All images are freed. Accepts a zeroed one. */
void permission_sets_fini(struct permission_sets *sets);

struct user {
        struct span name;   /* a NUL follows */
        const char *bcrypt; /* NULL: a token known by its digest */
        uint8_t digest[TOKEN_DIGEST_BYTES];
        bool is_token;
        uint32_t index;                        /* in its image */
        uint32_t listeners;                    /* a bit for each listener where it may come in */
        const struct permissions *permissions; /* NULL: no restrictions */
        struct usage *usage;                   /* what the reactors have of its quotas; NULL: there are no reactors */
};

struct users;

struct users_context {
        const char *const *listeners; /* as they were given to --listen; at most 32 */
        size_t listeners_count;
        struct permission_sets *sets;
};

/* 0, or -errno with "FILE:LINE:COLUMN: what, why, how to fix" in `error`; who named a file that cannot be read is
 * `origin`: "--users", or "spate.yaml:7:15: auth.users_file". */
int users_load(struct users **users, const char *path, const char *origin, const struct users_context *context,
               char error[OPTIONS_ERROR_BYTES]);
/* The same of bytes in memory; `name` stands for the file in errors. */
int users_parse(struct users **users, const char *name, struct span text, const struct users_context *context,
                char error[OPTIONS_ERROR_BYTES]);
/* Where they stand in a document that has more; NULL: absent. */
struct users_nodes {
        const yaml_node_t *users, *tokens, *no_auth_user;
};

/* The same of a document that was parsed; a fault is document->failed, and told there. */
int users_read(struct users **users, struct document *document, const struct users_nodes *nodes,
               const struct users_context *context);
/* On the thread that owns context->sets. Accepts NULL. */
void users_free(struct users *users);

/* Not a token. NULL: there is none. */
const struct user *users_find(const struct users *users, struct span name);
/* A user or token of that name. */
const struct user *users_find_any(const struct users *users, struct span name);
const struct user *users_find_digest(const struct users *users, const uint8_t digest[TOKEN_DIGEST_BYTES]);
/* The tokens with a bcrypt hash, one after the other. */
const struct user *users_bcrypt_token(const struct users *users, size_t i);
/* Who comes without credentials, or NULL. */
const struct user *users_no_auth(const struct users *users);
const struct user *users_at(const struct users *users, uint32_t index);
size_t users_count(const struct users *users);
/* A hash that no password has, as costly to try as the costliest of the file. */
const char *users_dummy_bcrypt(const struct users *users);

/* Is it a bcrypt hash as we take it? */
bool bcrypt_is_valid(struct span hash);

#endif
