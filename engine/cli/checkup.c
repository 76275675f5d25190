/* checkup: the checks in the order in which they are told: the kernel, limits, the network, CPUs, memory, what is asked
 * for, the running engine, this binary. See the header. */
#include "engine/cli/checkup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/socket.h"

#define IDLE_LATENCY_US_MAX 10
#define STOLEN_SHARE_MAX 0.02
#define BUSY_SHARE_MAX 0.9
#define SWAPPINESS_MAX 10
#define RMEM_BYTES_MIN (6 * MIB)
#define WMEM_BYTES_MIN (4 * MIB) /* what a send buffer may grow to with --send-buffer 0 */

#define TUNE "scripts/tune-host apply --only "

/* ---- what a check says ---- */

__attribute__((format(printf, 3, 4))) static void say(struct finding *finding, enum verdict verdict, const char *format,
                                                      ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(finding->found, sizeof finding->found, format, arguments);
        va_end(arguments);
        finding->verdict = verdict;
}

__attribute__((format(printf, 2, 3))) static void mend(struct finding *finding, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(finding->fix, sizeof finding->fix, format, arguments);
        va_end(arguments);
}

static void unknown(struct finding *finding, const char *what)
{
        say(finding, VERDICT_SKIP, "the kernel does not tell %s here", what);
}

struct shown {
        char text[40];
};

static struct shown bytes(int64_t count)
{
        static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
        struct shown shown;
        size_t unit = 0;
        double value = (double)count;
        for (; value >= 1024 && unit + 1 < array_count(units); unit++)
                value /= 1024;
        if (count == HOSTFACT_UNLIMITED)
                strcpy(shown.text, "unlimited");
        else if (value == (double)(int64_t)value)
                snprintf(shown.text, sizeof shown.text, "%.0f %s", value, units[unit]);
        else
                snprintf(shown.text, sizeof shown.text, "%.1f %s", value, units[unit]);
        return shown;
}

static struct shown count_of(int64_t count)
{
        struct shown shown;
        if (count == HOSTFACT_UNLIMITED)
                strcpy(shown.text, "unlimited");
        else
                snprintf(shown.text, sizeof shown.text, "%" PRId64, count);
        return shown;
}

/* What tune-host has to be told for the same thresholds, where it is not what it assumes. */
static struct finding_options {
        char text[160];
} tune_options(const struct facts *facts)
{
        struct finding_options options = {""};
        size_t used = 0, room = sizeof options.text;
        if (facts->engine.conns_max != 65536)
                used += (size_t)snprintf(options.text, room, " --connections %u", facts->engine.conns_max);
        if (facts->engine.memory_bytes != GIB)
                used += (size_t)snprintf(options.text + used, room - used, " --memory %" PRIu64,
                                         facts->engine.memory_bytes);
        if (facts->engine.send_buffer_bytes != 256 * KIB)
                snprintf(options.text + used, room - used, " --send-buffer %" PRIu64, facts->engine.send_buffer_bytes);
        return options;
}

/* A number that has to be at least so much. */
static void at_least(struct finding *finding, const char *name, int64_t now, int64_t wanted, const char *only)
{
        if (now == HOSTFACT_UNKNOWN) {
                unknown(finding, name);
                return;
        }
        say(finding, now >= wanted ? VERDICT_PASS : VERDICT_WARN, "%s is %" PRId64 "%s%s", name, now,
            now >= wanted ? "" : ", wanted at least ", now >= wanted ? "" : count_of(wanted).text);
        mend(finding, TUNE "%s", only);
}

/* ---- the kernel ---- */

static void check_kernel(const struct facts *facts, struct finding *finding)
{
        unsigned major = 0, minor = 0;
        if (sscanf(facts->host.release, "%u.%u", &major, &minor) != 2) {
                unknown(finding, "its version");
                return;
        }
        bool is_old = major < 6 || (major == 6 && minor < 1);
        say(finding, is_old ? VERDICT_WARN : VERDICT_PASS, "Linux %s%s", facts->host.release,
            is_old ? ", wanted at least 6.1" : "");
        mend(finding, "boot a newer kernel: Debian 12 has 6.1");
}

