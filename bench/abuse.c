/* abuse: see abuse.h. One thread, one epoll; a connection's life is a few states, and by a schedule that waits for
 * nobody the next one begins. */
#include "bench/abuse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/clock.h"

#define TRICKLE_NS (500 * NS_PER_MS) /* between two bytes of one that never ends its hello */
#define LINGER_NS (2 * NS_PER_S)     /* one that came and hears nothing goes after that */
#define OPEN_RATE 20000              /* of those that stay: so many a second, as a server takes them */
#define WAIT_MS 1

struct attacker {
        int fd; /* -1: gone */
        bool is_open, is_old;
        uint64_t began_ns, next_ns;
};

struct abuse {
        const struct recipe *recipe;
        bool is_half;
        int epoll_fd;
        struct attacker *attackers;
        uint32_t *free_indices;
        uint64_t attackers_max, free_count;
        uint64_t started, opened, answered, refused, failed, skipped, cut, left;
        uint64_t last_cut_ns;
        struct latency connects; /* until the connection stands */
        struct latency lives;    /* until the server ended it */
};

void abuse_choose_source(const struct target *target, int fd, uint64_t number, uint64_t hosts)
{
        if (hosts == 0 || target->address.ss_family != AF_INET)
                return;
        uint32_t host = 0x7f000100u + (uint32_t)(number % hosts) + 1;
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
        int one = 1;
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (const struct sockaddr *)&in, sizeof(in)) != 0)
                errno = 0; /* then from where everybody comes */
}

static void attacker_end(struct abuse *abuse, struct attacker *attacker)
{
        struct linger reset = {.l_onoff = 1};
        /* A reset, so that no port of ours waits for a minute. */
        setsockopt(attacker->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(attacker->fd);
        attacker->fd = -1;
        abuse->free_indices[abuse->free_count++] = (uint32_t)(attacker - abuse->attackers);
}

static void attacker_start(struct abuse *abuse, uint64_t intended_ns)
{
        const struct target *target = &abuse->recipe->target;
        abuse->started++;
        if (abuse->free_count == 0) {
                abuse->skipped++;
                return;
        }
        struct attacker *attacker = &abuse->attackers[abuse->free_indices[--abuse->free_count]];
        *attacker = (struct attacker){.began_ns = intended_ns, .next_ns = UINT64_MAX};
        attacker->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (attacker->fd < 0) {
                abuse->failed++;
                abuse->free_count++;
                return;
        }
        abuse_choose_source(target, attacker->fd, abuse->started, abuse->recipe->login_hosts);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = attacker};
        if ((connect(attacker->fd, (const struct sockaddr *)&target->address, target->address_bytes) != 0 &&
             errno != EINPROGRESS && errno != EAGAIN) ||
            epoll_ctl(abuse->epoll_fd, EPOLL_CTL_ADD, attacker->fd, &event) != 0) {
                abuse->failed++;
                attacker_end(abuse, attacker);
        }
}

/* The connection stands. */
static void attacker_open(struct abuse *abuse, struct attacker *attacker, uint64_t now_ns)
{
        static const char half[] = "CONNECT {\"verbose\":false,\"name\":\"";
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = attacker};
        attacker->is_open = true;
        abuse->opened++;
        latency_record(&abuse->connects, now_ns - attacker->began_ns);
        epoll_ctl(abuse->epoll_fd, EPOLL_CTL_MOD, attacker->fd, &event);
        if (abuse->is_half)
                (void)send(attacker->fd, half, sizeof(half) - 1, MSG_NOSIGNAL);
        attacker->next_ns = now_ns + (abuse->is_half ? TRICKLE_NS : LINGER_NS);
        /* Its life at the server begins here. */
        attacker->began_ns = now_ns;
}

