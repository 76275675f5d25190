/* enginefacts: see the header. */
#include "engine/cli/enginefacts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/socketholder.h"
#include "engine/cli/adminlink.h"
#include "engine/listening.h"
#include "engine/portholder.h"
#include "io/address.h"

/* ---- what is asked for ---- */

static void read_plan(struct enginefacts *facts, const struct settings *settings)
{
        const struct reactor_settings *reactor = &settings->reactor;
        facts->cpus = settings->cpus;
        facts->conns_max = reactor->conns_max;
        facts->files_needed = settings_descriptors(settings);
        facts->memory_bytes = settings->cpus.reactors_count * reactor->memory_bytes;
        facts->send_buffer_bytes = reactor->io.send_buffer_bytes;
        facts->is_busy_poll = reactor->busy_poll;
        facts->wants_uring = reactor->io.backend != IO_BACKEND_EPOLL;
}

/* Has the rings of all reactors at once, since they are paid from one account, and gives them back. */
static void read_urings(struct enginefacts *facts, const struct settings *settings)
{
        struct io *rings[MATCH_REACTORS_MAX];
        struct io_settings wanted = settings->reactor.io;
        wanted.backend = IO_BACKEND_URING;
        wanted.conns_max = settings->reactor.conns_max;
        while (facts->urings_count < facts->cpus.reactors_count) {
                facts->uring_error = io_start(&rings[facts->urings_count], &wanted);
                if (facts->uring_error != 0)
                        break;
                facts->urings_count++;
        }
        size_t count = 0, used = 0;
        const struct io_feature *features = facts->urings_count > 0 ? io_features(rings[0], &count) : NULL;
        for (size_t i = 0; i < count; i++) {
                if (features[i].present)
                        continue;
                int size = snprintf(facts->uring_absent + used, sizeof facts->uring_absent - used, "%s%s (Linux %s)",
                                    used > 0 ? ", " : "", features[i].name, features[i].kernel);
                used += (size_t)size < sizeof facts->uring_absent - used ? (size_t)size : 0;
                facts->uring_absent_count++;
        }
        for (uint32_t i = 0; i < facts->urings_count; i++)
                io_stop(rings[i]);
}

/* ---- addresses ---- */

/* Nothing is removed or made: a path that is taken may be a socket that nobody serves any more. */
static int try_path(const char *path, const struct io_address *address)
{
        struct stat status;
        char folder[IO_ADDRESS_BYTES_MAX];
        if (lstat(path, &status) == 0) {
                int fd = S_ISSOCK(status.st_mode) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
                bool is_left =
                        fd >= 0 && connect(fd, address_socket(address), address->size) != 0 && errno == ECONNREFUSED;
                if (fd >= 0)
                        close(fd);
                if (!is_left)
                        return -EADDRINUSE;
        }
        snprintf(folder, sizeof folder, "%s", path);
        char *slash = strrchr(folder, '/');
        if (slash != NULL)
                slash[slash == folder] = '\0';
        return access(slash == NULL ? "." : folder, W_OK | X_OK) == 0 ? 0 : -errno;
}

static int try_port(const struct io_address *address)
{
        int fd = socket(address_family(address), SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, error = 0;
        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, address_socket(address), address->size) != 0 || listen(fd, 1) != 0)
                error = -errno;
        close(fd);
        return error;
}

static void try_listener(struct listenerfact *fact)
{
        struct io_address address;
        fact->error = address_parse(fact->address, &address);
        if (fact->error != 0)
                return;
        if (strncmp(fact->address, "unix:", 5) == 0)
                fact->error = try_path(fact->address + 5, &address);
        else
                fact->error = try_port(&address);
        if (fact->error != -EADDRINUSE)
                return;
        int holder = socketholder_find(address_socket(&address));
        fact->holder = holder > 0 ? holder : 0;
        portholder_name(fact->address, fact->holder_name, sizeof fact->holder_name);
}

static void read_listener(const char *address, bool is_admin, void *context)
{
        struct enginefacts *facts = context;
        assert(facts->listeners_count < ENGINEFACT_LISTENERS_MAX); /* settings have been checked */
        struct listenerfact *fact = &facts->listeners[facts->listeners_count++];
        snprintf(fact->address, sizeof fact->address, "%s", address);
        fact->is_admin = is_admin;
        if (is_admin)
                strcpy(facts->admin, fact->address);
        try_listener(fact);
}

/* ---- the running engine ---- */

static void read_status(struct enginefacts *facts, uint64_t timeout_ns)
{
        struct endpoint endpoint;
        struct adminlink link;
        struct span body = {0};
        json_error_t unused;
        char error[ENDPOINT_ERROR_BYTES];
        int status = 0;
        if (endpoint_parse(&endpoint, facts->admin, "http://", "8222", error) != 0) {
                snprintf(facts->status_error, sizeof facts->status_error, "%.200s", error);
                return;
        }
        adminlink_init(&link, &endpoint, timeout_ns, timeout_ns);
        if (adminlink_ask(&link, "/status") != 0 || adminlink_wait(&link, &status, &body) != 0)
                snprintf(facts->status_error, sizeof facts->status_error, "%.200s", link.error);
        else if (status == 200)
                facts->status = json_loadb((const char *)body.bytes, body.size, 0, &unused);
        if (!json_is_object(json_object_get(facts->status, "counters"))) {
                json_decref(facts->status);
                facts->status = NULL;
                if (facts->status_error[0] == '\0')
                        snprintf(facts->status_error, sizeof facts->status_error,
                                 "%s answers, but not as an engine does", facts->admin);
        }
        adminlink_fini(&link);
}

/* ---- all of it ---- */

static void read_users(struct enginefacts *facts, const char *path)
{
        struct stat status;
        snprintf(facts->users_path, sizeof facts->users_path, "%s", path);
        if (path[0] == '\0')
                return;
        if (stat(path, &status) != 0 || access(path, R_OK) != 0)
                facts->users_error = -errno;
        else
                facts->users_mode = status.st_mode & 07777;
}

void enginefacts_read(struct enginefacts *facts, const struct settings *settings, const char *users_path,
                      uint64_t timeout_ns)
{
        *facts = (struct enginefacts){0};
        read_plan(facts, settings);
        if (facts->wants_uring)
                read_urings(facts, settings);
        listening_each(settings, read_listener, facts);
        read_users(facts, users_path);
        if (facts->admin[0] != '\0')
                read_status(facts, timeout_ns);
}

void enginefacts_fini(struct enginefacts *facts)
{
        json_decref(facts->status);
        facts->status = NULL;
}
