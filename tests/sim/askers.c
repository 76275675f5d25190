/* askers: see the header. */
#include "tests/sim/askers.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/host.h"

static const char *const questions[] = {"/losses",
                                        "/connections?limit=7",
                                        "/connections?sort=pending&limit=7",
                                        "/cohorts?limit=3",
                                        "/varz",
                                        "/connz?sort=pending&subs=detail&limit=9",
                                        "/connz?subs=1",
                                        "/losses?reactor=0&limit=3",
                                        "/explain?subject=a.b&limit=3",
                                        "/explain?subject=_INBOX.one.2",
                                        "/explain?subject=x.y",
                                        "/status",
                                        "/metrics"};

static bool is_gone(const struct asker *asker)
{
        return sim_peer_is_ended(asker->peer) || sim_peer_is_broken(asker->peer);
}

void askers_ask(struct world *world)
{
        struct asker *asker = &world->askers[random_below(&world->random, ASKERS)];
        char line[100];
        if (is_gone(asker) || !world_has(world, TWIST_ASK))
                return;
        int size = snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                            questions[random_below(&world->random, array_count(questions))]);
        asker->asked++;
        sim_peer_write(asker->peer, span_of(line, (size_t)size));
}

/* One answer at the start of the input; returns its size, 0 when it is not whole. */
static size_t hear_answer(const struct world *world, const struct asker *asker, const char *input, size_t size)
{
        const char *body = memmem(input, size, "\r\n\r\n", 4);
        const char *length = memmem(input, size, "Content-Length: ", 16);
        if (body == NULL)
                return 0;
        must(length != NULL && length < body, "an answer without a length");
        bool is_without_memory = host_failures() > 0 && strncmp(input, "HTTP/1.1 500 ", 13) == 0;
        must(strncmp(input, "HTTP/1.1 200 ", 13) == 0 || strncmp(input, "HTTP/1.1 503 ", 13) == 0 || is_without_memory,
             "an asker got %.20s", input);
        size_t whole = (size_t)(body + 4 - input) + strtoul(length + 16, NULL, 10);
        if (size < whole)
                return 0;
        must(asker->answered < asker->asked, "an answer too many");
        /* Each reactor that was asked has its part, once. */
        static const char head[] = "{\"reactors\":[", each[] = "{\"reactor\":";
        if (strncmp(body + 4, head, sizeof head - 1) == 0) {
                size_t parts = 0;
                for (const char *at = body;
                     (at = memmem(at, (size_t)(input + whole - at), each, sizeof each - 1)) != NULL; at++)
                        parts++;
                must(parts == world->reactors_count || parts == 1, "%zu of %zu reactors have answered", parts,
                     world->reactors_count);
        }
        return whole;
}

void askers_hear(struct world *world)
{
        for (size_t i = 0; i < ASKERS; i++) {
                struct asker *asker = &world->askers[i];
                size_t got, one;
                while ((got = sim_peer_read(asker->peer, asker->input + asker->input_bytes,
                                            INPUT_BYTES_MAX - asker->input_bytes)) > 0) {
                        asker->input_bytes += got;
                        while ((one = hear_answer(world, asker, (char *)asker->input, asker->input_bytes)) > 0) {
                                asker->answered++;
                                asker->input_bytes -= one;
                                memmove(asker->input, asker->input + one, asker->input_bytes);
                        }
                }
        }
}

void askers_join(struct world *world)
{
        for (size_t i = 0; i < ASKERS; i++) {
                struct asker *asker = &world->askers[i];
                asker->peer = sim_connect(world->io[0], 1);
                asker->asked = asker->answered = 0;
                asker->input_bytes = 0;
        }
}

void askers_resume(struct world *world)
{
        for (size_t i = 0; i < ASKERS; i++)
                if (sim_peer_is_stalled(world->askers[i].peer))
                        sim_peer_resume(world->askers[i].peer);
}

bool askers_have_heard(const struct world *world)
{
        for (size_t i = 0; i < ASKERS; i++)
                if (!is_gone(&world->askers[i]) && world->askers[i].answered != world->askers[i].asked)
                        return false;
        return true;
}
