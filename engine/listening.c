/* listening: see the header. What is wrong with an address is told before anything is bound, where that can be seen. */
#include "engine/listening.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/portholder.h"
#include "engine/settings.h"
#include "io/address.h"

#define ALL_REACTORS UINT_MAX

/* One address of --listen, or that of --admin. */
struct listening {
        const struct settings *settings;
        size_t row, item;                   /* who asks for it */
        const char *asked;                  /* as it stands there */
        unsigned number;                    /* its reactor, or ALL_REACTORS */
        char address[IO_ADDRESS_BYTES_MAX]; /* without "@3", with the port offset */
};

static bool is_loopback(const char *address)
{
        return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
               strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

static bool is_unix(const char *address)
{
        return strncmp(address, "unix:", 5) == 0;
}

/* "HOST:PORT" with `offset` added to a port other than 0; what is no port stays as it is, and is refused as that. */
static void with_offset(const char *address, uint64_t offset, char out[IO_ADDRESS_BYTES_MAX])
{
        const char *colon = strrchr(address, ':');
        size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
        bool is_port = digits > 0 && digits <= strlen("65535") && colon[1 + digits] == '\0';
        unsigned long port = is_port ? strtoul(colon + 1, NULL, 10) : 0;
        if (is_unix(address) || port == 0 || offset == 0)
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%s", address);
        else
                snprintf(out, IO_ADDRESS_BYTES_MAX, "%.*s:%lu", (int)(colon - address), address,
                         port + (unsigned long)offset);
}

__attribute__((format(printf, 3, 4))) static int refuse(const struct listening *listening,
                                                        char error[OPTIONS_ERROR_BYTES], const char *format, ...)
{
        const struct options *options = &listening->settings->options;
        char called[OPTIONS_ORIGIN_BYTES], why[OPTIONS_ERROR_BYTES];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, sizeof why, format, arguments);
        va_end(arguments);
        return options_refuse(options, listening->row, listening->item, error, "%s %s: %s",
                              options_called(options, listening->row, called), listening->address, why);
}

/* Cuts "@3" off the end of an address. Where digits end it, that is what they mean, in a path as well. 0 or -EINVAL. */
static int cut_reactor(struct listening *listening, char address[IO_ADDRESS_BYTES_MAX], char error[OPTIONS_ERROR_BYTES])
{
        char *at = strrchr(address, '@');
        unsigned reactors_count = listening->settings->cpus.reactors_count;
        listening->number = is_unix(address) ? 0 : ALL_REACTORS;
        if (at == NULL || at[1] == '\0' || at[1 + strspn(at + 1, "0123456789")] != '\0')
                return 0;
        unsigned long asked = strtoul(at + 1, NULL, 10);
        if (asked >= reactors_count)
                return refuse(listening, error,
                              "there is no reactor %s; the last of %u is %u; name one of them, or ask for more "
                              "--reactors",
                              at + 1, reactors_count, reactors_count - 1);
        *at = '\0';
        listening->number = (unsigned)asked;
        return 0;
}

static int listening_init(struct listening *listening, const struct settings *settings, size_t row, size_t item,
                          const char *asked, char error[OPTIONS_ERROR_BYTES])
{
        char address[IO_ADDRESS_BYTES_MAX];
        struct io_address parsed;
        bool is_admin = row == OPTION_ADMIN;
        *listening = (struct listening){.settings = settings, .row = row, .item = item, .asked = asked};
        snprintf(address, sizeof address, "%s", asked);
        snprintf(listening->address, sizeof listening->address, "%s", asked);
        int failed = is_admin ? 0 : cut_reactor(listening, address, error);
        if (failed != 0)
                return failed;
        with_offset(address, options_number(&settings->options, OPTION_PORT_OFFSET), listening->address);
        const char *colon = strrchr(listening->address, ':');
        bool names_host = colon != NULL && colon != listening->address; /* else it is no address, which is told below */
        if (names_host && !is_loopback(listening->address) && (is_admin || !settings->has_users)) {
                refuse(listening, error,
                       is_admin ? "the admin address asks nobody who he is, and listens on loopback only (127.0.0.1, "
                                  "[::1], unix:PATH)"
                                : "without users this server listens on loopback only (127.0.0.1, [::1], unix:PATH), "
                                  "where nobody else can reach it; name them with --users FILE, or in "
                                  "auth of the configuration");
                return -EPERM;
        }
        if (strlen(asked) >= sizeof address || address_parse(listening->address, &parsed) != 0)
                return refuse(listening, error,
                              "not an address; write IPv4:PORT, [IPv6]:PORT or localhost:PORT with a port up to 65535 "
                              "(--port-offset is in it), or unix:PATH with at most 107 bytes of path");
        return 0;
}

/* Calls `use` for each address in the order of --listen, and for the admin's last. */
static int listening_walk(const struct settings *settings,
                          int (*use)(const struct listening *listening, void *context, char error[OPTIONS_ERROR_BYTES]),
                          void *context, char error[OPTIONS_ERROR_BYTES])
{
        struct listening listening;
        const char *admin = options_text(&settings->options, OPTION_ADMIN);
        char *list = strdup(options_text(&settings->options, OPTION_LISTEN)), *rest = list;
        int failed = list == NULL ? -ENOMEM : 0;
        size_t item = 0;
        for (char *asked; failed == 0 && (asked = strsep(&rest, ",")) != NULL; item++) {
                failed = listening_init(&listening, settings, OPTION_LISTEN, item, asked, error);
                if (failed == 0)
                        failed = use(&listening, context, error);
        }
        free(list);
        if (failed != 0 || strcmp(admin, "none") == 0)
                return failed;
        failed = listening_init(&listening, settings, OPTION_ADMIN, 0, admin, error);
        return failed != 0 ? failed : use(&listening, context, error);
}

