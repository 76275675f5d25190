/* libnats: what an application does with the NATS client in C. Says TAP; the server's address is in E2E_ADDRESS. Where
 * it needs the server killed and started again, it asks with a line "@restart" and is answered with a line. */
#include <nats/nats.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 20000
#define FLOW_MESSAGES 100000
#define CONNECTIONS_MAX 32

static char url[128];
static char why[512]; /* the first thing that went wrong in the test that runs */
static natsConnection *opened[CONNECTIONS_MAX];
static int opened_count;

static void __attribute__((format(printf, 2, 3))) check(bool holds, const char *format, ...)
{
        if (holds || why[0] != '\0')
                return;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, sizeof why, format, arguments);
        va_end(arguments);
}

static void succeeds(natsStatus status, const char *what)
{
        check(status == NATS_OK, "%s: %s", what, natsStatus_GetText(status));
}

/* Closed behind the test. Changes the defaults by `options`, which it takes; NULL: none. */
static natsConnection *open_with(natsOptions *options)
{
        natsConnection *connection = NULL;
        if (options == NULL)
                succeeds(natsOptions_Create(&options), "options");
        succeeds(natsOptions_SetURL(options, url), "address");
        succeeds(natsOptions_SetTimeout(options, PATIENCE_MS), "time-out");
        succeeds(natsConnection_Connect(&connection, options), "connect");
        natsOptions_Destroy(options);
        if (connection != NULL)
                opened[opened_count++] = connection;
        return connection;
}

static natsConnection *open_one(void)
{
        return open_with(NULL);
}

static natsSubscription *subscribe(natsConnection *connection, const char *subject)
{
        natsSubscription *subscription = NULL;
        succeeds(natsConnection_SubscribeSync(&subscription, connection, subject), "subscribe");
        succeeds(natsConnection_Flush(connection), "flush");
        return subscription;
}

static void publish(natsConnection *connection, const char *subject, const char *text)
{
        succeeds(natsConnection_PublishString(connection, subject, text), "publish");
}

/* The next message must be this. */
static void hears(natsSubscription *subscription, const char *text)
{
        natsMsg *message = NULL;
        natsStatus status = natsSubscription_NextMsg(&message, subscription, PATIENCE_MS);
        check(status == NATS_OK, "expected '%s': %s", text, natsStatus_GetText(status));
        if (status == NATS_OK)
                check(strcmp(natsMsg_GetData(message), text) == 0, "expected '%s', heard '%s'", text,
                      natsMsg_GetData(message));
        natsMsg_Destroy(message);
}

/* Nothing waits, and a round trip brings nothing. */
static void hears_no_more(natsConnection *connection, natsSubscription *subscription)
{
        uint64_t waiting = 0;
        succeeds(natsConnection_Flush(connection), "flush");
        if (natsSubscription_QueuedMsgs(subscription, &waiting) == NATS_OK)
                check(waiting == 0, "%llu messages too many", (unsigned long long)waiting);
}

static void it_connects_and_learns_of_the_server(void)
{
        natsConnection *connection = open_one();
        char id[128] = "";
        check(natsConnection_GetMaxPayload(connection) == 1048576, "max payload %lld",
              (long long)natsConnection_GetMaxPayload(connection));
        succeeds(natsConnection_GetConnectedServerId(connection, id, sizeof id), "server id");
        check(id[0] != '\0', "no server id");
        succeeds(natsConnection_HasHeaderSupport(connection), "headers");
}

static void it_gets_what_it_publishes_byte_for_byte(void)
{
        natsConnection *connection = open_one();
        natsSubscription *subscription = subscribe(connection, "c.bytes");
        char bytes[256];
        natsMsg *message = NULL;
        for (int i = 0; i < 256; i++)
                bytes[i] = (char)i;
        succeeds(natsConnection_Publish(connection, "c.bytes", bytes, sizeof bytes), "publish");
        succeeds(natsSubscription_NextMsg(&message, subscription, PATIENCE_MS), "next");
        check(message != NULL && natsMsg_GetDataLength(message) == 256 &&
                      memcmp(natsMsg_GetData(message), bytes, 256) == 0,
              "other bytes came back");
        natsMsg_Destroy(message);
        publish(connection, "c.bytes", "");
        hears(subscription, "");
        natsSubscription_Destroy(subscription);
}

