/* recipe: see recipe.h. The options are rows; defaults that depend on the mode are filled in at the end. */
#include "bench/recipe.h"

#include <errno.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "engine/base/clock.h"
#include "engine/base/options.h"
#include "engine/base/socketholder.h"

const char *const mode_names[MODES_COUNT] = {
        "fan", "wildcard", "latency", "pub", "sub", "pingpong", "subpub", "idle", "drain", "churn", "stall", "abuse",
};

static const char *const mode_help[MODES_COUNT] = {
        "closed loop: publish as fast as the slowest subscriber allows (--window)",
        "fan over 100 subjects to 1000 subscribers with patterns; each event reaches 10",
        "open loop: events leave at --rate; time from the intended moment to the reader",
        "publish only, flat out",
        "subscribe only; count and check what comes",
        "request and reply over two connections, --count round trips",
        "SUB, PUB and UNSUB in one segment, --count times; each event must come back",
        "open --subscribers connections with one subscription each and hold them",
        "SIGTERM to --server-pid under load at --rate: every confirmed event must reach every reader",
        "subscriptions and readers come and go; every delivery is accounted for",
        "latency for those who read, beside --stall-count that never do, until they are cut off or skipped",
        "attack: --subscribers half-open connections, or --rate connects a second; beside a load that behaves",
};

void recipe_write_connect(const struct recipe *recipe, char to[CONNECT_BYTES_MAX])
{
        char login[256] = "";
        if (recipe->user != NULL)
                snprintf(login, sizeof(login), ",\"user\":\"%s\",\"pass\":\"%s\"", recipe->user, recipe->password);
        snprintf(to, CONNECT_BYTES_MAX,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"lang\":\"c\","
                 "\"version\":\"" SPATE_VERSION "\",\"protocol\":1,\"name\":\"spate bench\"%s}\r\n",
                 login);
}

#define PREFIX_BYTES_MAX 16
#define SAMPLE_NS_MAX (60 * NS_PER_S)

enum kind { KIND_COUNT, KIND_SIGNED, KIND_SECONDS, KIND_MS, KIND_US, KIND_BOOL, KIND_TEXT, KIND_FILE, KIND_TEXTS };

struct row {
        const char *name;
        enum kind kind;
        size_t offset;
        uint64_t min, max;
        const char *help;
};

#define AT(field) offsetof(struct recipe, field)

