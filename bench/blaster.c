/* blaster: the physical limit. How many deliveries a second of one core's time can a bare send() loop hand to the
 * kernel's loopback TCP, when every send carries `send-bytes`?
 *
 *      log:   | f f f f f f f f | f f f f f f f f | ...      each round stamps the next frames once
 *                                                            and sends the same bytes to every connection
 *      core 0: send() send() send() ...      core 1: a sink that reads and forgets, or spate bench sub
 *
 * The sink may be `window-bytes` a connection behind, as a closed loop's subscribers may be.
 * Nothing else happens on the sending core: no input, no matching, no bookkeeping. Whatever a server reaches at the
 * same bytes a send can be told as a share of this. With --serve the connections come from outside, greeted the NATS
 * way, which tells how much the load generator itself can take. */
#include <ck_pr.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/shape.h"
#include "engine/base/clock.h"

#define LOG_BYTES_MIN                                                                                                  \
        (4 * 1024 * 1024) /* as large as a stream that keeps some history, so the cache works as there                 \
                           */
#define SINK_BYTES (256 * 1024)

struct blaster {
        uint64_t connections;
        uint64_t send_bytes;
        uint64_t size;
        uint64_t window_bytes; /* of one connection, on average */
        double seconds;
        double warmup;
        int64_t cpu;
        int64_t sink_cpu;
        uint64_t serve_port; /* 0: a sink of our own */
        bool is_unix;
        bool json;

        int *fds;
        struct shape shape;
        uint8_t *log;
        uint64_t log_frames;
        uint64_t frames_per_send;
        uint64_t sequence;
        uint64_t sent_bytes;
        uint64_t *sunk_bytes; /* counted by the sink, in memory that we share with it */
};

static void die(const char *what)
{
        fprintf(stderr, "blaster: %s: %s\n", what, strerror(errno));
        exit(BENCH_FAILED);
}

static void core_take(int64_t cpu)
{
        cpu_set_t set;
        if (cpu < 0)
                return;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) != 0)
                die("sched_setaffinity");
}

static void sink_run(const int *fds, uint64_t count, uint64_t *sunk_bytes)
{
        uint64_t sunk = 0;
        uint8_t *room = malloc(SINK_BYTES);
        int epoll_fd = epoll_create1(0);
        if (room == NULL || epoll_fd < 0)
                die("sink");
        for (uint64_t i = 0; i < count; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
                if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) != 0)
                        die("epoll_ctl");
        }
        for (;;) {
                struct epoll_event events[512];
                int ready = epoll_wait(epoll_fd, events, 512, -1);
                for (int i = 0; i < ready; i++) {
                        ssize_t got = recv(events[i].data.fd, room, SINK_BYTES, MSG_DONTWAIT);
                        if (got == 0)
                                _exit(0);
                        sunk += got > 0 ? (uint64_t)got : 0;
                        ck_pr_store_64(sunk_bytes, sunk);
                }
        }
}

static int listener_open(uint64_t port, struct sockaddr_in *address)
{
        int one = 1;
        socklen_t size = sizeof(*address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        *address = (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        if (fd < 0)
                die("socket");
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)address, size) != 0 || listen(fd, 1024) != 0)
                die("listen");
        getsockname(fd, (struct sockaddr *)address, &size);
        return fd;
}

/* Our own pairs: the sending ends stay here, the reading ends belong to the sink. */
static pid_t sink_start(struct blaster *blaster)
{
        struct sockaddr_in address;
        int listener = listener_open(0, &address);
        int *reading = calloc(blaster->connections, sizeof(int));
        blaster->sunk_bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (reading == NULL || blaster->sunk_bytes == MAP_FAILED)
                die("memory");
        for (uint64_t i = 0; i < blaster->connections; i++) {
                int pair[2];
                if (blaster->is_unix) {
                        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
                                die("socketpair");
                        blaster->fds[i] = pair[0];
                        reading[i] = pair[1];
                        continue;
                }
                reading[i] = socket(AF_INET, SOCK_STREAM, 0);
                if (reading[i] < 0 || connect(reading[i], (struct sockaddr *)&address, sizeof(address)) != 0)
                        die("connect");
                blaster->fds[i] = accept(listener, NULL, NULL);
                if (blaster->fds[i] < 0)
                        die("accept");
        }
        pid_t sink = fork();
        if (sink < 0)
                die("fork");
        if (sink == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                core_take(blaster->sink_cpu);
                for (uint64_t i = 0; i < blaster->connections; i++)
                        close(blaster->fds[i]);
                sink_run(reading, blaster->connections, blaster->sunk_bytes);
        }
        for (uint64_t i = 0; i < blaster->connections; i++)
                close(reading[i]);
        free(reading);
        close(listener);
        return sink;
}