static void it_reaches_another_connection(void)
{
        natsConnection *one = open_one(), *other = open_one();
        natsSubscription *subscription = subscribe(one, "c.other");
        publish(other, "c.other", "hello");
        hears(subscription, "hello");
        natsSubscription_Destroy(subscription);
}

static void it_hears_of_wildcards_what_matches(void)
{
        natsConnection *connection = open_one();
        natsSubscription *star = subscribe(connection, "c.w.*"), *rest = subscribe(connection, "c.w.>");
        static const char *const subjects[] = {"c.w", "c.w.a", "c.w.a.b", "c.x.a", "c.w.c"};
        for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
                publish(connection, subjects[i], subjects[i]);
        hears(star, "c.w.a");
        hears(star, "c.w.c");
        hears_no_more(connection, star);
        hears(rest, "c.w.a");
        hears(rest, "c.w.a.b");
        hears(rest, "c.w.c");
        hears_no_more(connection, rest);
        natsSubscription_Destroy(star);
        natsSubscription_Destroy(rest);
}

static void it_carries_headers(void)
{
        natsConnection *one = open_one(), *other = open_one();
        natsSubscription *subscription = subscribe(one, "c.headers");
        natsMsg *message = NULL;
        const char *value = NULL, **values = NULL;
        int count = 0;
        succeeds(natsMsg_Create(&message, "c.headers", NULL, "body", 4), "message");
        succeeds(natsMsgHeader_Add(message, "Key", "first"), "header");
        succeeds(natsMsgHeader_Add(message, "Key", "second"), "header");
        succeeds(natsMsgHeader_Set(message, "Other", "with spaces: and colons"), "header");
        succeeds(natsConnection_PublishMsg(other, message), "publish");
        natsMsg_Destroy(message);
        message = NULL;
        succeeds(natsSubscription_NextMsg(&message, subscription, PATIENCE_MS), "next");
        succeeds(natsMsgHeader_Values(message, "Key", &values, &count), "values");
        check(count == 2 && strcmp(values[0], "first") == 0 && strcmp(values[1], "second") == 0, "%d values", count);
        free(values);
        succeeds(natsMsgHeader_Get(message, "Other", &value), "value");
        check(value != NULL && strcmp(value, "with spaces: and colons") == 0, "other value");
        check(strcmp(natsMsg_GetData(message), "body") == 0, "other body");
        natsMsg_Destroy(message);
        natsSubscription_Destroy(subscription);
}

static void it_shares_work_in_a_queue_group(void)
{
        enum { MEMBERS = 3, MESSAGES = 900 };
        natsConnection *publisher = open_one(), *members[MEMBERS];
        natsSubscription *subscriptions[MEMBERS];
        uint64_t shares[MEMBERS], sum = 0;
        for (int i = 0; i < MEMBERS; i++) {
                members[i] = open_one();
                succeeds(natsConnection_QueueSubscribeSync(&subscriptions[i], members[i], "c.queue", "team"),
                         "subscribe");
                succeeds(natsConnection_Flush(members[i]), "flush");
        }
        for (int i = 0; i < MESSAGES; i++)
                publish(publisher, "c.queue", "work");
        succeeds(natsConnection_Flush(publisher), "flush");
        for (int i = 0; i < MEMBERS; i++) {
                succeeds(natsConnection_Flush(members[i]), "flush");
                succeeds(natsSubscription_QueuedMsgs(subscriptions[i], &shares[i]), "count");
                sum += shares[i];
                /* A third each; seven standard deviations of 14. */
                check(shares[i] > 200 && shares[i] < 400, "a share of %llu", (unsigned long long)shares[i]);
                natsSubscription_Destroy(subscriptions[i]);
        }
        check(sum == MESSAGES, "%llu messages", (unsigned long long)sum);
}

static void double_it(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure)
{
        (void)subscription;
        (void)closure;
        char answer[32];
        snprintf(answer, sizeof answer, "%d", 2 * atoi(natsMsg_GetData(message)));
        natsConnection_PublishString(connection, natsMsg_GetReply(message), answer);
        natsMsg_Destroy(message);
}

