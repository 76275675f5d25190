/* rights: see the header. */
#include "tests/sim/rights.h"

#include <sodium.h>
#include <string.h>

#include "engine/access/auth.h"

#define ENTRIES_MAX 12
#define EDITIONS 2 /* in turns */

/* A list that is not given is NULL at its start. */
struct rules {
        bool is_there;
        const char *publish_allow[ENTRIES_MAX], *publish_deny[ENTRIES_MAX];
        const char *subscribe_allow[ENTRIES_MAX], *subscribe_deny[ENTRIES_MAX];
};

static const struct {
        const char *name;
        struct rules rules[EDITIONS];
} users[USERS] = {
        {"free", {{.is_there = true}, {.is_there = true}}},
        {"denied",
         {{.is_there = true, .subscribe_deny = {"a.c"}}, {.is_there = true, .subscribe_deny = {"a.b", "x.>"}}}},
        {"narrow",
         {{.is_there = true, .publish_allow = {"a.>", "b", "*.w", "h.>", "_INBOX.>"}},
          {.is_there = true, .publish_allow = {"a.>", "x.y.z", "_INBOX.>"}, .publish_deny = {"a.b.c"}}}},
        {"reader",
         {{.is_there = true,
           .subscribe_allow = {"a.*", "a.>", "b", "*.b", "q.>", "h.>", "_INBOX.>", "$SPATE.>"},
           .subscribe_deny = {"a.b workers"}},
          {.is_there = true,
           .subscribe_allow = {"a.>", "a", "*.*", "*.*.w", "_INBOX.>", "$SPATE.>"},
           .subscribe_deny = {"a.b.c", "q.w"}}}},
        {"guest", {{.is_there = true}, {.is_there = false}}},
};
#define GUEST 4 /* has a password, all others have tokens */
#define GUEST_PASSWORD "open sesame"
#define GUEST_HASH "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"

static char texts[EDITIONS][4096];
/* [edition][user]… */
static bool may_publish[EDITIONS][USERS][SUBJECTS + 1];
static bool may_subscribe[EDITIONS][USERS][PATTERNS + 2][SUBJECT_GROUPS]; /* the last: a hoard's "*.7" */
static bool may_deliver[EDITIONS][USERS][SUBJECTS + 1][SUBJECT_GROUPS];

/* ---- what the rules mean ---- */

/* Does the entry "pattern group" speak of this group? Writes its pattern. */
static bool entry_is_of(const char *entry, unsigned group, char pattern[SUBJECT_TEXT_BYTES])
{
        const char *blank = strchr(entry, ' ');
        size_t size = blank == NULL ? strlen(entry) : (size_t)(blank - entry);
        snprintf(pattern, SUBJECT_TEXT_BYTES, "%.*s", (int)size, entry);
        return blank == NULL || (group != 0 && strncmp(blank + 1, group_text(group), strlen(blank + 1)) == 0);
}

static bool list_has(const char *const *list, const char *text, unsigned group,
                     bool (*has)(const char *pattern, const char *text))
{
        char pattern[SUBJECT_TEXT_BYTES];
        for (size_t i = 0; i < ENTRIES_MAX && list[i] != NULL; i++)
                if (entry_is_of(list[i], group, pattern) && has(pattern, text))
                        return true;
        return false;
}

static void judge(unsigned edition, unsigned user)
{
        const struct rules *rules = &users[user].rules[edition];
        char text[SUBJECT_TEXT_BYTES];
        for (unsigned s = 0; s <= SUBJECTS; s++) {
                topic_text((struct topic){.kind = (uint8_t)s}, text);
                may_publish[edition][user][s] =
                        (rules->publish_allow[0] == NULL || list_has(rules->publish_allow, text, 0, plainly_matches)) &&
                        !list_has(rules->publish_deny, text, 0, plainly_matches);
                for (unsigned group = 0; group < SUBJECT_GROUPS; group++)
                        may_deliver[edition][user][s][group] =
                                !list_has(rules->subscribe_deny, text, group, plainly_matches);
        }
        for (unsigned p = 0; p < PATTERNS + 2; p++) {
                wish_text((struct wish){.pattern = (uint8_t)(p > PATTERN_HOARD ? PATTERN_HOARD : p),
                                        .hoard = p > PATTERN_HOARD ? 3 : 0},
                          text);
                for (unsigned group = 0; group < SUBJECT_GROUPS; group++)
                        may_subscribe[edition][user][p][group] =
                                (rules->subscribe_allow[0] == NULL ||
                                 list_has(rules->subscribe_allow, text, group, plainly_covers)) &&
                                !list_has(rules->subscribe_deny, text, group, plainly_covers);
        }
}

