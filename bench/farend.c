/* farend: see farend.h. One exact question to sock_diag(7) a look, some microseconds each. */
#include "bench/farend.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATE_ESTABLISHED 1

int farend_open(void)
{
        int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        return fd < 0 ? -errno : fd;
}

/* Address and port of one side, as sock_diag wants them. */
static int side_fill(const struct sockaddr_storage *side, __be32 address[4], __be16 *port)
{
        if (side->ss_family == AF_INET) {
                struct sockaddr_in in;
                memcpy(&in, side, sizeof(in));
                memcpy(address, &in.sin_addr, sizeof(in.sin_addr));
                *port = in.sin_port;
                return 0;
        }
        if (side->ss_family == AF_INET6) {
                struct sockaddr_in6 in;
                memcpy(&in, side, sizeof(in));
                memcpy(address, &in.sin6_addr, sizeof(in.sin6_addr));
                *port = in.sin6_port;
                return 0;
        }
        return -EAFNOSUPPORT;
}

static void attributes_take(const struct inet_diag_msg *message, size_t size, struct farend *farend)
{
        const struct rtattr *attribute = (const struct rtattr *)(message + 1);
        size_t left = size - NLMSG_ALIGN(sizeof(*message));
        while (RTA_OK(attribute, left)) {
                size_t given = RTA_PAYLOAD(attribute);
                if (attribute->rta_type == INET_DIAG_SKMEMINFO && given > SK_MEMINFO_WMEM_QUEUED * sizeof(uint32_t)) {
                        uint32_t memory[SK_MEMINFO_WMEM_QUEUED + 1];
                        memcpy(memory, RTA_DATA(attribute), sizeof(memory));
                        farend->memory_bytes = memory[SK_MEMINFO_WMEM_QUEUED];
                } else if (attribute->rta_type == INET_DIAG_INFO &&
                           given >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(uint64_t)) {
                        uint64_t acked;
                        memcpy(&acked, (const char *)RTA_DATA(attribute) + offsetof(struct tcp_info, tcpi_bytes_acked),
                               sizeof(acked));
                        farend->taken_bytes += acked;
                }
                attribute = RTA_NEXT(attribute, left);
        }
}

int farend_read(int farend_fd, int fd, struct farend *farend)
{
        struct {
                struct nlmsghdr head;
                struct inet_diag_req_v2 body;
        } question = {.head = {.nlmsg_len = sizeof(question),
                               .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                               .nlmsg_flags = NLM_F_REQUEST},
                      .body = {.sdiag_protocol = IPPROTO_TCP,
                               .idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1),
                               .idiag_states = UINT32_MAX,
                               .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
        union {
                struct nlmsghdr head;
                char bytes[4096];
        } answer;
        struct sockaddr_storage near, far;
        socklen_t near_bytes = sizeof(near), far_bytes = sizeof(far);
        *farend = (struct farend){0};
        if (getsockname(fd, (struct sockaddr *)&near, &near_bytes) != 0 ||
            getpeername(fd, (struct sockaddr *)&far, &far_bytes) != 0)
                return errno == ENOTCONN ? -ENOENT : -errno;
        question.body.sdiag_family = (uint8_t)far.ss_family;
        if (side_fill(&far, question.body.id.idiag_src, &question.body.id.idiag_sport) != 0 ||
            side_fill(&near, question.body.id.idiag_dst, &question.body.id.idiag_dport) != 0)
                return -EAFNOSUPPORT;
        if (send(farend_fd, &question, sizeof(question), 0) < 0)
                return -errno;
        ssize_t got = recv(farend_fd, &answer, sizeof(answer), 0);
        if (got < 0)
                return -errno;
        if (!NLMSG_OK(&answer.head, (size_t)got))
                return -EPROTO;
        if (answer.head.nlmsg_type == NLMSG_ERROR) {
                struct nlmsgerr error;
                memcpy(&error, NLMSG_DATA(&answer.head), sizeof(error));
                return error.error == 0 ? -EPROTO : error.error;
        }
        const struct inet_diag_msg *message = NLMSG_DATA(&answer.head);
        farend->is_open = message->idiag_state == STATE_ESTABLISHED;
        farend->taken_bytes = message->idiag_wqueue;
        attributes_take(message, NLMSG_PAYLOAD(&answer.head, 0), farend);
        return 0;
}

uint64_t farend_tcp_memory_bytes(void)
{
        char line[256];
        unsigned long long pages = 0;
        FILE *file = fopen("/proc/net/sockstat", "r");
        if (file == NULL)
                return 0;
        while (fgets(line, sizeof(line), file) != NULL) {
                const char *told = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " mem ") : NULL;
                if (told != NULL)
                        sscanf(told, " mem %llu", &pages);
        }
        fclose(file);
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