static void it_asks_and_is_answered(void)
{
        natsConnection *service = open_one(), *client = open_one();
        natsSubscription *subscription = NULL;
        succeeds(natsConnection_Subscribe(&subscription, service, "c.double", double_it, NULL), "subscribe");
        succeeds(natsConnection_Flush(service), "flush");
        for (int i = 0; i < 200; i++) {
                natsMsg *answer = NULL;
                char question[32];
                snprintf(question, sizeof question, "%d", i);
                succeeds(natsConnection_RequestString(&answer, client, "c.double", question, PATIENCE_MS), "request");
                check(answer != NULL && atoi(natsMsg_GetData(answer)) == 2 * i, "a wrong answer to %d", i);
                natsMsg_Destroy(answer);
        }
        natsSubscription_Destroy(subscription);
}

static void it_is_told_at_once_when_nobody_can_answer(void)
{
        natsMsg *answer = NULL;
        natsStatus status = natsConnection_RequestString(&answer, open_one(), "c.nobody", "?", PATIENCE_MS);
        check(status == NATS_NO_RESPONDERS, "%s", natsStatus_GetText(status));
        natsMsg_Destroy(answer);
}

static void it_asks_in_the_old_way_too(void)
{
        natsOptions *options = NULL;
        natsMsg *answer = NULL;
        natsSubscription *subscription = NULL;
        succeeds(natsOptions_Create(&options), "options");
        succeeds(natsOptions_UseOldRequestStyle(options, true), "old style");
        natsConnection *client = open_with(options), *service = open_one();
        succeeds(natsConnection_Subscribe(&subscription, service, "c.old", double_it, NULL), "subscribe");
        succeeds(natsConnection_Flush(service), "flush");
        succeeds(natsConnection_RequestString(&answer, client, "c.old", "21", PATIENCE_MS), "request");
        check(answer != NULL && strcmp(natsMsg_GetData(answer), "42") == 0, "a wrong answer");
        natsMsg_Destroy(answer);
        answer = NULL;
        natsStatus status = natsConnection_RequestString(&answer, client, "c.nobody", "?", PATIENCE_MS);
        check(status == NATS_NO_RESPONDERS, "%s", natsStatus_GetText(status));
        natsMsg_Destroy(answer);
        natsSubscription_Destroy(subscription);
}

static void it_gets_exactly_as_many_as_it_asked_for(void)
{
        natsConnection *connection = open_one();
        natsSubscription *subscription = subscribe(connection, "c.max");
        natsMsg *message = NULL;
        succeeds(natsSubscription_AutoUnsubscribe(subscription, 5), "maximum");
        for (int i = 0; i < 10; i++)
                publish(connection, "c.max", "x");
        succeeds(natsConnection_Flush(connection), "flush");
        for (int i = 0; i < 5; i++)
                hears(subscription, "x");
        natsStatus status = natsSubscription_NextMsg(&message, subscription, 100);
        check(status == NATS_MAX_DELIVERED_MSGS, "%s", natsStatus_GetText(status));
        natsMsg_Destroy(message);
        natsSubscription_Destroy(subscription);
}

static void it_does_not_hear_itself_without_echo(void)
{
        natsOptions *options = NULL;
        succeeds(natsOptions_Create(&options), "options");
        succeeds(natsOptions_SetNoEcho(options, true), "no echo");
        natsConnection *silent = open_with(options), *other = open_one();
        natsSubscription *own = subscribe(silent, "c.echo"), *others = subscribe(other, "c.echo");
        publish(silent, "c.echo", "mine");
        succeeds(natsConnection_Flush(silent), "flush");
        publish(other, "c.echo", "yours");
        hears(own, "yours");
        hears_no_more(silent, own);
        hears(others, "mine");
        hears(others, "yours");
        natsSubscription_Destroy(own);
        natsSubscription_Destroy(others);
}

static void it_speaks_with_ok_after_every_word(void)
{
        natsOptions *options = NULL;
        succeeds(natsOptions_Create(&options), "options");
        succeeds(natsOptions_SetVerbose(options, true), "verbose");
        succeeds(natsOptions_SetPedantic(options, true), "pedantic");
        natsConnection *connection = open_with(options);
        natsSubscription *subscription = subscribe(connection, "c.loud");
        for (int i = 0; i < 100; i++)
                publish(connection, "c.loud", "x");
        for (int i = 0; i < 100; i++)
                hears(subscription, "x");
        natsSubscription_Destroy(subscription);
}

