/* users: from a YAML document to an image. libyaml gives the tree with the place of every node, and what is in it is
 * checked here, so that a fault in a value (a broken hash, a subject that cannot be) is told with its line and column
 * as one of the grammar is, and an empty list is told from none. See the header. */
#include "engine/access/users.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/base/bits.h"
#include "engine/base/log.h"
#include "engine/base/random.h"

struct users {
        struct user *users;
        size_t users_count;
        uint32_t *by_name; /* 1 + index, 0: free; open addressing */
        size_t by_name_count;
        uint64_t seed;
        const struct user *bcrypt_tokens[USERS_BCRYPT_TOKENS_MAX];
        size_t bcrypt_tokens_count;
        const struct user *no_auth;
        struct permission_sets *sets;
        unsigned cost_max;
        char dummy[BCRYPT_HASH_BYTES + 1];
};

/* ---- sets of permissions ---- */

struct permission_set {
        struct map_node node;
        struct epoch_retired retired;
        struct permissions *permissions;
        size_t users_count;
};

int permission_sets_init(struct permission_sets *sets, unsigned reactors_count)
{
        *sets = (struct permission_sets){0};
        if (reactors_count > 0 && usages_init(&sets->usages, reactors_count) != 0)
                return -ENOMEM;
        sets->next_id = 1;
        random_secret(sets->secret, sizeof sets->secret);
        epoch_bin_init(&sets->bin);
        return map_init(&sets->map, 0);
}

void permission_sets_fini(struct permission_sets *sets)
{
        assert(sets->map.nodes_count == 0);
        if (sets->next_id != 0)
                epoch_drain(&sets->bin);
        map_fini(&sets->map);
        usages_fini(&sets->usages);
}

static struct permission_set *permission_sets_find(struct permission_sets *sets, const struct permissions *permissions)
{
        for (struct map_node *node = map_first(&sets->map, permissions_hash(permissions)); node != NULL;
             node = map_next(node)) {
                struct permission_set *set = container_of(node, struct permission_set, node);
                if (permissions_equal(set->permissions, permissions))
                        return set;
        }
        return NULL;
}

/* Takes `permissions` over, and returns what stands for it from now on: NULL for no restrictions. */
static int permission_sets_add(struct permission_sets *sets, struct permissions *permissions,
                               const struct permissions **added)
{
        *added = NULL;
        if (permissions_unlimited(permissions)) {
                permissions_free(permissions);
                return 0;
        }
        struct permission_set *set = permission_sets_find(sets, permissions);
        if (set != NULL) {
                permissions_free(permissions);
        } else {
                set = calloc(1, sizeof *set);
                if (set == NULL) {
                        permissions_free(permissions);
                        return -ENOMEM;
                }
                set->permissions = permissions;
                sets->next_id++;
                map_insert(&sets->map, &set->node, permissions_hash(permissions));
        }
        set->users_count++;
        *added = set->permissions;
        return 0;
}

static void permission_set_free(struct epoch_retired *retired)
{
        struct permission_set *set = container_of(retired, struct permission_set, retired);
        permissions_free(set->permissions);
        free(set);
}

static void permission_sets_drop(struct permission_sets *sets, const struct permissions *permissions)
{
        if (permissions == NULL)
                return;
        struct permission_set *set = permission_sets_find(sets, permissions);
        assert(set != NULL && set->permissions == permissions);
        if (--set->users_count > 0)
                return;
        map_remove(&sets->map, &set->node);
        epoch_retire(&sets->bin, &set->retired, permission_set_free);
        epoch_collect(&sets->bin);
}

/* ---- from a document ---- */

struct loading {
        struct document *document;
        const struct users_context *context;
        struct users *users;
};

#define QUOTED_BYTES 96

static void out_of_memory(struct loading *loading)
{
        document_out_of_memory(loading->document, "its users");
}

static const yaml_node_t *node_at(struct loading *loading, int index)
{
        return document_node(loading->document, index);
}

/* ---- values ---- */

static bool has_odd_bytes(struct span text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
                        return true;
        return false;
}