/* ---- the file ---- */

static void write_list(FILE *to, const char *name, const char *const *list)
{
        if (list[0] == NULL)
                return;
        fprintf(to, "%s: [", name);
        for (size_t i = 0; i < ENTRIES_MAX && list[i] != NULL; i++)
                fprintf(to, "%s\"%s\"", i == 0 ? "" : ", ", list[i]);
        fputs("], ", to);
}

static void write_user(FILE *to, unsigned edition, unsigned user)
{
        const struct rules *rules = &users[user].rules[edition];
        uint8_t digest[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof digest + 1];
        crypto_hash_sha256(digest, (const uint8_t *)users[user].name, strlen(users[user].name));
        sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
        fprintf(to, "  - {name: %s, ", users[user].name);
        if (user == GUEST)
                fprintf(to, "password: \"%s\"", GUEST_HASH);
        else
                fprintf(to, "token: \"sha256:%s\"", hex);
        fputs(", publish: {", to);
        write_list(to, "allow", rules->publish_allow);
        write_list(to, "deny", rules->publish_deny);
        fputs("}, subscribe: {", to);
        write_list(to, "allow", rules->subscribe_allow);
        write_list(to, "deny", rules->subscribe_deny);
        fputs("}}\n", to);
}

static void write_edition(unsigned edition)
{
        FILE *to = fmemopen(texts[edition], sizeof texts[edition], "w");
        if (users[GUEST].rules[edition].is_there) {
                fputs("users:\n", to);
                write_user(to, edition, GUEST);
        }
        fputs("tokens:\n", to);
        for (unsigned user = 0; user < USERS; user++)
                if (user != GUEST)
                        write_user(to, edition, user);
        fputc('\0', to);
        fclose(to);
}

static int load(void *context, const struct users_context *users_context, struct users **loaded,
                char error[OPTIONS_ERROR_BYTES])
{
        struct world *world = context;
        struct rights *rights = &world->rights;
        int failed = users_parse(loaded, "users", span_of_text(texts[rights->count % EDITIONS]), users_context, error);
        if (failed != 0)
                return failed;
        rights->editions[rights->count++] =
                (struct edition){.from_step = world->step, .until_step = NEVER, .users = *loaded};
        return 0;
}

/* ---- their life ---- */

static uint64_t world_clock_ns(void)
{
        const struct world *world = world_now();
        return world->io[0] == NULL ? 0 : io_clock_ns(world->io[0]);
}

void rights_start(struct world *world)
{
        static const char *const listeners[] = {"10.0.0.1:4222"};
        char error[OPTIONS_ERROR_BYTES] = "";
        bool has_users = random_chance(&world->plan, 1, 3);
        if (texts[0][0] == '\0')
                for (unsigned edition = 0; edition < EDITIONS; edition++) {
                        write_edition(edition);
                        for (unsigned user = 0; user < USERS; user++)
                                judge(edition, user);
                }
        if (!has_users || !world_has(world, TWIST_USERS))
                return;
        struct auth_settings settings = {.load = load,
                                         .load_context = world,
                                         .listeners = listeners,
                                         .listeners_count = 1,
                                         .reactors_count = (unsigned)world->reactors_count,
                                         .timeout_ns = 10 * NS_PER_S,
                                         .ban_after = 0,
                                         .now_ns = world_clock_ns,
                                         .is_inline = true};
        must(auth_new(&world->rights.auth, &settings, error) == 0, "%s", error);
}

