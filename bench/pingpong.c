/* pingpong: see pingpong.h. */
#include "bench/pingpong.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/link.h"
#include "bench/usage.h"
#include "engine/base/clock.h"

#define ASK_SUBJECT "bench.ask"
#define ANSWER_SUBJECT "_INBOX.bench.answer"
#define ANSWER_NS_MAX (2 * NS_PER_S)
#define FRAME_ROOM (256 + (1 << 20) + 2)
#define LOOP_SILENCE_NS (10 * NS_PER_S)

struct span_marks {
        uint64_t now_ns;
        uint64_t own_cpu_ns;
        struct usage server;
};

static void marks_read(const struct recipe *recipe, struct span_marks *marks)
{
        *marks = (struct span_marks){.now_ns = clock_monotonic_ns(), .own_cpu_ns = usage_own_cpu_ns()};
        if (recipe->server_pid != 0)
                usage_read((int)recipe->server_pid, &marks->server);
}

static void marks_report(const struct recipe *recipe, const struct span_marks *from, const struct span_marks *to,
                         double loops, struct report *report)
{
        double seconds = (double)(to->now_ns - from->now_ns) / 1e9;
        report_number(report, "seconds", seconds);
        report_number(report, "loops_per_s", seconds > 0 ? loops / seconds : 0);
        report_number(report, "client_load", (double)(to->own_cpu_ns - from->own_cpu_ns) / 1e9 / seconds);
        if (recipe->server_pid == 0)
                return;
        double server_s = (double)(to->server.cpu_ns - from->server.cpu_ns) / 1e9;
        report_number(report, "server_load", server_s / seconds);
        report_number(report, "loops_per_server_cpu_s", server_s > 0 ? loops / server_s : 0);
}

/* The four ends of a round trip. A RESP subscriber may not publish, so the ends are four connections there, two else.
 */
struct table {
        struct link links[4];
        struct link *ask_out, *ask_in, *answer_out, *answer_in;
        struct latency latency;
        uint8_t ask[FRAME_ROOM], answer[FRAME_ROOM];
        size_t ask_bytes, answer_bytes;
        size_t stamp_at_ask, stamp_at_answer;
};

static int table_open(struct table *table, const struct recipe *recipe, char *error)
{
        bool two = recipe->target.protocol == PROTOCOL_NATS;
        for (int i = 0; i < (two ? 2 : 4); i++) {
                int failure = link_open(&table->links[i], recipe, error);
                if (failure != 0)
                        return failure;
        }
        table->answer_in = &table->links[0];
        table->ask_in = &table->links[1];
        table->ask_out = &table->links[two ? 0 : 2];
        table->answer_out = &table->links[two ? 1 : 3];
        int failure = link_subscribe(table->answer_in, ANSWER_SUBJECT, error);
        return failure != 0 ? failure : link_subscribe(table->ask_in, ASK_SUBJECT, error);
}

static void table_render(struct table *table, const struct recipe *recipe)
{
        struct shape shape;
        enum protocol protocol = recipe->target.protocol;
        uint32_t payload_bytes = (uint32_t)recipe->payload_bytes;
        shape_publish(&shape, protocol, ANSWER_SUBJECT, payload_bytes);
        table->answer_bytes = shape_render(&shape, table->answer, 1);
        table->stamp_at_answer = shape.header_bytes;
        /* Over NATS the question names its inbox, as a request does. */
        shape_publish(&shape, protocol, protocol == PROTOCOL_NATS ? ASK_SUBJECT " " ANSWER_SUBJECT : ASK_SUBJECT,
                      payload_bytes);
        table->ask_bytes = shape_render(&shape, table->ask, 2);
        table->stamp_at_ask = shape.header_bytes;
}

/* Waits for the message whose stamp is `word`; older ones are passed over. 1, 0 (lost), or -errno. */
static int message_wait(struct link *link, uint64_t word, bool spin)
{
        uint64_t until_ns = clock_monotonic_ns() + ANSWER_NS_MAX;
        struct unit unit;
        for (;;) {
                int got = link_wait(link, &unit, spin, until_ns);
                if (got <= 0)
                        return got;
                if (unit.kind == UNIT_ERROR)
                        return -EREMOTEIO;
                if (unit.kind == UNIT_MESSAGE && unit.body.size >= STAMP_BYTES &&
                    memcmp(unit.body.bytes, &word, sizeof(word)) == 0)
                        return 1;
        }
}

