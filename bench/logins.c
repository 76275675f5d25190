/* logins: see logins.h. */
#include "bench/logins.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/abuse.h"
#include "engine/base/clock.h"

#define ATTEMPTS_MAX 4096 /* that wait at a time */
#define LOOK_NS (200 * NS_PER_US)
#define ANSWER_BYTES 2048 /* INFO and an error */

struct attempt {
        int fd; /* -1: free */
        bool has_asked;
        bool is_refused;
        uint32_t answer_bytes;
        uint64_t intended_ns;
        char answer[ANSWER_BYTES];
};

struct logins {
        const struct recipe *recipe;
        int epoll_fd;
        char hello[CONNECT_BYTES_MAX + 16];
        struct attempt *attempts;
        uint32_t *free_indices;
        uint64_t free_count;
        uint64_t start_ns, looked_ns;
        uint64_t started;
        uint64_t refused;  /* told so, and closed */
        uint64_t accepted; /* let in, the one answer that must not be */
        uint64_t silent;   /* closed without a word */
        uint64_t reset;    /* the same, with a reset */
        uint64_t failed;   /* no connection */
        uint64_t skipped;  /* not begun: too many were waiting */
        struct latency latency;
};

struct logins *logins_new(const struct recipe *recipe)
{
        struct logins *logins = calloc(1, sizeof(*logins));
        struct recipe wrong = *recipe;
        static char nobody[] = "nobody";
        if (logins == NULL)
                abort();
        logins->recipe = recipe;
        logins->attempts = calloc(ATTEMPTS_MAX, sizeof(struct attempt));
        logins->free_indices = calloc(ATTEMPTS_MAX, sizeof(uint32_t));
        logins->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (logins->attempts == NULL || logins->free_indices == NULL || logins->epoll_fd < 0)
                abort();
        for (uint32_t i = 0; i < ATTEMPTS_MAX; i++) {
                logins->attempts[i].fd = -1;
                logins->free_indices[logins->free_count++] = i;
        }
        if (wrong.user == NULL)
                wrong.user = nobody;
        wrong.password = "this is not the password";
        recipe_write_connect(&wrong, logins->hello);
        strcat(logins->hello, "PING\r\n");
        return logins;
}

static void attempt_end(struct logins *logins, struct attempt *attempt)
{
        close(attempt->fd);
        attempt->fd = -1;
        logins->free_indices[logins->free_count++] = (uint32_t)(attempt - logins->attempts);
}

void logins_free(struct logins *logins)
{
        if (logins == NULL)
                return;
        for (uint32_t i = 0; i < ATTEMPTS_MAX; i++)
                if (logins->attempts[i].fd >= 0)
                        close(logins->attempts[i].fd);
        close(logins->epoll_fd);
        free(logins->attempts);
        free(logins->free_indices);
        free(logins);
}

static void attempt_start(struct logins *logins, uint64_t intended_ns)
{
        const struct target *target = &logins->recipe->target;
        logins->started++;
        if (logins->free_count == 0) {
                logins->skipped++;
                return;
        }
        struct attempt *attempt = &logins->attempts[logins->free_indices[--logins->free_count]];
        attempt->has_asked = attempt->is_refused = false;
        attempt->answer_bytes = 0;
        attempt->intended_ns = intended_ns;
        attempt->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (attempt->fd < 0) {
                logins->failed++;
                logins->free_count++;
                return;
        }
        /* Each from an address of its own, as attackers come. */
        abuse_choose_source(target, attempt->fd, logins->started, logins->recipe->login_hosts);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = attempt};
        if ((connect(attempt->fd, (const struct sockaddr *)&target->address, target->address_bytes) != 0 &&
             errno != EINPROGRESS) ||
            epoll_ctl(logins->epoll_fd, EPOLL_CTL_ADD, attempt->fd, &event) != 0) {
                logins->failed++;
                attempt_end(logins, attempt);
        }
}

static void attempt_ask(struct logins *logins, struct attempt *attempt)
{
        size_t size = strlen(logins->hello);
        if (send(attempt->fd, logins->hello, size, MSG_NOSIGNAL) != (ssize_t)size) {
                logins->failed++;
                attempt_end(logins, attempt);
                return;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = attempt};
        attempt->has_asked = true;
        epoll_ctl(logins->epoll_fd, EPOLL_CTL_MOD, attempt->fd, &event);
}

/* Reads on until the server closes: an attacker does not save it the trouble. Only who is let in closes himself. */
static void attempt_hear(struct logins *logins, struct attempt *attempt, uint64_t now_ns)
{
        size_t room = ANSWER_BYTES - 1 - attempt->answer_bytes;
        ssize_t got = recv(attempt->fd, attempt->answer + attempt->answer_bytes, room, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (got > 0) {
                attempt->answer_bytes += (uint32_t)got;
                attempt->answer[attempt->answer_bytes] = '\0';
                if (!attempt->is_refused && strstr(attempt->answer, "-ERR ") != NULL) {
                        attempt->is_refused = true;
                        latency_record(&logins->latency, now_ns - attempt->intended_ns);
                }
                if (attempt->is_refused || strstr(attempt->answer, "PONG") == NULL)
                        return;
                logins->accepted++;
        } else if (attempt->is_refused) {
                logins->refused++;
        } else if (got < 0) {
                logins->reset++;
        } else {
                logins->silent++;
        }
        attempt_end(logins, attempt);
}

void logins_turn(struct logins *logins, uint64_t now_ns)
{
        struct epoll_event events[128];
        if (logins->start_ns == 0)
                logins->start_ns = now_ns;
        if (now_ns - logins->looked_ns < LOOK_NS)
                return;
        logins->looked_ns = now_ns;
        double apart_ns = 1e9 / (double)logins->recipe->login_rate;
        for (;;) {
                uint64_t next_ns = logins->start_ns + (uint64_t)((double)logins->started * apart_ns);
                if (next_ns > now_ns)
                        break;
                attempt_start(logins, next_ns);
        }
        int count = epoll_wait(logins->epoll_fd, events, (int)array_count(events), 0);
        for (int i = 0; i < count; i++) {
                struct attempt *attempt = events[i].data.ptr;
                if (!attempt->has_asked && (events[i].events & EPOLLOUT) != 0)
                        attempt_ask(logins, attempt);
                if (attempt->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                        attempt_hear(logins, attempt, now_ns);
        }
}

void logins_report(const struct logins *logins, struct report *report)
{
        report_number(report, "logins", (double)logins->started);
        report_number(report, "logins_refused", (double)logins->refused);
        report_number(report, "logins_accepted", (double)logins->accepted);
        report_number(report, "logins_silent", (double)logins->silent);
        report_number(report, "logins_reset", (double)logins->reset);
        report_number(report, "logins_failed", (double)logins->failed);
        report_number(report, "logins_skipped", (double)logins->skipped);
        report_number(report, "logins_waiting", (double)(ATTEMPTS_MAX - logins->free_count));
        report_number(report, "login_answer_p50_us", (double)latency_at(&logins->latency, 0.50) / 1e3);
        report_number(report, "login_answer_p99_us", (double)latency_at(&logins->latency, 0.99) / 1e3);
}
