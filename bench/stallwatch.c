/* stallwatch: see stallwatch.h. */
#include "bench/stallwatch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/accounts.h"
#include "bench/farend.h"
#include "engine/base/clock.h"

#define TICK_NS (5 * NS_PER_MS)
#define LOOKS_A_TICK 32 /* a look is some microseconds: 2 % of the generator's core */
#define MEMORY_TICKS 20 /* the whole machine's figure, less often */

struct instant {
        uint64_t now_ns;
        uint64_t published;
};

struct stalled {
        uint64_t taken_bytes;
        uint64_t memory_bytes_max;
        uint64_t ended_ns; /* 0: it still stands */
        uint16_t port;     /* ours: what the server calls its peer */
};

struct stallwatch {
        const struct crowd *crowd;
        int farend_fd;
        struct stalled *stalled;
        uint64_t stalled_count;
        uint64_t next; /* whom to look at */
        uint64_t tick_ns;
        uint64_t ticks;
        struct instant *history;
        uint64_t history_count, history_room;
        uint64_t tcp_bytes_before, tcp_bytes_max;
};

struct stallwatch *stallwatch_new(const struct crowd *crowd)
{
        struct stallwatch *watch = calloc(1, sizeof(*watch));
        if (watch == NULL)
                return NULL;
        watch->crowd = crowd;
        watch->stalled_count = crowd->recipe->stall_count;
        watch->stalled = calloc(watch->stalled_count, sizeof(struct stalled));
        watch->farend_fd = farend_open();
        watch->tcp_bytes_before = watch->tcp_bytes_max = farend_tcp_memory_bytes();
        if (watch->stalled == NULL || watch->farend_fd < 0) {
                stallwatch_free(watch);
                return NULL;
        }
        for (uint64_t i = 0; i < watch->stalled_count; i++)
                watch->stalled[i].port = accounts_port(crowd->subscribers[i].fd);
        return watch;
}

void stallwatch_free(struct stallwatch *watch)
{
        if (watch == NULL)
                return;
        if (watch->farend_fd >= 0)
                close(watch->farend_fd);
        free(watch->history);
        free(watch->stalled);
        free(watch);
}

static void history_add(struct stallwatch *watch, uint64_t now_ns)
{
        if (watch->history_count == watch->history_room) {
                watch->history_room = watch->history_room == 0 ? 4096 : 2 * watch->history_room;
                watch->history = realloc(watch->history, watch->history_room * sizeof(struct instant));
                if (watch->history == NULL)
                        abort();
        }
        watch->history[watch->history_count++] = (struct instant){now_ns, watch->crowd->published};
}

static void stalled_look(struct stallwatch *watch, uint64_t index, uint64_t now_ns)
{
        struct stalled *stalled = &watch->stalled[index];
        const struct member *member = &watch->crowd->subscribers[index];
        struct farend farend;
        if (stalled->ended_ns != 0)
                return;
        int failure = member->state == MEMBER_READY ? farend_read(watch->farend_fd, member->fd, &farend) : -ENOENT;
        if (failure == -ENOENT || (failure == 0 && !farend.is_open)) {
                stalled->ended_ns = now_ns;
        } else if (failure == 0) {
                stalled->taken_bytes = farend.taken_bytes;
                if (farend.memory_bytes > stalled->memory_bytes_max)
                        stalled->memory_bytes_max = farend.memory_bytes;
        }
}

void stallwatch_turn(struct stallwatch *watch, uint64_t now_ns)
{
        if (now_ns < watch->tick_ns)
                return;
        watch->tick_ns = now_ns + TICK_NS;
        history_add(watch, now_ns);
        uint64_t looks = watch->stalled_count < LOOKS_A_TICK ? watch->stalled_count : LOOKS_A_TICK;
        for (uint64_t i = 0; i < looks; i++) {
                stalled_look(watch, watch->next, now_ns);
                watch->next = (watch->next + 1) % watch->stalled_count;
        }
        if (watch->ticks++ % MEMORY_TICKS == 0) {
                uint64_t tcp_bytes = farend_tcp_memory_bytes();
                if (tcp_bytes > watch->tcp_bytes_max)
                        watch->tcp_bytes_max = tcp_bytes;
        }
}

/* When so many events had been published; 0 when they never were. In a straight line between two ticks. */
static uint64_t published_ns(const struct stallwatch *watch, uint64_t events)
{
        for (uint64_t i = 1; i < watch->history_count; i++) {
                const struct instant *from = &watch->history[i - 1], *to = &watch->history[i];
                if (to->published < events)
                        continue;
                double share = (double)(events - from->published) / (double)(to->published - from->published);
                return from->now_ns + (uint64_t)(share * (double)(to->now_ns - from->now_ns));
        }
        return 0;
}

/* When this one was `limit` bytes behind. Its greetings are among the taken bytes: some hundred, so a few events too
 * late, which is in the server's favour by microseconds. */
static uint64_t behind_ns(const struct stallwatch *watch, const struct stalled *stalled)
{
        uint64_t frame_bytes = watch->crowd->delivery_shapes[0].frame_bytes;
        uint64_t limit_bytes = watch->crowd->recipe->stall_limit_bytes;
        uint64_t events = (stalled->taken_bytes + limit_bytes) / frame_bytes + 1;
        return limit_bytes == 0 ? 0 : published_ns(watch, events * watch->crowd->recipe->subjects);
}

void stallwatch_report(struct stallwatch *watch, struct report *report)
{
        uint64_t memory_max = 0, memory_sum = 0, taken_sum = 0, ended = 0, behind = 0;
        uint64_t first_ns = UINT64_MAX, last_ns = 0;
        struct accounts *accounts = accounts_open(watch->crowd->recipe->accounts);
        for (uint64_t i = 0; i < watch->stalled_count; i++) {
                const struct stalled *stalled = &watch->stalled[i];
                uint64_t fell_ns = behind_ns(watch, stalled);
                memory_sum += stalled->memory_bytes_max;
                taken_sum += stalled->taken_bytes;
                memory_max = stalled->memory_bytes_max > memory_max ? stalled->memory_bytes_max : memory_max;
                ended += stalled->ended_ns != 0;
                if (fell_ns != 0) {
                        behind++;
                        first_ns = fell_ns < first_ns ? fell_ns : first_ns;
                        last_ns = fell_ns > last_ns ? fell_ns : last_ns;
                }
                accounts_row(accounts, "{\"port\":%u,\"behind_ns\":%llu,\"ended_ns\":%llu,\"taken_bytes\":%llu}",
                             stalled->port, (unsigned long long)fell_ns, (unsigned long long)stalled->ended_ns,
                             (unsigned long long)stalled->taken_bytes);
        }
        accounts_close(accounts);
        double count = (double)watch->stalled_count;
        report_number(report, "stalled_kernel_bytes_max", (double)memory_max);
        report_number(report, "stalled_kernel_bytes_mean", (double)memory_sum / count);
        report_number(report, "stalled_taken_bytes_mean", (double)taken_sum / count);
        report_number(report, "tcp_memory_bytes_before", (double)watch->tcp_bytes_before);
        report_number(report, "tcp_memory_bytes_max", (double)watch->tcp_bytes_max);
        report_number(report, "stalled_ended", (double)ended);
        report_number(report, "stalled_behind", (double)behind);
        if (behind != 0) {
                report_number(report, "first_behind_monotonic_s", (double)first_ns / 1e9);
                report_number(report, "last_behind_monotonic_s", (double)last_ns / 1e9);
        }
}