static const struct row rows[] = {
        {"url", KIND_TEXT, AT(url), 0, 0, "whom to load; also as the second word  [nats://127.0.0.1:4222]"},
        {"publish-to", KIND_TEXT, AT(publish_url), 0, 0, "another address of the same server, for the publishers"},
        {"ws-dialect", KIND_TEXT, AT(ws_dialect), 0, 0,
         "what is said over ws://: nats, nchan (publishers POST), raw (a message is an event)  [nats]"},
        {"against", KIND_TEXTS, AT(against), 0, 0,
         "URL[,PUBLISH-URL] of another server, to be loaded in turns with the first; at most 7 of these"},
        {"against-pid", KIND_TEXTS, AT(against_pids), 0, 0,
         "whose CPU time is that server's, in the same order  [who listens there]"},
        {"user", KIND_TEXT, AT(user), 0, 0, "who we are; the password is in the environment: " PASSWORD_ENVIRONMENT},
        {"publishers", KIND_COUNT, AT(publishers), 1, PUBLISHERS_MAX, "connections that publish  [1]"},
        {"subscribers", KIND_COUNT, AT(subscribers), 1, 1000000, "connections that subscribe  [100; abuse 5000]"},
        {"subjects", KIND_COUNT, AT(subjects), 1, SUBJECTS_MAX, "subjects, published in turn  [1; wildcard: 100]"},
        {"prefix", KIND_TEXT, AT(prefix), 0, 0,
         "first token of all subjects; another for each load on one server  [bench]"},
        {"wildcard", KIND_BOOL, AT(wildcard), 0, 0, "subscribe by patterns"},
        {"size", KIND_COUNT, AT(payload_bytes), STAMP_BYTES, 1 << 20, "payload bytes  [128]"},
        {"window", KIND_COUNT, AT(window), 1, 1 << 24,
         "events a subscriber may be behind  [1024; from 1000 subscribers on 500, from 10000 on 64]"},
        {"rate", KIND_COUNT, AT(rate), 1, 100000000,
         "events a second for latency, stall, drain, churn; connects of abuse  [1000; stall 20000; churn at most "
         "50000; abuse 10000]"},
        {"count", KIND_COUNT, AT(count), 1, 1000000000,
         "loops; churn: deliveries  [pingpong 100000, subpub 1000000, churn 10000000]"},
        {"seconds", KIND_SECONDS, AT(run_ns), 0, 86400,
         "how long to measure; churn: at most  [3; abuse 10; stall 12; churn 300]"},
        {"warmup", KIND_SECONDS, AT(warmup_ns), 0, 3600, "load before that  [1]"},
        {"settle", KIND_MS, AT(settle_ns), 0, 60000, "ms of rest between subscribing and loading  [300]"},
        {"repeats", KIND_COUNT, AT(repeats), 1, 1000, "runs; medians with the least and the most are told  [1]"},
        {"cpu", KIND_SIGNED, AT(cpu), 0, 1023, "core the generator stays on  [any]"},
        {"spin", KIND_BOOL, AT(spin), 0, 0, "never sleep  [latency, stall and pingpong: yes; else no]"},
        {"gather", KIND_US, AT(gather_ns), 0, 100000,
         "us of rest before each look at what has come, so that it is more (fan, wildcard)  [0]"},
        {"verify", KIND_BOOL, AT(verify), 0, 0, "put an XXH3 over each payload and check it"},
        {"sample", KIND_COUNT, AT(sample), 1, 1000000,
         "read and check one of so many subscribers; of the others only bytes are counted  [1: all]"},
        {"server-pid", KIND_SIGNED, AT(server_pid), 1, 4194304, "whose CPU time and memory to report"},
        {"stall-count", KIND_COUNT, AT(stall_count), 0, 1000000,
         "subscribers that stop reading now and then  [0; stall 1]"},
        {"stall-ms", KIND_COUNT, AT(stall_ms), 0, 3600000,
         "for how long on average; 0: for the whole run  [1000; stall 0]"},
        {"stall-room", KIND_COUNT, AT(stall_room_bytes), 0, 1 << 30,
         "their SO_RCVBUF; 0: the kernel's own  [0; stall 4096]"},
        {"stall-limit", KIND_COUNT, AT(stall_limit_bytes), 0, 1LL << 40,
         "tell when one has fallen behind by so many bytes  [stall 16 Mi]"},
        {"accounts", KIND_FILE, AT(accounts), 0, 0, "file for a JSON line of each connection that stalled or churned"},
        {"wrong-logins", KIND_COUNT, AT(login_rate), 0, 100000, "so many a second beside the load (fan, latency)  [0]"},
        {"wrong-hosts", KIND_COUNT, AT(login_hosts), 0, 60000,
         "loopback addresses they, or those of abuse, come from; 0: our own  [0]"},
        {"attack", KIND_TEXT, AT(attack), 0, 0,
         "of abuse: half (open, and trickling) or connects (and gone again)  [half]"},
        {"standing", KIND_COUNT, AT(standing), 0, 100000000,
         "subscriptions beside the load that get no event (fan, wildcard)  [0]"},
        {"changes", KIND_COUNT, AT(change_rate), 0, 10000000,
         "of these, SUBs and UNSUBs a second, every other half second; told: how that is to the rest  [0]"},
        {"churn", KIND_COUNT, AT(churn_rate), 0, 1000000, "SUBs, UNSUBs and readers leaving, a second  [500]"},
        {"abrupt", KIND_COUNT, AT(abrupt_per_mille), 0, 900, "of 1000 of these, connections that break off  [0]"},
        {"seed", KIND_COUNT, AT(seed), 0, 1LL << 53, "of what happens to whom in churn  [1]"},
        {"hold", KIND_BOOL, AT(hold), 0, 0,
         "churn: say \"settled\" at the end and stand still until standard input ends"},
        {"read-bytes", KIND_COUNT, AT(read_bytes), 4096, 1 << 26, "size of the receive buffer  [262144]"},
        {"hdr", KIND_FILE, AT(hdr_path), 0, 0, "file for the latencies, as a log that HdrHistogram's tools read"},
        {"svg", KIND_FILE, AT(svg_path), 0, 0, "file for a plot: latency by percentile, deliveries over time"},
        {"csv", KIND_FILE, AT(csv_path), 0, 0, "file for a line a slice of time: events, deliveries, latencies"},
        {"json", KIND_BOOL, AT(json), 0, 0, "one JSON object instead of text"},
};