/* Plays NATS server for as long as it takes to say hello. */
static void clients_wait(struct blaster *blaster)
{
        struct sockaddr_in address;
        static const char hello[] = "INFO {\"server_name\":\"blaster\",\"version\":\"0\",\"max_payload\":1048576}\r\n"
                                    "PONG\r\n";
        int listener = listener_open(blaster->serve_port, &address);
        for (uint64_t i = 0; i < blaster->connections; i++) {
                char text[1024];
                size_t size = 0;
                blaster->fds[i] = accept(listener, NULL, NULL);
                if (blaster->fds[i] < 0)
                        die("accept");
                while (size < 6 || memcmp(text + size - 6, "PING\r\n", 6) != 0) {
                        ssize_t got = recv(blaster->fds[i], text + size, sizeof(text) - size, 0);
                        if (got <= 0)
                                die("a client's hello");
                        size += (size_t)got;
                }
                if (send(blaster->fds[i], hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0)
                        die("hello");
        }
        close(listener);
        usleep(300000);
}

/* Sends all of `bytes` to one connection; waits where it must. Returns the number of calls. */
static uint64_t send_whole(int fd, const uint8_t *bytes, size_t size)
{
        uint64_t calls = 0;
        while (size != 0) {
                ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
                calls++;
                if (sent < 0 && errno == EAGAIN) {
                        struct pollfd wait = {.fd = fd, .events = POLLOUT};
                        poll(&wait, 1, 1000);
                        continue;
                }
                if (sent < 0)
                        die("send");
                bytes += sent;
                size -= (size_t)sent;
        }
        return calls;
}

/* Rests until the sink has taken enough. Resting costs no CPU time, which is what we measure. */
static void sink_wait(const struct blaster *blaster)
{
        uint64_t window =
                blaster->window_bytes > 2 * blaster->send_bytes ? blaster->window_bytes : 2 * blaster->send_bytes;
        if (blaster->sunk_bytes == NULL)
                return;
        while (blaster->sent_bytes - ck_pr_load_64(blaster->sunk_bytes) > window * blaster->connections)
                usleep(20);
}

static uint64_t round_send(struct blaster *blaster)
{
        uint64_t first = blaster->sequence % blaster->log_frames;
        uint8_t *start = blaster->log + first * blaster->shape.frame_bytes;
        uint8_t *frame = start;
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t calls = 0;
        sink_wait(blaster);
        for (uint64_t i = 0; i < blaster->frames_per_send; i++) {
                struct stamp stamp = {.word = blaster->sequence++, .intended_ns = now_ns};
                memcpy(frame + blaster->shape.header_bytes, &stamp, sizeof(stamp));
                frame += blaster->shape.frame_bytes;
        }
        for (uint64_t i = 0; i < blaster->connections; i++)
                calls += send_whole(blaster->fds[i], start, (size_t)(frame - start));
        blaster->sent_bytes += (uint64_t)(frame - start) * blaster->connections;
        return calls;
}

static void log_init(struct blaster *blaster)
{
        shape_delivery(&blaster->shape, PROTOCOL_NATS, "bench.0000", "bench.0000", (uint32_t)blaster->size);
        uint64_t frame_bytes = blaster->shape.frame_bytes;
        blaster->frames_per_send = (blaster->send_bytes + frame_bytes / 2) / frame_bytes;
        if (blaster->frames_per_send == 0)
                blaster->frames_per_send = 1;
        uint64_t sends = LOG_BYTES_MIN / (blaster->frames_per_send * frame_bytes) + 1;
        blaster->log_frames = sends * blaster->frames_per_send;
        blaster->log = malloc(blaster->log_frames * frame_bytes);
        if (blaster->log == NULL)
                die("log");
        uint8_t *to = blaster->log;
        for (uint64_t i = 0; i < blaster->log_frames; i++)
                to += shape_render(&blaster->shape, to, i + 1);
}

static void blast(struct blaster *blaster)
{
        uint64_t calls = 0;
        uint64_t rounds = 0;
        uint64_t until_ns = clock_monotonic_ns() + (uint64_t)(blaster->warmup * 1e9);
        while (clock_monotonic_ns() < until_ns)
                round_send(blaster);
        uint64_t cpu_ns = clock_thread_cpu_ns();
        uint64_t start_ns = clock_monotonic_ns();
        until_ns = start_ns + (uint64_t)(blaster->seconds * 1e9);
        while (clock_monotonic_ns() < until_ns) {
                calls += round_send(blaster);
                rounds++;
        }
        double cpu_s = (double)(clock_thread_cpu_ns() - cpu_ns) / 1e9;
        double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
        double sends = (double)(rounds * blaster->connections);
        double deliveries = sends * (double)blaster->frames_per_send;
        double bytes = deliveries * blaster->shape.frame_bytes;
        const char *format =
                blaster->json
                        ? "{\"mode\":\"blast\",\"connections\":%llu,\"frame_bytes\":%u,\"bytes_per_send\":%.0f,"
                          "\"calls_per_send\":%.4f,\"seconds\":%.3f,\"server_load\":%.4f,\"ns_per_send\":%.1f,"
                          "\"deliveries_per_s\":%.0f,\"deliveries_per_server_cpu_s\":%.0f,"
                          "\"bytes_per_server_cpu_s\":%.0f}\n"
                        : "connections            %llu\nframe_bytes            %u\nbytes_per_send         %.0f\n"
                          "calls_per_send         %.4f\nseconds                %.3f\nserver_load            %.4f\n"
                          "ns_per_send            %.1f\ndeliveries_per_s       %.0f\n"
                          "deliveries_per_server_cpu_s %.0f\nbytes_per_server_cpu_s %.0f\n";
        printf(format, (unsigned long long)blaster->connections, blaster->shape.frame_bytes, bytes / sends,
               (double)calls / sends, seconds, cpu_s / seconds, cpu_s / sends * 1e9, deliveries / seconds,
               deliveries / cpu_s, bytes / cpu_s);
}

struct flag {
        const char *name;
        enum { FLAG_COUNT, FLAG_SIGNED, FLAG_SECONDS, FLAG_BOOL } kind;
        size_t offset;
        double min, max;
        const char *help;
};

static const struct flag flags[] = {
        {"connections", FLAG_COUNT, offsetof(struct blaster, connections), 1, 1000000, "how many  [100]"},
        {"send-bytes", FLAG_COUNT, offsetof(struct blaster, send_bytes), 1, 1 << 24, "bytes a send  [61000]"},
        {"size", FLAG_COUNT, offsetof(struct blaster, size), STAMP_BYTES, 1 << 20, "payload bytes  [128]"},
        {"window-bytes", FLAG_COUNT, offsetof(struct blaster, window_bytes), 1, 1 << 30,
         "how far the sink may be behind  [155000]"},
        {"seconds", FLAG_SECONDS, offsetof(struct blaster, seconds), 0, 3600, "how long to measure  [3]"},
        {"warmup", FLAG_SECONDS, offsetof(struct blaster, warmup), 0, 3600, "before that  [1]"},
        {"cpu", FLAG_SIGNED, offsetof(struct blaster, cpu), 0, 1023, "the sender's core  [0]"},
        {"sink-cpu", FLAG_SIGNED, offsetof(struct blaster, sink_cpu), 0, 1023, "the sink's core  [1]"},
        {"serve", FLAG_COUNT, offsetof(struct blaster, serve_port), 1, 65535, "wait for NATS clients on this port"},
        {"unix", FLAG_BOOL, offsetof(struct blaster, is_unix), 0, 0, "UNIX sockets instead of TCP"},
        {"json", FLAG_BOOL, offsetof(struct blaster, json), 0, 0, "one JSON object instead of text"},
};

static int usage(const char *why)
{
        fprintf(why == NULL ? stdout : stderr, "%s%susage: spate-blaster [OPTIONS]\n", why == NULL ? "" : why,
                why == NULL ? "" : "\n");
        for (size_t i = 0; i < array_count(flags); i++)
                fprintf(why == NULL ? stdout : stderr, "  --%-12s %s\n", flags[i].name, flags[i].help);
        return why == NULL ? BENCH_OK : BENCH_USAGE;
}

static bool flag_read(struct blaster *blaster, int argc, char **argv, int *at)
{
        for (size_t i = 0; i < array_count(flags); i++) {
                void *field = (char *)blaster + flags[i].offset;
                if (strncmp(argv[*at], "--", 2) != 0 || strcmp(argv[*at] + 2, flags[i].name) != 0)
                        continue;
                if (flags[i].kind == FLAG_BOOL) {
                        *(bool *)field = true;
                        return true;
                }
                if (++*at >= argc)
                        return false;
                char *end;
                double value = strtod(argv[*at], &end);
                if (end == argv[*at] || *end != '\0' || value < flags[i].min || value > flags[i].max)
                        return false;
                if (flags[i].kind == FLAG_SECONDS)
                        *(double *)field = value;
                else if (flags[i].kind == FLAG_SIGNED)
                        *(int64_t *)field = (int64_t)value;
                else
                        *(uint64_t *)field = (uint64_t)value;
                return true;
        }
        return false;
}

int main(int argc, char **argv)
{
        struct blaster blaster = {.connections = 100,
                                  .send_bytes = 61000,
                                  .window_bytes = 155000,
                                  .size = 128,
                                  .seconds = 3,
                                  .warmup = 1,
                                  .cpu = 0,
                                  .sink_cpu = 1};
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--help") == 0)
                        return usage(NULL);
                if (!flag_read(&blaster, argc, argv, &i))
                        return usage("blaster: an option is unknown, or its value is out of range");
        }
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        signal(SIGPIPE, SIG_IGN);
        blaster.fds = calloc(blaster.connections, sizeof(int));
        log_init(&blaster);
        pid_t sink = 0;
        if (blaster.serve_port == 0)
                sink = sink_start(&blaster);
        else
                clients_wait(&blaster);
        core_take(blaster.cpu);
        blast(&blaster);
        if (sink > 0) {
                kill(sink, SIGKILL);
                waitpid(sink, NULL, 0);
        }
        free(blaster.log);
        free(blaster.fds);
        return BENCH_OK;
}