/* Something came, or the end did. */
static void attacker_hear(struct abuse *abuse, struct attacker *attacker, uint64_t now_ns)
{
        char text[2048];
        ssize_t got = recv(attacker->fd, text, sizeof(text), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (got > 0) {
                abuse->answered += !attacker->is_old;
                attacker->is_old = true;
                if (abuse->is_half)
                        return;
                abuse->left++;
        } else if (!attacker->is_open) {
                abuse->refused++;
        } else {
                abuse->cut++;
                abuse->last_cut_ns = now_ns;
                latency_record(&abuse->lives, now_ns - attacker->began_ns);
        }
        attacker_end(abuse, attacker);
}

/* Whose time has come: a byte more, or away. */
static void attackers_tick(struct abuse *abuse, uint64_t now_ns)
{
        for (uint64_t i = 0; i < abuse->attackers_max; i++) {
                struct attacker *attacker = &abuse->attackers[i];
                if (attacker->fd < 0 || now_ns < attacker->next_ns)
                        continue;
                attacker->next_ns = now_ns + TRICKLE_NS;
                if (abuse->is_half) {
                        (void)send(attacker->fd, "x", 1, MSG_NOSIGNAL); /* its end is heard of where we listen */
                } else {
                        abuse->left++;
                        attacker_end(abuse, attacker);
                }
        }
}

static void abuse_serve(struct abuse *abuse)
{
        struct epoll_event events[512];
        int count = epoll_wait(abuse->epoll_fd, events, (int)array_count(events), WAIT_MS);
        uint64_t now_ns = clock_monotonic_ns();
        for (int i = 0; i < count; i++) {
                struct attacker *attacker = events[i].data.ptr;
                if (!attacker->is_open && (events[i].events & (EPOLLOUT | EPOLLERR)) == EPOLLOUT)
                        attacker_open(abuse, attacker, now_ns);
                if (attacker->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                        attacker_hear(abuse, attacker, now_ns);
        }
}

static void abuse_load(struct abuse *abuse)
{
        const struct recipe *recipe = abuse->recipe;
        uint64_t start_ns = clock_monotonic_ns(), until_ns = start_ns + recipe->run_ns, ticked_ns = start_ns;
        double apart_ns = 1e9 / (double)(abuse->is_half ? OPEN_RATE : recipe->rate);
        uint64_t count = abuse->is_half ? recipe->subscribers : UINT64_MAX;
        for (uint64_t now_ns = start_ns; now_ns < until_ns; now_ns = clock_monotonic_ns()) {
                for (uint64_t burst = 0; burst < 256 && abuse->started < count; burst++) {
                        uint64_t next_ns = start_ns + (uint64_t)((double)abuse->started * apart_ns);
                        if (next_ns > now_ns)
                                break;
                        attacker_start(abuse, next_ns);
                }
                abuse_serve(abuse);
                if (now_ns - ticked_ns >= 10 * NS_PER_MS) {
                        ticked_ns = now_ns;
                        attackers_tick(abuse, now_ns);
                }
                if (abuse->started >= count && abuse->free_count == abuse->attackers_max)
                        break; /* nobody is left */
        }
}

static void abuse_report(const struct abuse *abuse, double seconds, struct report *report)
{
        report_number(report, "seconds", seconds);
        report_number(report, "connects", (double)abuse->started);
        report_number(report, "connects_per_s", (double)abuse->started / seconds);
        report_number(report, "opened", (double)abuse->opened);
        report_number(report, "opened_per_s", (double)abuse->opened / seconds);
        report_number(report, "answered", (double)abuse->answered);
        report_number(report, "refused", (double)abuse->refused);
        report_number(report, "failed", (double)abuse->failed);
        report_number(report, "skipped", (double)abuse->skipped);
        report_number(report, "ended_by_server", (double)abuse->cut);
        report_number(report, "left", (double)abuse->left);
        report_number(report, "open_at_end", (double)(abuse->attackers_max - abuse->free_count));
        report_number(report, "connect_p50_us", (double)latency_at(&abuse->connects, 0.50) / 1e3);
        report_number(report, "connect_p99_us", (double)latency_at(&abuse->connects, 0.99) / 1e3);
        report_number(report, "life_p50_s", (double)latency_at(&abuse->lives, 0.50) / 1e9);
        report_number(report, "life_max_s", (double)latency_at(&abuse->lives, 1.0) / 1e9);
}

int abuse_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct abuse *abuse = calloc(1, sizeof(*abuse));
        if (abuse == NULL)
                abort();
        abuse->recipe = recipe;
        abuse->is_half = strcmp(recipe->attack, "half") == 0;
        abuse->attackers_max = abuse->is_half ? recipe->subscribers : 8192;
        abuse->attackers = calloc(abuse->attackers_max, sizeof(struct attacker));
        abuse->free_indices = calloc(abuse->attackers_max, sizeof(uint32_t));
        abuse->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (abuse->attackers == NULL || abuse->free_indices == NULL || abuse->epoll_fd < 0)
                abort();
        for (uint64_t i = 0; i < abuse->attackers_max; i++) {
                abuse->attackers[i].fd = -1;
                abuse->free_indices[abuse->free_count++] = (uint32_t)(abuse->attackers_max - 1 - i);
        }
        uint64_t start_ns = clock_monotonic_ns();
        abuse_load(abuse);
        abuse_report(abuse, (double)(clock_monotonic_ns() - start_ns) / 1e9, report);
        int failure = abuse->opened > 0 ? BENCH_OK : BENCH_UNREACHABLE;
        if (failure != BENCH_OK)
                snprintf(error, 512, "nobody let us in: of %llu connections none was opened",
                         (unsigned long long)abuse->started);
        for (uint64_t i = 0; i < abuse->attackers_max; i++)
                if (abuse->attackers[i].fd >= 0)
                        close(abuse->attackers[i].fd);
        close(abuse->epoll_fd);
        free(abuse->attackers);
        free(abuse->free_indices);
        free(abuse);
        return failure;
}