bool bench_flag(size_t i, struct bench_flag *flag)
{
        static_assert(array_count(rows) <= BENCH_FLAGS_MAX, "completion has room for all");
        if (i >= array_count(rows))
                return false;
        *flag = (struct bench_flag){.name = rows[i].name,
                                    .help = rows[i].help,
                                    .takes_value = rows[i].kind != KIND_BOOL,
                                    .is_file = rows[i].kind == KIND_FILE};
        return true;
}

const char *bench_modes(void)
{
        static char words[MODES_COUNT * 16];
        size_t used = 0;
        for (size_t i = 0; i < MODES_COUNT; i++)
                used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", i > 0 ? "|" : "", mode_names[i]);
        return words;
}

void recipe_print_help(FILE *out)
{
        fprintf(out, "usage: spate bench MODE [ADDRESS] [OPTIONS]\n\nmodes\n");
        for (size_t i = 0; i < MODES_COUNT; i++)
                fprintf(out, "  %-10s %s\n", mode_names[i], mode_help[i]);
        fprintf(out, "\naddresses\n  nats://HOST:PORT  unix:PATH (NATS)  redis://HOST:PORT  redis+unix:PATH\n"
                     "  ws://HOST:PORT/PATH, or by its dialect: ws+nats://  ws+nchan://  ws+raw://; {} in PATH is the "
                     "subject\n"
                     "  http://HOST:PORT/PATH, only for --publish-to with nchan\n\noptions\n");
        for (size_t i = 0; i < array_count(rows); i++)
                fprintf(out, "  --%-12s %s\n", rows[i].name, rows[i].help);
        fprintf(out, "\nends by itself; exit code 0: all well, 1: events lost, doubled, late or damaged, or cut off,\n"
                     "2: wrong usage, 69: nobody answers there\n");
}

static int number_parse(const char *text, double *value)
{
        char *end;
        errno = 0;
        *value = strtod(text, &end);
        if (errno != 0 || end == text)
                return -EINVAL;
        if (end[0] == 'k')
                *value *= 1e3;
        else if (end[0] == 'M')
                *value *= 1e6;
        else if (end[0] == '\0')
                return 0;
        return end[1] == '\0' ? 0 : -EINVAL;
}

static int row_set(struct recipe *recipe, const struct row *row, char *text, char *error)
{
        void *field = (char *)recipe + row->offset;
        double value;
        if (row->kind == KIND_TEXT || row->kind == KIND_FILE) {
                *(char **)field = text;
                return 0;
        }
        if (row->kind == KIND_TEXTS) {
                struct texts *texts = field;
                if (texts->count == AGAINST_MAX) {
                        snprintf(error, RECIPE_ERROR_BYTES, "--%s may be said %d times at most", row->name,
                                 AGAINST_MAX);
                        return -EINVAL;
                }
                texts->at[texts->count++] = text;
                return 0;
        }
        if (number_parse(text, &value) != 0) {
                snprintf(error, RECIPE_ERROR_BYTES,
                         "--%s: '%s' is not a number; it is written without a unit, as 500, 20k or 2M", row->name,
                         text);
                return -EINVAL;
        }
        if (value < (double)row->min || value > (double)row->max) {
                snprintf(error, RECIPE_ERROR_BYTES, "--%s: %s is not between %llu and %llu", row->name, text,
                         (unsigned long long)row->min, (unsigned long long)row->max);
                return -EINVAL;
        }
        if (row->kind == KIND_SECONDS)
                *(uint64_t *)field = (uint64_t)(value * 1e9);
        else if (row->kind == KIND_MS)
                *(uint64_t *)field = (uint64_t)(value * 1e6);
        else if (row->kind == KIND_US)
                *(uint64_t *)field = (uint64_t)(value * 1e3);
        else if (row->kind == KIND_SIGNED)
                *(int64_t *)field = (int64_t)value;
        else
                *(uint64_t *)field = (uint64_t)value;
        return 0;
}