void rights_stop(struct world *world)
{
        auth_stop(world->rights.auth);
}

void rights_end(struct world *world)
{
        auth_free(world->rights.auth);
        world->rights.auth = NULL;
}

void rights_reload(struct world *world)
{
        if (world->rights.auth == NULL || world->rights.count >= EDITIONS_MAX - 1 ||
            auth_is_reloading(world->rights.auth))
                return;
        auth_reload(world->rights.auth);
}

/* Every reactor has the newest users, and has asked all its sessions who they are by those: the ones before are over.
 */
void rights_follow(struct world *world)
{
        struct rights *rights = &world->rights;
        if (rights->auth == NULL)
                return;
        if (random_chance(&world->random, 1, 3))
                auth_work(rights->auth);
        const struct edition *newest = &rights->editions[rights->count - 1];
        for (unsigned i = 0; i < world->reactors_count; i++)
                if (auth_users(auth_gate(rights->auth, i)) != newest->users || world->reactors[i]->is_rechecking)
                        return;
        for (size_t i = 0; i + 1 < rights->count; i++)
                if (rights->editions[i].until_step == NEVER)
                        rights->editions[i].until_step = world->step;
}

const char *rights_login(const struct world *world, unsigned user)
{
        static char text[100];
        if (world->rights.auth == NULL)
                return "";
        if (user == GUEST)
                return ",\"user\":\"guest\",\"pass\":\"" GUEST_PASSWORD "\"";
        snprintf(text, sizeof text, ",\"auth_token\":\"%s\"", users[user].name);
        return text;
}

/* ---- answers ---- */

enum question { ASK_EXISTS, ASK_PUBLISH, ASK_SUBSCRIBE, ASK_DELIVER };

static bool answer(enum question question, unsigned edition, unsigned user, unsigned of, unsigned group)
{
        switch (question) {
        case ASK_PUBLISH:
                return may_publish[edition][user][of];
        case ASK_SUBSCRIBE:
                return may_subscribe[edition][user][of][group];
        case ASK_DELIVER:
                return may_deliver[edition][user][of][group];
        default:
                return users[user].rules[edition].is_there;
        }
}

static bool ask(const struct world *world, enum question question, unsigned user, unsigned of, unsigned group,
                enum certainty certainty, uint32_t from, uint32_t to)
{
        const struct rights *rights = &world->rights;
        if (rights->auth == NULL)
                return true;
        for (size_t i = 0; i < rights->count; i++) {
                const struct edition *edition = &rights->editions[i];
                if (edition->from_step > to || edition->until_step < from)
                        continue;
                if (answer(question, i % EDITIONS, user, of, group) == (certainty == PERHAPS))
                        return certainty == PERHAPS;
        }
        return certainty == SURELY;
}

bool rights_exist(const struct world *world, unsigned user, enum certainty certainty, uint32_t from, uint32_t to)
{
        return ask(world, ASK_EXISTS, user, 0, 0, certainty, from, to);
}

bool rights_publish(const struct world *world, unsigned user, struct topic subject, enum certainty certainty,
                    uint32_t from, uint32_t to)
{
        return ask(world, ASK_PUBLISH, user, subject.kind, 0, certainty, from, to);
}

bool rights_subscribe(const struct world *world, unsigned user, struct wish wish, enum certainty certainty,
                      uint32_t from, uint32_t to)
{
        unsigned of = wish.pattern + (wish.pattern == PATTERN_HOARD && wish.hoard % 4 == 3);
        return ask(world, ASK_SUBSCRIBE, user, of, wish.group, certainty, from, to);
}

bool rights_deliver(const struct world *world, unsigned user, struct topic subject, unsigned group,
                    enum certainty certainty, uint32_t from, uint32_t to)
{
        return ask(world, ASK_DELIVER, user, subject.kind, group, certainty, from, to);
}