static void it_drains(void)
{
        natsConnection *leaving = open_one(), *staying = open_one();
        natsSubscription *subscription = subscribe(staying, "c.leave");
        for (int i = 0; i < 1000; i++)
                publish(leaving, "c.leave", "x");
        succeeds(natsConnection_DrainTimeout(leaving, PATIENCE_MS), "drain");
        for (int i = 0; i < 1000; i++)
                hears(subscription, "x");
        for (int i = 0; i < PATIENCE_MS / 10 && !natsConnection_IsClosed(leaving); i++)
                nats_Sleep(10);
        check(natsConnection_IsClosed(leaving), "still open");
        natsSubscription_Destroy(subscription);
}

static void it_measures_a_round_trip(void)
{
        int64_t rtt_ns = 0;
        succeeds(natsConnection_GetRTT(open_one(), &rtt_ns), "round trip");
        check(rtt_ns > 0, "a round trip of %lld ns", (long long)rtt_ns);
}

static void it_gets_a_hundred_thousand_messages_in_order(void)
{
        natsConnection *publisher = open_one(), *subscriber = open_one();
        natsSubscription *subscription = subscribe(subscriber, "c.flow");
        succeeds(natsSubscription_SetPendingLimits(subscription, -1, -1), "limits");
        for (uint32_t i = 0; i < FLOW_MESSAGES; i++) {
                succeeds(natsConnection_Publish(publisher, "c.flow", &i, sizeof i), "publish");
                if (i % 5000 == 0)
                        succeeds(natsConnection_Flush(publisher), "flush");
        }
        succeeds(natsConnection_Flush(publisher), "flush");
        for (uint32_t i = 0; i < FLOW_MESSAGES && why[0] == '\0'; i++) {
                natsMsg *message = NULL;
                uint32_t number = UINT32_MAX;
                succeeds(natsSubscription_NextMsg(&message, subscription, PATIENCE_MS), "next");
                if (message != NULL && natsMsg_GetDataLength(message) == sizeof number)
                        memcpy(&number, natsMsg_GetData(message), sizeof number);
                check(number == i, "message %u in place of %u", number, i);
                natsMsg_Destroy(message);
        }
        natsSubscription_Destroy(subscription);
}

static void it_publishes_the_largest_payload_and_is_kept_from_a_larger_one(void)
{
        natsConnection *connection = open_one();
        natsSubscription *subscription = subscribe(connection, "c.big");
        int size = (int)natsConnection_GetMaxPayload(connection);
        char *payload = malloc((size_t)size + 1);
        natsMsg *message = NULL;
        memset(payload, 'b', (size_t)size + 1);
        succeeds(natsConnection_Publish(connection, "c.big", payload, size), "publish");
        succeeds(natsSubscription_NextMsg(&message, subscription, PATIENCE_MS), "next");
        check(message != NULL && natsMsg_GetDataLength(message) == size &&
                      memcmp(natsMsg_GetData(message), payload, (size_t)size) == 0,
              "other bytes came back");
        natsMsg_Destroy(message);
        natsStatus status = natsConnection_Publish(connection, "c.big", payload, size + 1);
        check(status == NATS_MAX_PAYLOAD, "%s", natsStatus_GetText(status));
        free(payload);
        natsSubscription_Destroy(subscription);
}

static void it_holds_two_thousand_subscriptions(void)
{
        enum { SUBSCRIPTIONS = 2000 };
        natsConnection *connection = open_one();
        static natsSubscription *subscriptions[SUBSCRIPTIONS];
        char subject[32];
        for (int i = 0; i < SUBSCRIPTIONS; i++) {
                snprintf(subject, sizeof subject, "c.herd.%d", i);
                succeeds(natsConnection_SubscribeSync(&subscriptions[i], connection, subject), "subscribe");
        }
        for (int i = 0; i < SUBSCRIPTIONS; i++) {
                snprintf(subject, sizeof subject, "c.herd.%d", i);
                publish(connection, subject, subject);
        }
        for (int i = 0; i < SUBSCRIPTIONS; i++) {
                snprintf(subject, sizeof subject, "c.herd.%d", i);
                hears(subscriptions[i], subject);
                natsSubscription_Destroy(subscriptions[i]);
        }
}