static const struct row *row_find(const char *name, size_t size)
{
        for (size_t i = 0; i < array_count(rows); i++)
                if (strlen(rows[i].name) == size && strncmp(rows[i].name, name, size) == 0)
                        return &rows[i];
        return NULL;
}

static int option_unknown(const char *name, size_t size, char *error)
{
        const char *names[array_count(rows)];
        char word[32];
        snprintf(word, sizeof(word), "%.*s", (int)size, name);
        for (size_t i = 0; i < array_count(rows); i++)
                names[i] = rows[i].name;
        const char *nearest = options_nearest(word, names, array_count(names));
        if (nearest == NULL)
                snprintf(error, RECIPE_ERROR_BYTES, "there is no option --%.*s; see --help", (int)size, name);
        else
                snprintf(error, RECIPE_ERROR_BYTES, "there is no option --%s; did you mean --%s?", word, nearest);
        return -EINVAL;
}

static int option_parse(struct recipe *recipe, int argc, char **argv, int *at, char *error)
{
        const char *name = argv[*at] + 2;
        size_t size = strcspn(name, "=");
        const struct row *row = row_find(name, size);
        if (row == NULL && strncmp(name, "no-", 3) == 0) {
                row = row_find(name + 3, strlen(name + 3));
                if (row != NULL && row->kind == KIND_BOOL) {
                        *(bool *)((char *)recipe + row->offset) = false;
                        return 0;
                }
                row = NULL;
        }
        if (row == NULL) {
                return option_unknown(name, size, error);
        }
        if (row->kind == KIND_BOOL) {
                *(bool *)((char *)recipe + row->offset) = true;
                return 0;
        }
        if (name[size] == '=')
                return row_set(recipe, row, argv[*at] + 2 + size + 1, error);
        if (*at + 1 >= argc) {
                snprintf(error, RECIPE_ERROR_BYTES, "--%s: its value is missing", row->name);
                return -EINVAL;
        }
        *at += 1;
        return row_set(recipe, row, argv[*at], error);
}

static int mode_parse(struct recipe *recipe, const char *word, char *error)
{
        for (size_t i = 0; i < MODES_COUNT; i++) {
                if (strcmp(word, mode_names[i]) == 0) {
                        recipe->mode = (enum mode)i;
                        return 0;
                }
        }
        const char *nearest = options_nearest(word, mode_names, MODES_COUNT);
        if (nearest == NULL)
                snprintf(error, RECIPE_ERROR_BYTES, "there is no mode '%s'; see --help", word);
        else
                snprintf(error, RECIPE_ERROR_BYTES, "there is no mode '%s'; did you mean %s?", word, nearest);
        return -EINVAL;
}

static uint64_t window_default(uint64_t subscribers)
{
        if (subscribers >= 10000)
                return 64;
        return subscribers >= 1000 ? 500 : 1024;
}

static int refuse(char *error, const char *why)
{
        snprintf(error, RECIPE_ERROR_BYTES, "%s", why);
        return -EINVAL;
}

static bool is_plain(const char *text)
{
        return strpbrk(text, "\"\\") == NULL && strlen(text) < 100;
}

static bool publishes(const struct recipe *recipe)
{
        return recipe->mode != MODE_SUB && recipe->mode != MODE_IDLE && recipe->mode != MODE_ABUSE;
}