static void check_io_uring(const struct facts *facts, struct finding *finding)
{
        const struct hostfacts *host = &facts->host;
        const struct enginefacts *engine = &facts->engine;
        uint32_t reactors = engine->cpus.reactors_count;
        if (!engine->wants_uring) {
                say(finding, VERDICT_SKIP, "--backend epoll was asked for");
                return;
        }
        if (engine->urings_count == reactors) {
                say(finding, VERDICT_PASS, "works, for %u reactor%s%s%s", reactors, reactors > 1 ? "s" : "",
                    engine->uring_absent_count > 0 ? "; does without " : "", engine->uring_absent);
                return;
        }
        int error = -engine->uring_error;
        const char *reason = strerror(error);
        if (error == ENOMEM && !host->may_lock_all) {
                reason = "the limit of locked memory (RLIMIT_MEMLOCK), which all processes of a user share, is used up";
                mend(finding, TUNE "limits, and log in again; in a unit: LimitMEMLOCK=infinity");
        } else if (error == EPERM && host->io_uring_disabled > 0) {
                reason = "the sysctl kernel.io_uring_disabled forbids it";
                mend(finding, TUNE "io-uring");
        } else if (error == EPERM && host->has_system_call_filter) {
                reason = "a filter of system calls (seccomp) forbids it, as containers do by default";
                mend(finding, "let the container use io_uring_setup, io_uring_enter and io_uring_register, or say "
                              "--backend epoll");
        } else if (error == ENOSYS) {
                reason = "this kernel has none, or a filter of system calls hides it";
                mend(finding, "boot a kernel with CONFIG_IO_URING, or say --backend epoll");
        } else {
                mend(finding, "say --backend epoll, or see the kernel's log: dmesg");
        }
        if (engine->urings_count == 0)
                say(finding, VERDICT_WARN, "refused: %s", reason);
        else
                say(finding, VERDICT_WARN, "%u of %u reactors get it: %s", engine->urings_count, reactors, reason);
}

static void check_locked(const struct facts *facts, struct finding *finding)
{
        const struct hostfacts *host = &facts->host;
        if (host->may_lock_all) {
                say(finding, VERDICT_PASS, "any amount may be locked (CAP_IPC_LOCK)");
                return;
        }
        if (host->locked_bytes == HOSTFACT_UNKNOWN) {
                unknown(finding, "RLIMIT_MEMLOCK");
                return;
        }
        bool is_short = facts->engine.wants_uring && facts->engine.uring_error == -ENOMEM;
        say(finding, is_short ? VERDICT_WARN : VERDICT_PASS, "%s for user %u%s", bytes(host->locked_bytes).text,
            host->user, is_short ? ", too little for the rings of all reactors" : "");
        mend(finding, TUNE "limits, and log in again; in a unit: LimitMEMLOCK=infinity");
}