static pthread_mutex_t back_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t back_changed = PTHREAD_COND_INITIALIZER;
static int back_count;

static void it_is_back(natsConnection *connection, void *closure)
{
        (void)connection;
        (void)closure;
        pthread_mutex_lock(&back_lock);
        back_count++;
        pthread_cond_signal(&back_changed);
        pthread_mutex_unlock(&back_lock);
}

static natsConnection *open_that_comes_back(void)
{
        natsOptions *options = NULL;
        succeeds(natsOptions_Create(&options), "options");
        succeeds(natsOptions_SetMaxReconnect(options, -1), "reconnects");
        succeeds(natsOptions_SetReconnectWait(options, 50), "wait");
        succeeds(natsOptions_SetReconnectedCB(options, it_is_back, NULL), "callback");
        return open_with(options);
}

static void it_comes_back_after_the_server_did_with_its_subscriptions(void)
{
        natsConnection *one = open_that_comes_back(), *other = open_that_comes_back();
        natsSubscription *subscription = subscribe(one, "c.back.*");
        publish(other, "c.back.a", "before");
        hears(subscription, "before");
        char line[64];
        struct timespec deadline;
        puts("@restart");
        fflush(stdout);
        check(fgets(line, sizeof line, stdin) != NULL, "nobody restarts the server");
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += PATIENCE_MS / 1000;
        pthread_mutex_lock(&back_lock);
        while (back_count < 2 && pthread_cond_timedwait(&back_changed, &back_lock, &deadline) == 0)
                continue;
        check(back_count == 2, "%d of 2 came back", back_count);
        pthread_mutex_unlock(&back_lock);
        succeeds(natsConnection_Flush(one), "flush");
        publish(other, "c.back.b", "after");
        hears(subscription, "after");
        natsSubscription_Destroy(subscription);
}

static const struct {
        const char *sentence;
        void (*run)(void);
} tests[] = {
        {"connects and learns of the server", it_connects_and_learns_of_the_server},
        {"gets what it publishes, byte for byte", it_gets_what_it_publishes_byte_for_byte},
        {"reaches another connection", it_reaches_another_connection},
        {"hears of wildcards what matches and nothing else", it_hears_of_wildcards_what_matches},
        {"carries headers", it_carries_headers},
        {"shares work in a queue group", it_shares_work_in_a_queue_group},
        {"asks and is answered", it_asks_and_is_answered},
        {"asks in the old way, too", it_asks_in_the_old_way_too},
        {"is told at once when nobody can answer", it_is_told_at_once_when_nobody_can_answer},
        {"gets exactly as many as it asked for", it_gets_exactly_as_many_as_it_asked_for},
        {"does not hear itself without echo", it_does_not_hear_itself_without_echo},
        {"speaks with +OK after every word", it_speaks_with_ok_after_every_word},
        {"drains", it_drains},
        {"measures a round trip", it_measures_a_round_trip},
        {"gets a hundred thousand messages in order", it_gets_a_hundred_thousand_messages_in_order},
        {"publishes the largest payload and is kept from a larger one",
         it_publishes_the_largest_payload_and_is_kept_from_a_larger_one},
        {"holds two thousand subscriptions", it_holds_two_thousand_subscriptions},
        {"comes back after the server did, with its subscriptions",
         it_comes_back_after_the_server_did_with_its_subscriptions},
};

int main(void)
{
        int failed_count = 0;
        snprintf(url, sizeof url, "nats://%s",
                 getenv("E2E_ADDRESS") != NULL ? getenv("E2E_ADDRESS") : "127.0.0.1:4222");
        puts("TAP version 13");
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
                why[0] = '\0';
                tests[i].run();
                while (opened_count > 0)
                        natsConnection_Destroy(opened[--opened_count]);
                failed_count += why[0] != '\0';
                printf("%sok %zu - libnats: %s\n", why[0] != '\0' ? "not " : "", i + 1, tests[i].sentence);
                if (why[0] != '\0')
                        printf("# %s\n", why);
                fflush(stdout);
        }
        printf("1..%zu\n", sizeof tests / sizeof tests[0]);
        nats_Close();
        return failed_count != 0;
}