static bool read_name(struct loading *loading, const yaml_node_t *mapping, const yaml_node_t *node, const char *what,
                      struct span *name)
{
        char quoted[QUOTED_BYTES];
        if (node == NULL) {
                document_fault(loading->document, mapping, "%s has no name: add one, name: ...", what);
                return false;
        }
        if (!document_scalar(loading->document, node, "a name", name))
                return false;
        log_quote(quoted, sizeof quoted, *name);
        if (name->size == 0)
                document_fault(loading->document, node, "the name is empty; write one, name: ...");
        else if (name->size > USER_NAME_BYTES_MAX)
                document_fault(loading->document, node, "the name is longer than %d bytes", USER_NAME_BYTES_MAX);
        else if (has_odd_bytes(*name))
                document_fault(loading->document, node, "the name %s has a blank or a control character", quoted);
        else if (memchr(name->bytes, '*', name->size) != NULL || memchr(name->bytes, '>', name->size) != NULL ||
                 memchr(name->bytes, '#', name->size) != NULL)
                document_fault(loading->document, node,
                               "the name %s has a character that is a wildcard in subjects (* > #); take another",
                               quoted);
        return loading->document->failed == 0;
}

static bool is_base64_of_bcrypt(uint8_t byte)
{
        return byte == '.' || byte == '/' || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
               (byte >= 'a' && byte <= 'z');
}

/* $2b$11$ and 22 characters of salt, 31 of hash. */
bool bcrypt_is_valid(struct span hash)
{
        const uint8_t *bytes = hash.bytes;
        if (hash.size != BCRYPT_HASH_BYTES || bytes[0] != '$' || bytes[1] != '2' ||
            (bytes[2] != 'a' && bytes[2] != 'b' && bytes[2] != 'y') || bytes[3] != '$' || bytes[6] != '$')
                return false;
        if (bytes[4] < '0' || bytes[4] > '3' || bytes[5] < '0' || bytes[5] > '9')
                return false;
        for (size_t i = 7; i < hash.size; i++)
                if (!is_base64_of_bcrypt(bytes[i]))
                        return false;
        return true;
}

static unsigned bcrypt_cost(const char *hash)
{
        return (unsigned)(hash[4] - '0') * 10 + (unsigned)(hash[5] - '0');
}

/* Of the salt's last character only the upper two bits count, and crypt() answers with the others cleared: a hash by
 * somebody who left them in would match nothing. */
static void bcrypt_tidy(char *hash)
{
        static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        const char *digit = strchr(digits, hash[28]);
        hash[28] = digits[(size_t)(digit - digits) & 0x30];
}

static bool read_bcrypt(struct loading *loading, const yaml_node_t *node, struct span text, struct user *user)
{
        if (!bcrypt_is_valid(text)) {
                document_fault(
                        loading->document, node,
                        "the %s of \"%.*s\" is not a bcrypt hash ($2a$, $2b$ or $2y$, 60 characters)%s; make one with "
                        "`spate passwd%s`",
                        user->is_token ? "token" : "password", (int)user->name.size, (const char *)user->name.bytes,
                        user->is_token ? " nor sha256: and 64 hexadecimal digits" : ", and is never kept as plain text",
                        user->is_token ? " --token" : "");
                return false;
        }
        char *hash = malloc(text.size + 1);
        if (hash == NULL) {
                out_of_memory(loading);
                return false;
        }
        memcpy(hash, text.bytes, text.size);
        hash[text.size] = '\0';
        bcrypt_tidy(hash);
        user->bcrypt = hash;
        unsigned cost = bcrypt_cost(hash);
        if (cost < 4 || cost > BCRYPT_COST_MAX) {
                document_fault(
                        loading->document, node,
                        "the hash of \"%.*s\" has a cost of %u; it must be 4 to %d, or a login would take longer than "
                        "clients wait",
                        (int)user->name.size, (const char *)user->name.bytes, cost, BCRYPT_COST_MAX);
                return false;
        }
        if (cost > loading->users->cost_max)
                loading->users->cost_max = cost;
        return true;
}