static int round_trip(struct table *table, uint64_t word, bool spin)
{
        memcpy(table->ask + table->stamp_at_ask, &word, sizeof(word));
        memcpy(table->answer + table->stamp_at_answer, &word, sizeof(word));
        int failure = link_write(table->ask_out, table->ask, table->ask_bytes);
        if (failure != 0)
                return failure;
        int got = message_wait(table->ask_in, word, spin);
        if (got <= 0)
                return got;
        failure = link_write(table->answer_out, table->answer, table->answer_bytes);
        return failure != 0 ? failure : message_wait(table->answer_in, word, spin);
}

static int table_play(struct table *table, const struct recipe *recipe, struct report *report, char *error)
{
        uint64_t warmup = recipe->count / 10 < 1000 ? recipe->count / 10 : 1000;
        uint64_t lost = 0;
        struct span_marks from = {0}, to;
        for (uint64_t i = 0; i < warmup + recipe->count; i++) {
                if (i == warmup)
                        marks_read(recipe, &from);
                uint64_t start_ns = clock_monotonic_ns();
                int got = round_trip(table, i + 1, recipe->spin);
                if (got < 0) {
                        snprintf(error, LINK_ERROR_BYTES, "round trip %llu: %s", (unsigned long long)i, strerror(-got));
                        return BENCH_FAILED;
                }
                if (got == 0 && ++lost == 5) {
                        snprintf(error, LINK_ERROR_BYTES, "round trip %llu: five went without an answer",
                                 (unsigned long long)i);
                        return BENCH_FAILED;
                }
                if (i >= warmup && got != 0)
                        latency_record(&table->latency, clock_monotonic_ns() - start_ns);
        }
        marks_read(recipe, &to);
        report_text(report, "mode", mode_names[recipe->mode]);
        report_text(report, "address", recipe->target.text);
        report_number(report, "payload_bytes", (double)recipe->payload_bytes);
        report_number(report, "loops", (double)recipe->count);
        report_number(report, "lost", (double)lost);
        marks_report(recipe, &from, &to, (double)recipe->count, report);
        report_latency(report, &table->latency);
        if (lost == 0)
                return BENCH_OK;
        snprintf(error, LINK_ERROR_BYTES, "%llu round trips went without an answer", (unsigned long long)lost);
        return BENCH_FAILED;
}

int pingpong_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct table *table = calloc(1, sizeof(*table));
        if (table == NULL)
                abort();
        for (size_t i = 0; i < array_count(table->links); i++)
                table->links[i].fd = -1;
        table_render(table, recipe);
        int failure = table_open(table, recipe, error);
        if (failure == 0)
                failure = table_play(table, recipe, report, error);
        for (size_t i = 0; i < array_count(table->links); i++)
                link_close(&table->links[i]);
        free(table);
        return failure;
}

/* One connection of subpub: its segment is under way until the PONG comes. */
struct loop {
        struct link link;
        uint64_t word;
        uint64_t came; /* how often the event of this segment came back */
        uint64_t sent_ns;
        bool is_busy;
};

struct loops {
        const struct recipe *recipe;
        struct loop *loops;
        int epoll_fd;
        uint64_t started, finished;
        uint64_t lost, duplicated, stray;
        struct latency latency;
};

static int loop_send(struct loops *loops, struct loop *loop)
{
        char text[512];
        uint64_t number = loops->started++;
        size_t index = (size_t)(loop - loops->loops);
        loop->word = number + 1;
        loop->came = 0;
        loop->is_busy = true;
        int size =
                snprintf(text, sizeof(text), "SUB bench.loop.%zu.%llu %llu\r\nPUB bench.loop.%zu.%llu 16\r\n", index,
                         (unsigned long long)number, (unsigned long long)number + 1, index, (unsigned long long)number);
        struct stamp stamp = {.word = loop->word};
        memcpy(text + size, &stamp, sizeof(stamp));
        size += (int)sizeof(stamp);
        size += snprintf(text + size, sizeof(text) - (size_t)size, "\r\nUNSUB %llu\r\nPING\r\n",
                         (unsigned long long)number + 1);
        loop->sent_ns = clock_monotonic_ns();
        return link_write(&loop->link, text, (size_t)size);
}

static void loop_finish(struct loops *loops, struct loop *loop)
{
        loops->finished++;
        loop->is_busy = false;
        if (loop->came == 0)
                loops->lost++;
        else
                loops->duplicated += loop->came - 1;
        latency_record(&loops->latency, clock_monotonic_ns() - loop->sent_ns);
}