static void check_clocksource(const struct facts *facts, struct finding *finding)
{
        static const char *const quick[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"};
        const char *now = facts->host.clocksource;
        bool is_quick = false;
        if (now[0] == '\0') {
                unknown(finding, "its clock source");
                return;
        }
        for (size_t i = 0; i < array_count(quick); i++)
                is_quick |= strcmp(now, quick[i]) == 0;
        is_quick &= strcmp(now, "tsc") == 0 || !facts->host.is_tsc_offered;
        say(finding, is_quick ? VERDICT_PASS : VERDICT_WARN, "%s%s", now,
            is_quick                     ? ""
            : facts->host.is_tsc_offered ? ", though tsc is offered"
                                         : ", which costs a system call, or an exit from the virtual machine");
        if (facts->host.is_tsc_offered)
                mend(finding, TUNE "clocksource");
        else
                mend(finding, "see `dmesg | grep -i tsc` for why the kernel distrusts it; in a virtual machine ask the "
                              "host for an invariant TSC");
}

static void check_time(const struct facts *facts, struct finding *finding)
{
        bool is_kept = facts->host.is_clock_synchronized;
        say(finding, is_kept ? VERDICT_PASS : VERDICT_WARN, is_kept ? "is kept" : "nobody keeps the time of day right");
        mend(finding, "apt-get install chrony, or, in a container or virtual machine, see to the host's");
}

/* ---- limits ---- */

static void check_files(const struct facts *facts, struct finding *finding)
{
        int64_t hard = facts->host.files_hard, needed = (int64_t)facts->engine.files_needed;
        struct finding_options options = tune_options(facts);
        if (hard == HOSTFACT_UNKNOWN) {
                unknown(finding, "RLIMIT_NOFILE");
                return;
        }
        bool is_short = hard < needed;
        say(finding, is_short ? VERDICT_WARN : VERDICT_PASS, "%s may be open%s%s", count_of(hard).text,
            is_short ? ", but --max-connections needs " : "", is_short ? count_of(needed).text : "");
        mend(finding, TUNE "nr-open,limits%s, and log in again; in a unit: LimitNOFILE=%" PRId64, options.text, needed);
}

static void check_nr_open(const struct facts *facts, struct finding *finding)
{
        at_least(finding, "fs.nr_open", facts->host.nr_open, (int64_t)facts->engine.files_needed, "nr-open");
        if (finding->verdict == VERDICT_WARN)
                mend(finding, TUNE "nr-open%s", tune_options(facts).text);
}

/* ---- the network ---- */

static void check_somaxconn(const struct facts *facts, struct finding *finding)
{
        at_least(finding, "net.core.somaxconn", facts->host.somaxconn, SOCKET_BACKLOG, "somaxconn");
}

static void check_syn_backlog(const struct facts *facts, struct finding *finding)
{
        at_least(finding, "net.ipv4.tcp_max_syn_backlog", facts->host.syn_backlog, SOCKET_BACKLOG, "syn-backlog");
}

static void check_syncookies(const struct facts *facts, struct finding *finding)
{
        at_least(finding, "net.ipv4.tcp_syncookies", facts->host.syncookies, 1, "syncookies");
}

static void check_send_buffer(const struct facts *facts, struct finding *finding)
{
        int64_t asked = (int64_t)facts->engine.send_buffer_bytes, wanted = asked - asked / 16;
        struct finding_options options = tune_options(facts);
        if (asked == 0) {
                at_least(finding, "net.ipv4.tcp_wmem (its last)", facts->host.wmem_last, WMEM_BYTES_MIN, "tcp-wmem");
                if (finding->verdict == VERDICT_WARN)
                        mend(finding, TUNE "tcp-wmem%s", options.text);
                return;
        }
        if (facts->host.wmem_max == HOSTFACT_UNKNOWN) {
                unknown(finding, "net.core.wmem_max");
                return;
        }
        bool is_cut = facts->host.wmem_max < wanted;
        say(finding, is_cut ? VERDICT_WARN : VERDICT_PASS, "net.core.wmem_max is %" PRId64 "%s%s", facts->host.wmem_max,
            is_cut ? ", which cuts --send-buffer " : "", is_cut ? bytes(asked).text : "");
        mend(finding, TUNE "wmem-max%s", options.text);
}

static void check_receive_window(const struct facts *facts, struct finding *finding)
{
        at_least(finding, "net.ipv4.tcp_rmem (its last)", facts->host.rmem_last, RMEM_BYTES_MIN, "tcp-rmem");
}

/* Room for an eighth of the connections to be stuck with full buffers, but no more than half of what is left. */
static void check_tcp_memory(const struct facts *facts, struct finding *finding)
{
        const struct enginefacts *engine = &facts->engine;
        int64_t now = facts->host.tcp_memory_bytes, left = facts->host.memory_bytes - (int64_t)engine->memory_bytes;
        int64_t each = 2 * (int64_t)(engine->send_buffer_bytes != 0 ? engine->send_buffer_bytes : WMEM_BYTES_MIN);
        int64_t wanted = engine->conns_max / 8 * each;
        if (now == HOSTFACT_UNKNOWN || facts->host.memory_bytes == HOSTFACT_UNKNOWN) {
                unknown(finding, "net.ipv4.tcp_mem");
                return;
        }
        if (wanted > left / 2)
                wanted = left > 0 ? left / 2 : 0;
        wanted -= wanted % sysconf(_SC_PAGESIZE); /* it is counted in pages */
        bool is_short = now < wanted;
        say(finding, is_short ? VERDICT_WARN : VERDICT_PASS,
            "%s for all connections: %" PRId64 " readers that take nothing fill it%s%s", bytes(now).text, now / each,
            is_short ? ", wanted at least " : "", is_short ? bytes(wanted).text : "");
        mend(finding, TUNE "tcp-mem%s", tune_options(facts).text);
}

static void check_tcp_memory_used(const struct facts *facts, struct finding *finding)
{
        int64_t used = facts->host.tcp_memory_used_bytes, most = facts->host.tcp_memory_bytes;
        if (used == HOSTFACT_UNKNOWN || most == HOSTFACT_UNKNOWN) {
                unknown(finding, "how much memory TCP has");
                return;
        }
        /* From the middle of the three numbers on, two thirds of the last, the kernel begins to take it back. */
        say(finding, used > most / 3 * 2 ? VERDICT_WARN : VERDICT_PASS, "%s of %s", bytes(used).text, bytes(most).text);
        mend(finding, "ss -tnm | sort -k2,3nr | head: whose queues are full; " TUNE "tcp-mem%s",
             tune_options(facts).text);
}

static void check_conntrack(const struct facts *facts, struct finding *finding)
{
        int64_t now = facts->host.conntrack_max, wanted = 2 * (int64_t)facts->engine.conns_max + 65536;
        if (now == HOSTFACT_UNKNOWN) {
                say(finding, VERDICT_PASS, "connections are not tracked");
                return;
        }
        at_least(finding, "net.netfilter.nf_conntrack_max", now, wanted, "conntrack");
        if (finding->verdict == VERDICT_WARN)
                mend(finding, TUNE "conntrack%s", tune_options(facts).text);
}

/* ---- CPUs ---- */

static void check_cpus(const struct facts *facts, struct finding *finding)
{
        const struct cpu_plan *plan = &facts->engine.cpus;
        char list[CPUS_TEXT_BYTES];
        if (plan->is_pinned && plan->granted_count < plan->reactors_count) {
                say(finding, VERDICT_WARN, "%u reactors, but the control group grants the time of %u CPU%s",
                    plan->reactors_count, plan->granted_count, plan->granted_count > 1 ? "s" : "");
                mend(finding, "--reactors %u, or raise the group's cpu.max", plan->granted_count);
                return;
        }
        if (plan->is_pinned) {
                say(finding, VERDICT_PASS, "%u reactor%s on CPU%s %s of %u", plan->reactors_count,
                    plan->reactors_count > 1 ? "s" : "", plan->reactors_count > 1 ? "s" : "",
                    cpus_text(&plan->cpus, list), plan->allowed_count);
                return;
        }
        bool is_short = plan->granted_count < plan->allowed_count;
        say(finding, strcmp(plan->reason, "--cpus none") == 0 ? VERDICT_PASS : VERDICT_WARN,
            "%u reactor%s not pinned: %s", plan->reactors_count, plan->reactors_count > 1 ? "s," : ",", plan->reason);
        if (is_short)
                mend(finding, "give the group whole CPUs (a cpuset), or name them with --cpus");
        else
                mend(finding, "ask for at most %u --reactors, or name CPUs with --cpus", plan->allowed_count);
}

static void check_siblings(const struct facts *facts, struct finding *finding)
{
        if (!facts->engine.cpus.is_pinned)
                say(finding, VERDICT_SKIP, "not pinned");
        else if (facts->host.cpus_shared_cores == 0)
                say(finding, VERDICT_PASS, "each reactor has a core of its own");
        else
                say(finding, VERDICT_PASS, "%u reactors share cores as hardware threads",
                    facts->host.cpus_shared_cores);
}

static void check_nodes(const struct facts *facts, struct finding *finding)
{
        uint32_t count = facts->host.nodes_count;
        if (!facts->engine.cpus.is_pinned || count == 0) {
                say(finding, VERDICT_SKIP, count == 0 ? "the kernel tells of no NUMA nodes" : "not pinned");
                return;
        }
        say(finding, count > 1 ? VERDICT_WARN : VERDICT_PASS, "the reactors are on %u node%s", count,
            count > 1 ? "s" : "");
        mend(finding, "name the CPUs of one node with --cpus (lscpu lists them), or run one engine on each node");
}

static void check_balancing(const struct facts *facts, struct finding *finding)
{
        if (facts->host.numa_balancing == HOSTFACT_UNKNOWN || facts->host.nodes_count < 2) {
                say(finding, VERDICT_SKIP, "one NUMA node");
                return;
        }
        bool is_on = facts->host.numa_balancing > 0;
        say(finding, is_on ? VERDICT_WARN : VERDICT_PASS, "kernel.numa_balancing is %" PRId64,
            facts->host.numa_balancing);
        mend(finding, TUNE "numa-balancing");
}

static void check_governor(const struct facts *facts, struct finding *finding)
{
        const char *governor = facts->host.governor;
        if (governor[0] == '\0') {
                say(finding, VERDICT_SKIP, "no governor to choose here");
                return;
        }
        bool is_full = strcmp(governor, "performance") == 0;
        say(finding, is_full ? VERDICT_PASS : VERDICT_WARN, "%s", governor);
        mend(finding, TUNE "governor");
}

static void check_idle_states(const struct facts *facts, struct finding *finding)
{
        int64_t latency_us = facts->host.idle_latency_us;
        if (latency_us == HOSTFACT_UNKNOWN) {
                say(finding, VERDICT_SKIP, "no idle states to choose here");
                return;
        }
        bool is_deep = latency_us > IDLE_LATENCY_US_MAX && !facts->engine.is_busy_poll;
        say(finding, is_deep ? VERDICT_WARN : VERDICT_PASS, "up to %" PRId64 " us to wake%s", latency_us,
            facts->engine.is_busy_poll ? ", but --busy-poll never sleeps" : "");
        mend(finding, TUNE "c-states");
}

static void check_virtual(const struct facts *facts, struct finding *finding)
{
        double share = facts->host.stolen_share;
        const char *what = facts->host.hypervisor[0] != '\0' ? facts->host.hypervisor : "no virtual machine";
        if (share < 0) {
                unknown(finding, "how much CPU time was stolen");
                return;
        }
        say(finding, share > STOLEN_SHARE_MAX ? VERDICT_WARN : VERDICT_PASS,
            "%.1f %% of the CPU time since boot went to others on the host (%s)", share * 100, what);
        mend(finding, "ask the host for CPUs of its own (dedicated vCPUs); what is stolen shows as latency");
}

/* ---- memory ---- */

static void check_memory(const struct facts *facts, struct finding *finding)
{
        const struct hostfacts *host = &facts->host;
        int64_t plan = (int64_t)facts->engine.memory_bytes, most = host->memory_bytes, left = host->available_bytes;
        const char *of = "the machine";
        if (most == HOSTFACT_UNKNOWN) {
                unknown(finding, "how much memory there is");
                return;
        }
        if (host->group_memory_bytes < most) {
                of = "the control group";
                most = host->group_memory_bytes;
                if (host->group_memory_used_bytes != HOSTFACT_UNKNOWN && most - host->group_memory_used_bytes < left)
                        left = most - host->group_memory_used_bytes;
        }
        enum verdict verdict = plan > most - most / 8 ? VERDICT_FAIL : plan > left ? VERDICT_WARN : VERDICT_PASS;
        say(finding, verdict, "%s for events, of %s that %s has, %s of it free", bytes(plan).text, bytes(most).text, of,
            bytes(left).text);
        mend(finding, "--memory %" PRId64 "MiB, or %s", (verdict == VERDICT_FAIL ? most : left) / 2 / (int64_t)MIB,
             of[4] == 'c' ? "raise the group's limit" : "free some");
}

static void check_swap(const struct facts *facts, struct finding *finding)
{
        if (facts->host.swap_bytes == HOSTFACT_UNKNOWN || facts->host.swappiness == HOSTFACT_UNKNOWN) {
                unknown(finding, "of swap");
                return;
        }
        if (facts->host.swap_bytes == 0) {
                say(finding, VERDICT_PASS, "none");
                return;
        }
        say(finding, facts->host.swappiness > SWAPPINESS_MAX ? VERDICT_WARN : VERDICT_PASS,
            "%s, vm.swappiness is %" PRId64, bytes(facts->host.swap_bytes).text, facts->host.swappiness);
        mend(finding, TUNE "swappiness");
}

static void check_overcommit(const struct facts *facts, struct finding *finding)
{
        int64_t now = facts->host.overcommit;
        if (now == HOSTFACT_UNKNOWN) {
                unknown(finding, "vm.overcommit_memory");
                return;
        }
        say(finding, now == 2 ? VERDICT_WARN : VERDICT_PASS, "vm.overcommit_memory is %" PRId64, now);
        mend(finding, "sysctl vm.overcommit_memory=0");
}

static void check_huge_pages(const struct facts *facts, struct finding *finding)
{
        const char *word = facts->host.transparent_huge_pages;
        if (word[0] == '\0') {
                say(finding, VERDICT_SKIP, "this kernel has no transparent huge pages");
                return;
        }
        bool is_always = strcmp(word, "always") == 0;
        say(finding, is_always ? VERDICT_WARN : VERDICT_PASS, "transparent: %s; reserved: %" PRId64, word,
            facts->host.huge_pages > 0 ? facts->host.huge_pages : 0);
        mend(finding, TUNE "thp");
}

/* ---- what is asked for ---- */

static int64_t running_pid(const struct facts *facts)
{
        return facts->engine.status == NULL ? 0 : json_integer_value(json_object_get(facts->engine.status, "pid"));
}

/* The listener that is in the worst state decides what is told. */
static void check_listeners(const struct facts *facts, struct finding *finding)
{
        const struct enginefacts *engine = &facts->engine;
        uint32_t ours = 0;
        for (uint32_t i = 0; i < engine->listeners_count; i++) {
                const struct listenerfact *one = &engine->listeners[i];
                const char *flag = one->is_admin ? "--admin" : "--listen";
                if (one->error == -EADDRINUSE && engine->status != NULL &&
                    (one->holder == 0 || one->holder == running_pid(facts))) {
                        ours++;
                        continue;
                }
                if (one->error == 0)
                        continue;
                if (one->error == -EADDRINUSE) {
                        say(finding, VERDICT_FAIL, "%s %s is held by %s", flag, one->address, one->holder_name);
                        if (one->holder != 0)
                                mend(finding, "stop it (kill %d), choose another address, or add --port-offset 10000",
                                     one->holder);
                        else
                                mend(finding, "choose another address, or add --port-offset 10000");
                } else if (one->error == -EACCES) {
                        say(finding, VERDICT_FAIL, "%s %s: this user may not have it", flag, one->address);
                        mend(finding, "choose a port from 1024 on, or a folder that it may write; in a unit: "
                                      "AmbientCapabilities=CAP_NET_BIND_SERVICE");
                } else if (one->error == -EADDRNOTAVAIL) {
                        say(finding, VERDICT_FAIL, "%s %s: no interface has this address", flag, one->address);
                        mend(finding, "name one that `ip address` lists");
                } else {
                        say(finding, VERDICT_FAIL, "%s %s: %s", flag, one->address, strerror(-one->error));
                        mend(finding, "write IPv4:PORT, [IPv6]:PORT, localhost:PORT or unix:PATH");
                }
                return;
        }
        say(finding, VERDICT_PASS, "%u address%s, %s", engine->listeners_count, engine->listeners_count > 1 ? "es" : "",
            ours == engine->listeners_count ? "held by the running engine"
            : ours > 0                      ? "free, or held by the running engine"
                                            : "free");
}

static void check_access(const struct facts *facts, struct finding *finding)
{
        const struct enginefacts *engine = &facts->engine;
        if (engine->users_path[0] == '\0') {
                say(finding, VERDICT_PASS, "everyone on this machine may come in, and nobody else");
                return;
        }
        if (engine->users_error != 0) {
                say(finding, VERDICT_FAIL, "%s: %s", engine->users_path, strerror(-engine->users_error));
                mend(finding, "chown it to the engine's user, or name another with --users");
                return;
        }
        bool is_writable = (engine->users_mode & 022) != 0, is_readable = (engine->users_mode & 004) != 0;
        say(finding,
            is_writable   ? VERDICT_FAIL
            : is_readable ? VERDICT_WARN
                          : VERDICT_PASS,
            "%s has mode %04o%s", engine->users_path, engine->users_mode,
            is_writable   ? ": others may write it"
            : is_readable ? ": everyone may read the hashes"
                          : "");
        mend(finding, "chmod g-w,o= %s, whose owner or group is the engine's user", engine->users_path);
}

/* ---- the running engine ---- */

/* Counters are named "name" or "name{labels}"; one name's labels are added up. */
static int64_t counter(const struct facts *facts, const char *name)
{
        const char *key;
        json_t *value;
        int64_t sum = 0;
        size_t size = strlen(name);
        json_object_foreach(json_object_get(facts->engine.status, "counters"), key, value)
        {
                if (strncmp(key, name, size) == 0 && (key[size] == '\0' || key[size] == '{' || name[size - 1] == '}'))
                        sum += json_integer_value(value);
        }
        return sum;
}

static bool is_running(const struct facts *facts, struct finding *finding)
{
        if (facts->engine.status != NULL)
                return true;
        say(finding, VERDICT_SKIP, "no engine to ask");
        return false;
}

static void check_engine(const struct facts *facts, struct finding *finding)
{
        const json_t *status = facts->engine.status;
        if (facts->engine.admin[0] == '\0') {
                say(finding, VERDICT_SKIP, "--admin none: it cannot be asked");
                return;
        }
        if (status == NULL) {
                say(finding, VERDICT_SKIP, "none answers: %s", facts->engine.status_error);
                return;
        }
        const char *version = json_string_value(json_object_get(status, "version"));
        bool is_draining = json_is_true(json_object_get(status, "draining"));
        bool is_other = version == NULL || strcmp(version, SPATE_VERSION) != 0;
        say(finding, is_draining || is_other ? VERDICT_WARN : VERDICT_PASS,
            "version %.40s, pid %" PRId64 ", up %.0f s%s%s", version == NULL ? "unknown" : version, running_pid(facts),
            json_number_value(json_object_get(status, "uptime_seconds")), is_draining ? ", draining" : "",
            is_other ? "; this binary is " SPATE_VERSION : "");
        mend(finding, is_draining ? "start another one" : "restart it, with this binary");
}

static void check_backend(const struct facts *facts, struct finding *finding)
{
        if (!is_running(facts, finding))
                return;
        const json_t *backend = json_object_get(facts->engine.status, "backend");
        const char *name = json_string_value(json_object_get(backend, "name"));
        const char *reason = json_string_value(json_object_get(backend, "reason"));
        bool is_fallback = reason != NULL && reason[0] != '\0';
        say(finding, is_fallback ? VERDICT_WARN : VERDICT_PASS, "%.40s%s%.100s", name != NULL ? name : "unknown",
            is_fallback ? ": " : "", is_fallback ? reason : "");
        mend(finding, "see io-uring and locked-memory above, as the engine's user, and restart it");
}

static void check_watermark(const struct facts *facts, struct finding *finding)
{
        static const char *const steps[] = {"below every mark", "above 75 %: who takes nothing is cut off sooner",
                                            "above 85 %: nobody new comes in", "above 92 %: the slowest are cut off"};
        if (!is_running(facts, finding))
                return;
        const json_t *reactor;
        int64_t highest = 0;
        size_t i;
        json_array_foreach((json_t *)json_object_get(facts->engine.status, "reactors"), i, reactor)
        {
                int64_t step = json_integer_value(json_object_get(reactor, "watermark"));
                highest = step > highest ? step : highest;
        }
        if (highest >= (int64_t)array_count(steps))
                highest = (int64_t)array_count(steps) - 1;
        say(finding,
            highest >= 2  ? VERDICT_FAIL
            : highest > 0 ? VERDICT_WARN
                          : VERDICT_PASS,
            "%s of %s, %s", bytes(counter(facts, "stream_memory_bytes")).text,
            bytes(counter(facts, "stream_memory_limit_bytes")).text, steps[highest]);
        mend(finding, "spate losses names the slow ones; raise --memory or lower --max-lag");
}

static void check_losses(const struct facts *facts, struct finding *finding)
{
        if (!is_running(facts, finding))
                return;
        int64_t lost = counter(facts, "deliveries_dropped"), owed = counter(facts, "deliveries_matched");
        say(finding, lost > 0 ? VERDICT_WARN : VERDICT_PASS, "%" PRId64 " of %" PRId64 " deliveries were not made",
            lost, owed);
        mend(finding, "spate losses --admin %s", facts->engine.admin);
}

static void check_pending(const struct facts *facts, struct finding *finding)
{
        if (!is_running(facts, finding))
                return;
        int64_t pending = counter(facts, "deliveries_pending"), cut = counter(facts, "connections_closed{reason=\"slow_"
                                                                                     "consumer\"}");
        say(finding, cut > 0 ? VERDICT_WARN : VERDICT_PASS,
            "%" PRId64 " deliveries on their way, %" PRId64 " readers cut off since the start", pending, cut);
        mend(finding, "curl 'http://%s/connections?sort=pending&limit=10' lists who is furthest behind",
             facts->engine.admin);
}

static void check_bans(const struct facts *facts, struct finding *finding)
{
        if (!is_running(facts, finding))
                return;
        int64_t banned = counter(facts, "connections_closed{reason=\"banned\"}"),
                refused = counter(facts, "logins{result=\"refused\"}");
        say(finding, banned > 0 ? VERDICT_WARN : VERDICT_PASS,
            "%" PRId64 " logins refused, %" PRId64 " connections of banned addresses closed", refused, banned);
        mend(finding, "its log names them (event=address_banned); kill -HUP %" PRId64 " lets everyone in again",
             running_pid(facts));
}

static void check_shortages(const struct facts *facts, struct finding *finding)
{
        static const struct {
                const char *counter, *what, *fix;
        } rows[] = {
                {"accepts_refused", "connections closed for want of a slot or a descriptor",
                 "raise --max-connections and the limit of open files"},
                {"receive_buffers_short", "times without a free receive buffer", "raise --receive-buffers"},
                {"publishers_held", "times that a publisher waited for a full mailbox", "raise --mailbox"},
        };
        if (!is_running(facts, finding))
                return;
        for (size_t i = 0; i < array_count(rows); i++) {
                int64_t count = counter(facts, rows[i].counter);
                if (count == 0)
                        continue;
                say(finding, VERDICT_WARN, "%" PRId64 " %s", count, rows[i].what);
                mend(finding, "%s", rows[i].fix);
                return;
        }
        say(finding, VERDICT_PASS, "none of slots, descriptors, receive buffers and mailboxes");
}

static void check_busy(const struct facts *facts, struct finding *finding)
{
        const json_t *reactor;
        double busiest = 0;
        size_t i, which = 0;
        if (!is_running(facts, finding))
                return;
        double up_ns = json_number_value(json_object_get(facts->engine.status, "uptime_seconds")) * 1e9;
        json_array_foreach((json_t *)json_object_get(facts->engine.status, "reactors"), i, reactor)
        {
                double share = up_ns <= 0 ? 0 : json_number_value(json_object_get(reactor, "busy_ns")) / up_ns;
                if (share > busiest) {
                        busiest = share;
                        which = i;
                }
        }
        busiest = busiest > 1 ? 1 : busiest;
        bool is_full = busiest > BUSY_SHARE_MAX && !facts->engine.is_busy_poll;
        say(finding, is_full ? VERDICT_WARN : VERDICT_PASS,
            "reactor %zu was at work %.0f %% of the time since the start", which, busiest * 100);
        mend(finding, "more --reactors; what is on one connection stays on one reactor");
}

/* ---- this binary ---- */

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SANITIZER "the address sanitizer"
#elif defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define SANITIZER "the thread sanitizer"
#else
#define SANITIZER ""
#endif
#ifdef SPATE_SLOW_ASSERTS
#define SLOW_ASSERTS ", slow assertions"
#else
#define SLOW_ASSERTS ""
#endif
#ifdef __OPTIMIZE__
#define OPTIMIZED ""
#else
#define OPTIMIZED ", not optimized"
#endif

static void check_binary(const struct facts *facts, struct finding *finding)
{
        (void)facts;
        bool is_slow = SANITIZER[0] != '\0' || SLOW_ASSERTS[0] != '\0' || OPTIMIZED[0] != '\0';
        say(finding, is_slow ? VERDICT_WARN : VERDICT_PASS, "spate %s, assertions on%s%s%s%s", SPATE_VERSION,
            SANITIZER[0] != '\0' ? ", with " : "", SANITIZER, SLOW_ASSERTS, OPTIMIZED);
        mend(finding, "meson setup build-release && ninja -C build-release");
}

/* ---- the table ---- */

const struct checkup_row checkup_rows[] = {
        {"kernel", check_kernel, "what io_uring can do, and how cheap it is, depends on the kernel"},
        {"io-uring", check_io_uring, "without it the engine uses epoll: the same service, more system calls"},
        {"locked-memory", check_locked, "io_uring's rings count as locked memory of the user, about 1.4 MiB a reactor"},
        {"clocksource", check_clocksource, "every turn reads the clock"},
        {"time", check_time, "the ledger and the log say when; two machines should agree on that"},
        {"open-files", check_files, "each connection is a descriptor; what is missing is cut off --max-connections"},
        {"nr-open", check_nr_open, "no limit of open files can be raised above it"},
        {"somaxconn", check_somaxconn, "when everybody reconnects at once, who does not fit waits a second or more"},
        {"syn-backlog", check_syn_backlog, "half-open connections, when everybody reconnects at once"},
        {"syncookies", check_syncookies, "a flood of SYNs keeps clients out"},
        {"send-buffer", check_send_buffer, "what the network takes at once from a subscriber's stream"},
        {"receive-window", check_receive_window, "how fast a publisher on a long path can send"},
        {"tcp-memory", check_tcp_memory, "past it the kernel takes buffers from everybody, also from who keeps up"},
        {"tcp-in-use", check_tcp_memory_used, "when it runs short, sockets are writable and take nothing"},
        {"conntrack", check_conntrack, "a full table drops packets of everybody"},
        {"cpus", check_cpus, "a reactor that is moved about finds its memory cold"},
        {"siblings", check_siblings, "two hardware threads of a core do less than two cores"},
        {"numa", check_nodes, "an event for a reactor on another node crosses the slower link"},
        {"numa-balancing", check_balancing, "costs page faults; the reactors' memory is local already"},
        {"governor", check_governor, "a CPU that sleeps between batches is clocked down"},
        {"idle-states", check_idle_states, "waking costs as much as an event's whole way"},
        {"stolen-time", check_virtual, "what others take is missing in the worst moment"},
        {"memory", check_memory, "past it the kernel kills the engine"},
        {"swap", check_swap, "a stream in swap stops its reactor"},
        {"overcommit", check_overcommit, "2 counts address space that is only set aside as if it were used"},
        {"huge-pages", check_huge_pages, "with always, a small stream may take 2 MiB"},
        {"listeners", check_listeners, "the engine has to get its addresses"},
        {"access", check_access, "who may come in"},
        {"engine", check_engine, "what runs now"},
        {"backend", check_backend, "who moves its bytes"},
        {"watermark", check_watermark, "when memory runs short, somebody is cut off"},
        {"losses", check_losses, "every delivery that was owed and not made is in the ledger"},
        {"lag", check_pending, "a reader that falls too far behind is cut off, or skips"},
        {"bans", check_bans, "somebody tries passwords, or has a wrong one"},
        {"shortages", check_shortages, "something was set too small for what comes"},
        {"busy", check_busy, "a reactor without rest makes everyone on it wait"},
        {"binary", check_binary, "a build for tests is several times slower"},
};
const size_t checkup_rows_count = array_count(checkup_rows);

void checkup_look(const struct checkup_row *row, const struct facts *facts, struct finding *finding)
{
        *finding = (struct finding){.verdict = VERDICT_SKIP};
        row->check(facts, finding);
        if (finding->verdict == VERDICT_PASS || finding->verdict == VERDICT_SKIP)
                finding->fix[0] = '\0';
        assert(finding->found[0] != '\0');
}

const char *verdict_name(enum verdict verdict)
{
        static const char *const names[VERDICTS] = {"PASS", "SKIP", "WARN", "FAIL"};
        return names[verdict];
}