static bool names_subject(const struct target *target)
{
        return strstr(target->path, "{}") != NULL;
}

static int websocket_check(const struct recipe *recipe, char *error)
{
        const struct target *target = &recipe->target;
        if (target->protocol == PROTOCOL_HTTP)
                return refuse(error, "http:// is where publishers go, with --publish-to; subscribers need ws://");
        if (!target_is_websocket(target))
                return 0;
        if (recipe->mode != MODE_FAN && recipe->mode != MODE_WILDCARD && recipe->mode != MODE_LATENCY &&
            recipe->mode != MODE_PUB && recipe->mode != MODE_SUB && recipe->mode != MODE_IDLE)
                return refuse(error, "ws:// is for fan, wildcard, latency, pub, sub and idle");
        if (recipe->stall_limit_bytes != 0 || recipe->login_rate != 0)
                return refuse(error, "--stall-limit and --wrong-logins are not for ws://");
        if (target->dialect == DIALECT_NCHAN && publishes(recipe) && recipe->publish_target.protocol != PROTOCOL_HTTP)
                return refuse(error, "nchan takes events by POST: --publish-to http://HOST:PORT/PATH");
        if (target->protocol != PROTOCOL_MESSAGE)
                return 0;
        if (recipe->wildcard)
                return refuse(error, "nchan and raw know no wildcards");
        if (recipe->subjects > 1 && (!names_subject(target) || !names_subject(&recipe->publish_target)))
                return refuse(error, "several --subjects need {} in the path, where each has its name");
        if (recipe->subjects > 1 && target->dialect == DIALECT_RAW)
                return refuse(error, "raw has one subject: a connection publishes to the path that it opened");
        return 0;
}

static bool is_of_one_kind(const struct target *target, const struct target *publish_target)
{
        if (target->dialect == DIALECT_NCHAN)
                return publish_target->protocol == PROTOCOL_HTTP || publish_target->dialect == DIALECT_NCHAN;
        return publish_target->protocol == target->protocol;
}