/* Serves what has come on one connection. 0 or -errno. */
static int loop_serve(struct loops *loops, struct loop *loop)
{
        struct unit unit;
        for (;;) {
                int got = link_take(&loop->link, &unit);
                if (got <= 0)
                        return got;
                if (unit.kind == UNIT_ERROR)
                        return -EREMOTEIO;
                if (unit.kind == UNIT_MESSAGE) {
                        if (unit.body.size == STAMP_BYTES &&
                            memcmp(unit.body.bytes, &loop->word, sizeof(loop->word)) == 0)
                                loop->came++;
                        else
                                loops->stray++;
                } else if (unit.kind == UNIT_PONG && loop->is_busy) {
                        loop_finish(loops, loop);
                        if (loops->started < loops->recipe->count) {
                                int failure = loop_send(loops, loop);
                                if (failure != 0)
                                        return failure;
                        }
                }
        }
}

static int loops_play(struct loops *loops, char *error)
{
        const struct recipe *recipe = loops->recipe;
        int failure = 0;
        for (uint64_t i = 0; i < recipe->subscribers && loops->started < recipe->count && failure == 0; i++)
                failure = loop_send(loops, &loops->loops[i]);
        uint64_t finished_ns = clock_monotonic_ns();
        while (failure == 0 && loops->finished < recipe->count) {
                struct epoll_event events[256];
                uint64_t finished = loops->finished;
                int count = epoll_wait(loops->epoll_fd, events, 256, recipe->spin ? 0 : 100);
                for (int i = 0; i < count && failure == 0; i++)
                        failure = loop_serve(loops, events[i].data.ptr);
                if (loops->finished != finished)
                        finished_ns = clock_monotonic_ns();
                else if (clock_monotonic_ns() - finished_ns > LOOP_SILENCE_NS)
                        failure = -ETIMEDOUT;
        }
        if (failure == 0)
                return BENCH_OK;
        snprintf(error, LINK_ERROR_BYTES, "after %llu loops: %s", (unsigned long long)loops->finished,
                 strerror(-failure));
        return BENCH_FAILED;
}

static int loops_open(struct loops *loops, char *error)
{
        for (uint64_t i = 0; i < loops->recipe->subscribers; i++) {
                struct loop *loop = &loops->loops[i];
                int failure = link_open(&loop->link, loops->recipe, error);
                if (failure != 0)
                        return failure;
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = loop};
                if (epoll_ctl(loops->epoll_fd, EPOLL_CTL_ADD, loop->link.fd, &event) != 0) {
                        snprintf(error, LINK_ERROR_BYTES, "epoll_ctl: %s", strerror(errno));
                        return BENCH_FAILED;
                }
        }
        return BENCH_OK;
}

int subpub_run(const struct recipe *recipe, struct report *report, char error[512])
{
        struct loops *loops = calloc(1, sizeof(*loops));
        struct loop *array = calloc(recipe->subscribers, sizeof(*array));
        if (loops == NULL || array == NULL)
                abort();
        for (uint64_t i = 0; i < recipe->subscribers; i++)
                array[i].link.fd = -1;
        loops->recipe = recipe;
        loops->loops = array;
        loops->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        int failure = loops_open(loops, error);
        if (failure == BENCH_OK) {
                struct span_marks from, to;
                marks_read(recipe, &from);
                failure = loops_play(loops, error);
                marks_read(recipe, &to);
                report_text(report, "mode", mode_names[recipe->mode]);
                report_text(report, "address", recipe->target.text);
                report_number(report, "connections", (double)recipe->subscribers);
                report_number(report, "loops", (double)loops->finished);
                report_number(report, "lost", (double)loops->lost);
                report_number(report, "duplicated", (double)loops->duplicated);
                report_number(report, "stray", (double)loops->stray);
                marks_report(recipe, &from, &to, (double)loops->finished, report);
                report_latency(report, &loops->latency);
        }
        if (failure == BENCH_OK && loops->lost + loops->duplicated + loops->stray != 0) {
                failure = BENCH_FAILED;
                snprintf(error, LINK_ERROR_BYTES, "%llu loops lost their event, %llu had it twice, %llu had another's",
                         (unsigned long long)loops->lost, (unsigned long long)loops->duplicated,
                         (unsigned long long)loops->stray);
        }
        for (uint64_t i = 0; i < recipe->subscribers; i++)
                link_close(&array[i].link);
        close(loops->epoll_fd);
        free(array);
        free(loops);
        return failure;
}
