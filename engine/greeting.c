/* greeting: see the header. */
#include "engine/greeting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_unix(const char *address)
{
        return strncmp(address, "unix:", 5) == 0;
}

static bool is_everywhere(const char *bound)
{
        return strncmp(bound, "0.0.0.0:", 8) == 0 || strncmp(bound, "[::]:", 5) == 0;
}

void greeting_address(char address[GREETING_ADDRESS_BYTES], const char *bound, const char *host)
{
        const char *loopback = bound[0] == '[' ? "[::1]" : "127.0.0.1";
        if (is_everywhere(bound))
                snprintf(address, GREETING_ADDRESS_BYTES, "%s%s", host != NULL ? host : loopback, strrchr(bound, ':'));
        else
                snprintf(address, GREETING_ADDRESS_BYTES, "%s", bound);
}

/* By the first listener, whose address is shown. */
static bool may_come(const struct user *user)
{
        return (user->listeners & 1) != 0;
}

const struct user *greeting_user(const struct users *users)
{
        const struct user *found = NULL;
        const struct user *unasked = users != NULL ? users_no_auth(users) : NULL;
        if (users == NULL || (unasked != NULL && may_come(unasked)))
                return NULL;
        for (uint32_t i = 0; i < users_count(users); i++) {
                const struct user *user = users_at(users, i);
                if (user->is_token || !may_come(user))
                        continue;
                if (user->permissions == NULL)
                        return user;
                found = found != NULL ? found : user;
        }
        return found;
}

/* " --user NAME", as a shell reads it. */
static void print_user(FILE *out, const struct user *user)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@";
        const char *name = user != NULL ? (const char *)user->name.bytes : "";
        if (user == NULL)
                return;
        if (name[strspn(name, plain)] == '\0') {
                fprintf(out, " --user %s", name);
                return;
        }
        fputs(" --user '", out);
        for (; *name != '\0'; name++)
                fputs(*name == '\'' ? "'\\''" : (char[]){*name, '\0'}, out);
        fputc('\'', out);
}

static void print_lines(const struct users *users, const char *nats, const char *admin, FILE *out)
{
        const char *me = program_invocation_name;
        const struct user *user = greeting_user(users);
        bool is_asked = users != NULL && (users_no_auth(users) == NULL || !may_come(users_no_auth(users)));
        fprintf(out, "\ntry it, in another terminal:\n");
        if (user != NULL)
                fprintf(out, "  export SPATE_PASSWORD=...    # the password of %s\n", (const char *)user->name.bytes);
        else if (is_asked)
                fprintf(out, "  export SPATE_TOKEN=...       # a token of the users file\n");
        fprintf(out, "  %s sub --server %s", me, nats);
        print_user(out, user);
        fprintf(out, " 'demo.>'\n  %s pub --server %s", me, nats);
        print_user(out, user);
        fprintf(out, " demo.hello 'hello, world'\n");
        if (admin[0] != '\0')
                fprintf(out, "  %s status --admin %s\n", me, admin);
        if (is_unix(admin))
                fprintf(out, "  curl --unix-socket %s http://localhost/metrics\n", admin + 5);
        else if (admin[0] != '\0')
                fprintf(out, "  curl http://%s/metrics\n", admin);
}

void greeting_print(struct crew *crew, const struct users *users, const char *nats, const char *admin, void *out)
{
        const struct reactor *reactor = crew_reactor(crew, 0);
        char address[GREETING_ADDRESS_BYTES], host[128] = "";
        bool has_host = gethostname(host, sizeof host - 1) == 0 && host[0] != '\0';
        fprintf(out, "spate %s: %s, %u reactor%s, pid %ld\n\n", SPATE_VERSION, io_traits(reactor->io)->name,
                crew_count(crew), crew_count(crew) > 1 ? "s" : "", (long)getpid());
        reactor_print_plan(&reactor->settings, reactor->cores, out);
        greeting_address(address, nats, NULL);
        print_lines(users, address, admin, out);
        greeting_address(address, nats, has_host ? host : NULL);
        if (is_unix(nats))
                fprintf(out, "a NATS client that can use a UNIX socket: %s\n\n", nats + 5);
        else
                fprintf(out, "any NATS client: nats://%s\n\n", address);
        fflush(out);
}