struct listening_told {
        void (*tell)(const char *address, bool is_admin, void *context);
        void *context;
};

static int listening_tell(const struct listening *listening, void *context, char error[OPTIONS_ERROR_BYTES])
{
        const struct listening_told *told = context;
        (void)error;
        told->tell(listening->address, listening->row == OPTION_ADMIN, told->context);
        return 0;
}

void listening_each(const struct settings *settings, void (*tell)(const char *address, bool is_admin, void *context),
                    void *context)
{
        char unused[OPTIONS_ERROR_BYTES];
        listening_walk(settings, listening_tell, &(struct listening_told){tell, context}, unused);
}

/* ---- checking ---- */

#define SAME_PORT "this server has that port already, by another --listen or --admin; give each a port of its own"

struct listening_seen {
        size_t count;
        char addresses[REACTOR_LISTENERS_MAX][IO_ADDRESS_BYTES_MAX];
};

static bool has_any_port(const char *address)
{
        size_t size = strlen(address);
        return !is_unix(address) && size >= 2 && strcmp(address + size - 2, ":0") == 0;
}

static int listening_look(const struct listening *listening, void *context, char error[OPTIONS_ERROR_BYTES])
{
        struct listening_seen *seen = context;
        for (size_t i = 0; i < seen->count; i++)
                if (strcmp(seen->addresses[i], listening->address) == 0 && !has_any_port(listening->address))
                        return refuse(listening, error, SAME_PORT);
        if (seen->count == REACTOR_LISTENERS_MAX)
                return refuse(listening, error, "there are %d addresses already, which is as many as there may be",
                              REACTOR_LISTENERS_MAX);
        strcpy(seen->addresses[seen->count++], listening->address);
        return 0;
}

int listening_check(const struct settings *settings, char error[OPTIONS_ERROR_BYTES])
{
        struct listening_seen seen = {0};
        return listening_walk(settings, listening_look, &seen, error);
}

/* ---- listening ---- */

/* On one reactor, or on all: the kernel gives each connection to one of them. */
static int crew_listen(struct crew *crew, const struct listening *listening, const struct peer_protocol *protocol,
                       char bound[IO_ADDRESS_BYTES_MAX])
{
        unsigned number = listening->number;
        if (number != ALL_REACTORS || crew_count(crew) == 1)
                return reactor_listen(crew_reactor(crew, number != ALL_REACTORS ? number : 0), listening->address,
                                      protocol, bound);
        int failed = reactor_listen_shared(crew_reactor(crew, 0), listening->address, IO_SHARED_FIRST, protocol, bound);
        for (unsigned i = 1; failed == 0 && i < crew_count(crew); i++) {
                char same[IO_ADDRESS_BYTES_MAX];
                failed = reactor_listen_shared(crew_reactor(crew, i), bound, IO_SHARED_JOINS, protocol, same);
        }
        return failed;
}

static int tell_failed(const struct listening *listening, int failed, char error[OPTIONS_ERROR_BYTES])
{
        char holder[128], me[32];
        snprintf(me, sizeof me, "(pid %ld)", (long)getpid());
        if (failed == -EADDRINUSE && is_unix(listening->address))
                refuse(listening, error,
                       "a running server listens there, or it is a file that is no socket; stop that server, or "
                       "choose another path");
        else if (failed == -EADDRINUSE &&
                 strstr(portholder_name(listening->address, holder, sizeof holder), me) != NULL)
                refuse(listening, error, SAME_PORT);
        else if (failed == -EADDRINUSE)
                refuse(listening, error,
                       "the port is held by %s; stop that, choose another address, or add --port-offset 10000", holder);
        else
                refuse(listening, error, "%s", strerror(-failed));
        return failed;
}

struct listening_start {
        struct crew *crew;
        struct listening_bound *bound;
};

static int listening_bind(const struct listening *listening, void *context, char error[OPTIONS_ERROR_BYTES])
{
        const struct listening_start *start = context;
        struct crew *crew = start->crew;
        bool is_admin = listening->row == OPTION_ADMIN;
        const struct peer_protocol *protocol = is_admin ? &admin_protocol : &session_protocol;
        char bound[IO_ADDRESS_BYTES_MAX];
        for (unsigned i = 0; i < crew_count(crew) && !is_admin; i++)
                crew_reactor(crew, i)->listen_number = (uint8_t)listening->item; /* no more than fit */
        int failed = crew_listen(crew, listening, protocol, bound);
        if (failed != 0)
                return tell_failed(listening, failed, error);
        if (listening->number != ALL_REACTORS && crew_count(crew) > 1)
                log_info("listening", "address=%s protocol=%s reactor=%u", bound, protocol->name, listening->number);
        else
                log_info("listening", "address=%s protocol=%s", bound, protocol->name);
        if (is_admin)
                strcpy(start->bound->admin, bound);
        else if (start->bound->nats[0] == '\0')
                strcpy(start->bound->nats, bound);
        return 0;
}

int listening_start(struct crew *crew, const struct settings *settings, struct listening_bound *bound,
                    char error[OPTIONS_ERROR_BYTES])
{
        struct listening_start start = {.crew = crew, .bound = bound};
        *bound = (struct listening_bound){0};
        error[0] = '\0';
        int failed = listening_walk(settings, listening_bind, &start, error);
        if (failed == -ENOMEM && error[0] == '\0')
                snprintf(error, OPTIONS_ERROR_BYTES, "cannot listen: no memory is left");
        return failed;
}