static int recipe_check(struct recipe *recipe, char *error)
{
        int failure = websocket_check(recipe, error);
        if (failure != 0)
                return failure;
        if (!is_of_one_kind(&recipe->target, &recipe->publish_target))
                return refuse(error, "--publish-to must speak the same protocol");
        if (recipe->user != NULL && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "--user is for nats:// and NATS over ws://");
        if (recipe->user != NULL && (!is_plain(recipe->user) || !is_plain(recipe->password)))
                return refuse(error, "--user and its password: at most 99 bytes, without quotes and backslashes");
        if (recipe->window == WINDOW_AUTO)
                recipe->window = recipe->mode == MODE_WILDCARD ? 1024 : window_default(recipe->subscribers);
        if (recipe->verify && recipe->payload_bytes < STAMP_BYTES + CHECK_BYTES)
                return refuse(error, "--verify needs a --size of 24 at least");
        if (recipe->gather_ns != 0 && recipe->mode != MODE_FAN && recipe->mode != MODE_WILDCARD)
                return refuse(error, "--gather is for fan and wildcard: elsewhere it would be part of the latency");
        if (recipe->sample != 1 && recipe->mode != MODE_FAN && recipe->mode != MODE_WILDCARD &&
            recipe->mode != MODE_LATENCY)
                return refuse(error, "--sample is for fan, wildcard and latency");
        if (recipe->sample != 1 && (recipe->publishers != 1 || recipe->stall_count != 0))
                return refuse(error, "--sample counts bytes: it needs one publisher, and nobody who stalls");
        if (recipe->sample != 1 && target_is_websocket(&recipe->target))
                return refuse(error, "--sample counts bytes of equal frames: it is not for ws://");
        if (recipe->sample > recipe->subscribers)
                return refuse(error, "--sample must leave somebody to check: at most as many as --subscribers");
        if (recipe->sample != 1 && recipe->run_ns + recipe->warmup_ns > SAMPLE_NS_MAX)
                return refuse(error, "--sample answers no PING of the server: it is for at most 60 seconds in all");
        if (recipe->subscribers % recipe->subjects != 0 && recipe->mode != MODE_CHURN) {
                snprintf(error, RECIPE_ERROR_BYTES,
                         "--subscribers %llu is no multiple of --subjects %llu, so some events would reach more than "
                         "others",
                         (unsigned long long)recipe->subscribers, (unsigned long long)recipe->subjects);
                return -EINVAL;
        }
        if (recipe->mode == MODE_SUBPUB && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "subpub needs nats://: a RESP subscriber may not publish");
        if (recipe->prefix[0] == '\0' || strlen(recipe->prefix) > PREFIX_BYTES_MAX ||
            strcspn(recipe->prefix, " .*>\t\r\n{}") != strlen(recipe->prefix))
                return refuse(error, "--prefix is one token: at most 16 bytes, without dots, blanks and wildcards");
        if (recipe->mode == MODE_ABUSE && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "abuse needs nats://");
        if (recipe->mode == MODE_ABUSE && strcmp(recipe->attack, "half") != 0 &&
            strcmp(recipe->attack, "connects") != 0)
                return refuse(error, "--attack is half or connects");
        if (recipe->mode == MODE_CHURN && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "churn needs nats://");
        if (recipe->mode == MODE_DRAIN && (recipe->server_pid == 0 || recipe->subjects != 1))
                return refuse(error, "drain needs --server-pid, and one subject");
        if (recipe->mode == MODE_DRAIN && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "drain needs nats://: its publishers ask with PING what has arrived");
        if (recipe->mode == MODE_DRAIN && recipe->repeats != 1)
                return refuse(error, "drain ends the server: --repeats is for the other modes");
        if (recipe->login_rate != 0 && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "--wrong-logins is for nats://");
        if (recipe->standing != 0 && recipe->mode != MODE_FAN && recipe->mode != MODE_WILDCARD)
                return refuse(error, "--standing is for fan and wildcard");
        if (recipe->standing != 0 && recipe->target.protocol != PROTOCOL_NATS)
                return refuse(error, "--standing is for nats://");
        if (recipe->standing != 0 && target_is_websocket(&recipe->target))
                return refuse(error, "--standing is not for ws://");
        if (recipe->change_rate != 0 && recipe->standing == 0)
                return refuse(error, "--changes needs subscriptions that change: --standing");
        if (recipe->stall_count != 0 && recipe->stall_count >= recipe->subscribers)
                return refuse(error, "--stall-count must leave at least one subscriber that reads");
        if (recipe->stall_count != 0 && recipe->mode != MODE_FAN && !recipe_is_open_loop(recipe) &&
            recipe->mode != MODE_CHURN)
                return refuse(error, "--stall-count is for stall, fan, latency and churn");
        if (recipe->stall_count == 0 && recipe->mode == MODE_STALL)
                return refuse(error, "stall needs a --stall-count of 1 at least; without any it is latency");
        return 0;
}

static int recipe_aim(struct recipe *recipe, char *error)
{
        int failure = target_parse(&recipe->target, recipe->url, error);
        if (failure == 0)
                failure = target_speak(&recipe->target, recipe->ws_dialect, error);
        if (failure == 0)
                failure = target_parse(&recipe->publish_target,
                                       recipe->publish_url != NULL ? recipe->publish_url : recipe->url, error);
        if (failure == 0)
                failure = target_speak(&recipe->publish_target, recipe->ws_dialect, error);
        return failure != 0 ? failure : recipe_check(recipe, error);
}

static int against_check(const struct recipe *recipe, char *error)
{
        if (recipe->against_pids.count > recipe->against.count)
                return refuse(error, "there are more --against-pid than --against");
        if (recipe->against.count == 0)
                return 0;
        if (recipe->mode == MODE_DRAIN)
                return refuse(error, "drain ends the server: --against is for the other modes");
        if (recipe->accounts != NULL || recipe->hold)
                return refuse(error, "--accounts and --hold are of one server: not with --against");
        return 0;
}