static int hex_digit(uint8_t byte)
{
        if (byte >= '0' && byte <= '9')
                return byte - '0';
        byte |= 0x20;
        return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool read_digest(struct loading *loading, const yaml_node_t *node, struct span hex, struct user *user)
{
        bool is_right = hex.size == 2 * sizeof user->digest;
        for (size_t i = 0; is_right && i < hex.size; i++) {
                int digit = hex_digit(hex.bytes[i]);
                is_right = digit >= 0;
                user->digest[i / 2] = (uint8_t)(user->digest[i / 2] << 4 | (digit & 15));
        }
        if (!is_right)
                document_fault(loading->document, node,
                               "the token of \"%.*s\" is not sha256: and 64 hexadecimal digits; make it with "
                               "`spate passwd --token`",
                               (int)user->name.size, (const char *)user->name.bytes);
        return is_right;
}

static bool read_secret(struct loading *loading, const yaml_node_t *mapping, const yaml_node_t *node, struct user *user)
{
        const char *key = user->is_token ? "token" : "password";
        struct span text;
        if (node == NULL) {
                document_fault(loading->document, mapping,
                               "\"%.*s\" has no %s: add the line that `spate passwd%s` prints", (int)user->name.size,
                               (const char *)user->name.bytes, key, user->is_token ? " --token" : "");
                return false;
        }
        if (!document_scalar(loading->document, node, user->is_token ? "a token" : "a password", &text))
                return false;
        if (user->is_token && span_starts_with(text, SPAN("sha256:")))
                return read_digest(loading, node, span_skip(text, 7), user);
        return read_bcrypt(loading, node, text, user);
}

static bool read_listeners(struct loading *loading, const yaml_node_t *node, struct user *user)
{
        const struct users_context *context = loading->context;
        const yaml_node_item_t *items;
        size_t count;
        user->listeners = UINT32_MAX;
        if (node == NULL)
                return true;
        if (!document_list(loading->document, node, "listeners", &items, &count))
                return false;
        user->listeners = 0;
        for (size_t i = 0; i < count; i++) {
                const yaml_node_t *item = node_at(loading, items[i]);
                char quoted[QUOTED_BYTES];
                struct span text;
                size_t k = 0;
                if (!document_scalar(loading->document, item, "a listener", &text))
                        return false;
                while (k < context->listeners_count && !span_equal(text, span_of_text(context->listeners[k])))
                        k++;
                if (span_equal(text, SPAN("nats"))) {
                        user->listeners = UINT32_MAX;
                } else if (k < context->listeners_count) {
                        user->listeners |= (uint32_t)1 << k;
                } else {
                        document_fault(loading->document, item,
                                       "no listener (--listen, or listeners in the configuration) is called %s; write "
                                       "it as it stands "
                                       "there, or nats for all of them",
                                       log_quote(quoted, sizeof quoted, text));
                        return false;
                }
        }
        return true;
}

static bool read_rules(struct loading *loading, const yaml_node_t *node, const char *what, bool may_name_group,
                       struct permission_list *list)
{
        const yaml_node_item_t *items;
        size_t count;
        if (node == NULL)
                return true;
        if (!document_list(loading->document, node, what, &items, &count))
                return false;
        list->is_given = true;
        if (count == 0)
                return true;
        struct span *entries = malloc(count * sizeof *entries);
        list->entries = entries;
        if (entries == NULL) {
                out_of_memory(loading);
                return false;
        }
        for (size_t i = 0; i < count; i++) {
                const yaml_node_t *item = node_at(loading, items[i]);
                char quoted[QUOTED_BYTES];
                if (!document_scalar(loading->document, item, "a subject", &entries[i]))
                        return false;
                const char *why = permission_entry_fault(entries[i], may_name_group);
                if (why != NULL) {
                        document_fault(loading->document, item, "%s is no subject to %s: %s",
                                       log_quote(quoted, sizeof quoted, entries[i]), what, why);
                        return false;
                }
        }
        list->entries_count = count;
        return true;
}

static bool read_direction(struct loading *loading, const yaml_node_t *node, const char *what, bool may_name_group,
                           struct permission_list *allow, struct permission_list *deny)
{
        static const char *const keys[] = {"allow", "deny", NULL};
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        if (node == NULL)
                return true;
        return document_mapping(loading->document, node, what, keys, values, NULL, NULL) &&
               read_rules(loading, values[0], "allow", may_name_group, allow) &&
               read_rules(loading, values[1], "deny", may_name_group, deny);
}

static bool read_permissions(struct loading *loading, const yaml_node_t *publish, const yaml_node_t *subscribe,
                             struct user *user)
{
        struct permission_sets *sets = loading->context->sets;
        struct permission_lists lists = {0};
        struct permissions *permissions = NULL;
        bool is_read =
                read_direction(loading, publish, "publish", false, &lists.publish_allow, &lists.publish_deny) &&
                read_direction(loading, subscribe, "subscribe", true, &lists.subscribe_allow, &lists.subscribe_deny);
        if (is_read && (permissions_new(&permissions, &lists, sets->next_id, sets->secret) != 0 ||
                        permission_sets_add(sets, permissions, &user->permissions) != 0)) {
                out_of_memory(loading);
                is_read = false;
        }
        if (is_read && sets->usages.reactors_count > 0) {
                user->usage = usages_get(&sets->usages, user->name);
                is_read = user->usage != NULL;
                if (!is_read)
                        out_of_memory(loading);
        }
        free((void *)(uintptr_t)lists.publish_allow.entries);
        free((void *)(uintptr_t)lists.publish_deny.entries);
        free((void *)(uintptr_t)lists.subscribe_allow.entries);
        free((void *)(uintptr_t)lists.subscribe_deny.entries);
        return is_read;
}

/* ---- users by name ---- */

static size_t users_slot(const struct users *users, struct span name)
{
        size_t mask = users->by_name_count - 1;
        size_t slot = XXH3_64bits_withSeed(name.bytes, name.size, users->seed) & mask;
        while (users->by_name[slot] != 0 && !span_equal(users->users[users->by_name[slot] - 1].name, name))
                slot = (slot + 1) & mask;
        return slot;
}

const struct user *users_find_any(const struct users *users, struct span name)
{
        uint32_t found = users->by_name[users_slot(users, name)];
        return found == 0 ? NULL : &users->users[found - 1];
}

const struct user *users_find(const struct users *users, struct span name)
{
        const struct user *user = users_find_any(users, name);
        return user == NULL || user->is_token ? NULL : user;
}

const struct user *users_find_digest(const struct users *users, const uint8_t digest[TOKEN_DIGEST_BYTES])
{
        /* How long this takes tells of digests, and from those nobody finds a token. */
        for (size_t i = 0; i < users->users_count; i++) {
                const struct user *user = &users->users[i];
                if (user->is_token && user->bcrypt == NULL && memcmp(user->digest, digest, sizeof user->digest) == 0)
                        return user;
        }
        return NULL;
}

const struct user *users_bcrypt_token(const struct users *users, size_t i)
{
        return i < users->bcrypt_tokens_count ? users->bcrypt_tokens[i] : NULL;
}

const struct user *users_no_auth(const struct users *users)
{
        return users->no_auth;
}

const struct user *users_at(const struct users *users, uint32_t index)
{
        return &users->users[index];
}

size_t users_count(const struct users *users)
{
        return users->users_count;
}

const char *users_dummy_bcrypt(const struct users *users)
{
        return users->dummy;
}

/* ---- the file ---- */

static void read_user(struct loading *loading, const yaml_node_t *node, bool is_token)
{
        static const char *const keys[2][DOCUMENT_KEYS_MAX] = {
                {"name", "password", "publish", "subscribe", "listeners", NULL},
                {"name", "token", "publish", "subscribe", "listeners", NULL},
        };
        const char *what = is_token ? "a token" : "a user";
        struct users *users = loading->users;
        struct user *user = &users->users[users->users_count];
        struct span name;
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        if (!document_mapping(loading->document, node, what, keys[is_token], values, NULL, NULL) ||
            !read_name(loading, node, values[0], what, &name))
                return;
        size_t slot = users_slot(users, name);
        if (users->by_name[slot] != 0) {
                document_fault(loading->document, values[0],
                               "the name \"%.*s\" is there twice; users and tokens share names", (int)name.size,
                               (const char *)name.bytes);
                return;
        }
        uint8_t *copy = malloc(name.size + 1);
        if (copy == NULL) {
                out_of_memory(loading);
                return;
        }
        *span_copy(copy, name) = '\0';
        user->name = span_of(copy, name.size);
        user->is_token = is_token;
        user->index = (uint32_t)users->users_count++;
        users->by_name[slot] = user->index + 1;
        if (!read_secret(loading, node, values[1], user) || !read_permissions(loading, values[2], values[3], user) ||
            !read_listeners(loading, values[4], user))
                return;
        if (is_token && user->bcrypt != NULL) {
                if (users->bcrypt_tokens_count == USERS_BCRYPT_TOKENS_MAX)
                        document_fault(loading->document, values[1],
                                       "more than %d tokens have bcrypt hashes, each of which is tried when a token "
                                       "comes; use "
                                       "sha256: for long random ones, `spate passwd --token`",
                                       USERS_BCRYPT_TOKENS_MAX);
                else
                        users->bcrypt_tokens[users->bcrypt_tokens_count++] = user;
        }
}

static void read_no_auth_user(struct loading *loading, const yaml_node_t *node)
{
        struct span name;
        char quoted[QUOTED_BYTES];
        if (!document_scalar(loading->document, node, "no_auth_user", &name))
                return;
        const struct user *user = users_find(loading->users, name);
        log_quote(quoted, sizeof quoted, name);
        if (user == NULL)
                document_fault(loading->document, node, "no_auth_user %s is not one of the users; add it there",
                               quoted);
        else if (user->listeners == UINT32_MAX)
                document_fault(
                        loading->document, node,
                        "no_auth_user %s may come in at every address; name its listeners, so that none is open by "
                        "mistake: listeners: [127.0.0.1:4222]",
                        quoted);
        else
                loading->users->no_auth = user;
}

static size_t list_size(const yaml_node_t *node)
{
        return node == NULL || node->type != YAML_SEQUENCE_NODE
                       ? 0
                       : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

struct digest_seen {
        const struct user *user;
        const yaml_node_t *node;
};

static int compare_digests(const void *a, const void *b)
{
        const struct digest_seen *first = a, *second = b;
        int order = memcmp(first->user->digest, second->user->digest, TOKEN_DIGEST_BYTES);
        return order != 0 ? order
                          : (first->user->index > second->user->index) - (first->user->index < second->user->index);
}

/* The value of `token` in an item of the list that was read before. */
static const yaml_node_t *token_node(struct loading *loading, const yaml_node_t *item)
{
        for (const yaml_node_pair_t *pair = item->data.mapping.pairs.start; pair < item->data.mapping.pairs.top; pair++)
                if (strcmp((const char *)node_at(loading, pair->key)->data.scalar.value, "token") == 0)
                        return node_at(loading, pair->value);
        return item;
}

/* Of two tokens with one hash, which of the two names came in would be chance. */
static void refuse_equal_tokens(struct loading *loading, const yaml_node_t *tokens)
{
        struct users *users = loading->users;
        size_t count = list_size(tokens), seen_count = 0;
        struct digest_seen *seen = count == 0 ? NULL : calloc(count, sizeof *seen);
        if (count == 0)
                return;
        if (seen == NULL) {
                out_of_memory(loading);
                return;
        }
        for (size_t i = 0; i < count; i++) {
                const struct user *user = &users->users[users->users_count - count + i];
                const yaml_node_t *node = token_node(loading, node_at(loading, tokens->data.sequence.items.start[i]));
                if (user->bcrypt == NULL)
                        seen[seen_count++] = (struct digest_seen){user, node};
                for (size_t k = 0; user->bcrypt != NULL && users->bcrypt_tokens[k] != user; k++)
                        if (strcmp(users->bcrypt_tokens[k]->bcrypt, user->bcrypt) == 0)
                                document_fault(
                                        loading->document, node,
                                        "the tokens \"%.*s\" and \"%.*s\" have the same hash; draw one anew with "
                                        "`spate passwd --token`",
                                        (int)users->bcrypt_tokens[k]->name.size,
                                        (const char *)users->bcrypt_tokens[k]->name.bytes, (int)user->name.size,
                                        (const char *)user->name.bytes);
        }
        qsort(seen, seen_count, sizeof *seen, compare_digests);
        for (size_t i = 1; i < seen_count; i++)
                if (memcmp(seen[i - 1].user->digest, seen[i].user->digest, TOKEN_DIGEST_BYTES) == 0)
                        document_fault(loading->document, seen[i].node,
                                       "the tokens \"%.*s\" and \"%.*s\" have the same hash; draw one anew with "
                                       "`spate passwd --token`",
                                       (int)seen[i - 1].user->name.size, (const char *)seen[i - 1].user->name.bytes,
                                       (int)seen[i].user->name.size, (const char *)seen[i].user->name.bytes);
        free(seen);
}

static void read_users(struct loading *loading, const struct users_nodes *nodes)
{
        const yaml_node_t *lists[2] = {nodes->users, nodes->tokens};
        struct users *users = loading->users;
        size_t count = list_size(nodes->users) + list_size(nodes->tokens);
        users->users = calloc(count + 1, sizeof *users->users);
        users->by_name_count = (size_t)1 << bits_log2_ceil(2 * (count + 1));
        users->by_name = calloc(users->by_name_count, sizeof *users->by_name);
        if (users->users == NULL || users->by_name == NULL) {
                out_of_memory(loading);
                return;
        }
        for (int is_token = 0; is_token < 2; is_token++) {
                const yaml_node_item_t *items;
                size_t items_count;
                if (lists[is_token] == NULL)
                        continue;
                if (!document_list(loading->document, lists[is_token], is_token ? "tokens" : "users", &items,
                                   &items_count))
                        return;
                for (size_t i = 0; i < items_count && loading->document->failed == 0; i++)
                        read_user(loading, node_at(loading, items[i]), is_token == 1);
        }
        if (loading->document->failed == 0)
                refuse_equal_tokens(loading, nodes->tokens);
        if (nodes->no_auth_user != NULL && loading->document->failed == 0)
                read_no_auth_user(loading, nodes->no_auth_user);
}

/* A salt and hash of no password: drawn, not computed. */
static void write_dummy(struct users *users)
{
        static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        uint8_t drawn[BCRYPT_HASH_BYTES];
        unsigned cost = users->cost_max == 0 ? 4 : users->cost_max;
        random_secret(drawn, sizeof drawn);
        memcpy(users->dummy, "$2b$", 4);
        users->dummy[4] = (char)('0' + cost / 10);
        users->dummy[5] = (char)('0' + cost % 10);
        users->dummy[6] = '$';
        for (size_t i = 7; i < BCRYPT_HASH_BYTES; i++)
                users->dummy[i] = digits[drawn[i] & 63];
        bcrypt_tidy(users->dummy);
}

int users_read(struct users **out, struct document *document, const struct users_nodes *nodes,
               const struct users_context *context)
{
        struct loading loading = {.document = document, .context = context};
        assert(context->listeners_count <= 32);
        loading.users = calloc(1, sizeof *loading.users);
        if (loading.users == NULL) {
                out_of_memory(&loading);
                return document->failed;
        }
        loading.users->sets = context->sets;
        random_secret(&loading.users->seed, sizeof loading.users->seed);
        read_users(&loading, nodes);
        if (document->failed != 0) {
                users_free(loading.users);
                return document->failed;
        }
        write_dummy(loading.users);
        *out = loading.users;
        return 0;
}

int users_parse(struct users **users, const char *name, struct span text, const struct users_context *context,
                char error[OPTIONS_ERROR_BYTES])
{
        static const char *const keys[] = {"users", "tokens", "no_auth_user", NULL};
        struct document document = {.name = name, .nothing = "write users: [] for nobody", .error = error};
        const yaml_node_t *values[DOCUMENT_KEYS_MAX];
        if (document_parse(&document, text) == 0 &&
            document_mapping(&document, document_root(&document), "the file", keys, values, NULL, NULL))
                users_read(users, &document,
                           &(struct users_nodes){.users = values[0], .tokens = values[1], .no_auth_user = values[2]},
                           context);
        document_fini(&document);
        return document.failed;
}

int users_load(struct users **users, const char *path, const char *origin, const struct users_context *context,
               char error[OPTIONS_ERROR_BYTES])
{
        uint8_t *bytes;
        size_t size;
        int failed = document_read_file(path, origin, USERS_FILE_BYTES_MAX, &bytes, &size, error);
        if (failed == 0)
                failed = users_parse(users, path, span_of(bytes, size), context, error);
        if (bytes != NULL)
                explicit_bzero(bytes, size);
        free(bytes);
        return failed;
}

void users_free(struct users *users)
{
        if (users == NULL)
                return;
        for (size_t i = 0; i < users->users_count; i++) {
                struct user *user = &users->users[i];
                permission_sets_drop(users->sets, user->permissions);
                if (user->usage != NULL)
                        usage_drop(&users->sets->usages, user->usage);
                free((void *)(uintptr_t)user->name.bytes);
                free((void *)(uintptr_t)user->bcrypt);
        }
        free(users->users);
        free(users->by_name);
        free(users);
}