static int against_pid_parse(const char *text, int64_t *pid, char *error)
{
        double value;
        if (number_parse(text, &value) != 0 || value < 1 || value > 4194304) {
                snprintf(error, RECIPE_ERROR_BYTES, "--against-pid: '%s' is not a process id", text);
                return -EINVAL;
        }
        *pid = (int64_t)value;
        return 0;
}

int recipe_parse(struct recipe *recipe, int argc, char **argv, char error[RECIPE_ERROR_BYTES])
{
        static char url_default[] = "nats://127.0.0.1:4222";
        static char ws_dialect_default[] = "nats", attack_default[] = "half", prefix_default[] = "bench";
        *recipe = (struct recipe){
                .url = url_default,
                .ws_dialect = ws_dialect_default,
                .attack = attack_default,
                .prefix = prefix_default,
                .publishers = 1,
                .subscribers = 100,
                .subjects = 1,
                .payload_bytes = 128,
                .rate = 1000,
                .run_ns = 3 * NS_PER_S,
                .warmup_ns = NS_PER_S,
                .settle_ns = 300 * NS_PER_MS,
                .repeats = 1,
                .sample = 1,
                .cpu = -1,
                .password = getenv(PASSWORD_ENVIRONMENT) != NULL ? getenv(PASSWORD_ENVIRONMENT) : "",
                .stall_ms = 1000,
                .churn_rate = 500,
                .seed = 1,
                .read_bytes = 256 * 1024,
        };
        if (argc < 2)
                return refuse(error, "which mode? see --help");
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
                        return 1;
        int failure = mode_parse(recipe, argv[1], error);
        if (failure != 0)
                return failure;
        recipe->spin = recipe_is_open_loop(recipe) || recipe->mode == MODE_PINGPONG;
        recipe->count = recipe->mode == MODE_SUBPUB ? 1000000 : 100000;
        if (recipe->mode == MODE_CHURN) {
                recipe->subjects = 16;
                recipe->subscribers = 64;
                recipe->publishers = 2;
                recipe->rate = 50000;
                recipe->count = 10000000;
                recipe->run_ns = 300 * NS_PER_S;
        }
        if (recipe->mode == MODE_ABUSE) {
                recipe->subscribers = 5000;
                recipe->rate = 10000;
                recipe->run_ns = 10 * NS_PER_S;
        }
        if (recipe->mode == MODE_STALL) {
                recipe->rate = 20000;
                recipe->run_ns = 12 * NS_PER_S;
                recipe->stall_count = 1;
                recipe->stall_ms = 0;
                recipe->stall_room_bytes = 4096;
                recipe->stall_limit_bytes = 16 << 20;
        }
        if (recipe->mode == MODE_WILDCARD) {
                recipe->subjects = 100;
                recipe->subscribers = 1000;
                recipe->wildcard = true;
        }
        for (int i = 2; i < argc; i++) {
                if (strncmp(argv[i], "--", 2) == 0)
                        failure = option_parse(recipe, argc, argv, &i, error);
                else
                        recipe->url = argv[i];
                if (failure != 0)
                        return failure;
        }
        failure = recipe_aim(recipe, error);
        return failure != 0 ? failure : against_check(recipe, error);
}

int recipe_against(const struct recipe *recipe, size_t index, struct recipe *other, char error[RECIPE_ERROR_BYTES])
{
        assert(index < recipe->against.count);
        *other = *recipe;
        other->server_pid = 0;
        other->url = recipe->against.at[index];
        other->publish_url = strchr(other->url, ',');
        if (other->publish_url != NULL)
                *other->publish_url++ = '\0';
        if (index < recipe->against_pids.count &&
            against_pid_parse(recipe->against_pids.at[index], &other->server_pid, error) != 0)
                return -EINVAL;
        return recipe_aim(other, error);
}

void recipe_find_server(struct recipe *recipe)
{
        int pid = recipe->server_pid != 0 ? 0 : socketholder_find((const struct sockaddr *)&recipe->target.address);
        if (pid > 0)
                recipe->server_pid = pid;
}
