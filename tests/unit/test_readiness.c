/* readiness: each thing that stands in the way, alone and together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "engine/admin/readiness.h"
#include "engine/watermark.h"

#define REACTORS 2

struct world {
        struct core core[REACTORS];
        struct cores cores;
        struct reactor *reactors[REACTORS];
};

static int begin(void **state)
{
        struct world *world = calloc(1, sizeof *world);
        world->cores = (struct cores){.count = REACTORS, .core = world->core};
        for (unsigned i = 0; i < REACTORS; i++) {
                struct reactor *reactor = calloc(1, sizeof *reactor);
                reactor->cores = &world->cores;
                reactor->settings.conns_max = 10;
                assert_int_equal(counters_init(&reactor->counters, COUNTERS_COUNT), 0);
                assert_int_equal(pulse_init(&reactor->pulse), 0);
                pulse_take_thread(&reactor->pulse);
                world->reactors[i] = world->core[i].reactor = reactor;
        }
        *state = world;
        return 0;
}

static int end(void **state)
{
        struct world *world = *state;
        for (unsigned i = 0; i < REACTORS; i++) {
                counters_fini(&world->reactors[i]->counters);
                pulse_fini(&world->reactors[i]->pulse);
                free(world->reactors[i]);
        }
        free(world);
        return 0;
}

static void expect(struct world *world, bool is_verbose, const char *text)
{
        char said[READINESS_TEXT_BYTES];
        bool is_ready = readiness_write(world->reactors[0], is_verbose, said);
        assert_string_equal(said, text);
        assert_int_equal(is_ready, strstr(text, "not ready") == NULL);
}

static void it_is_ready_when_nothing_is_in_the_way(void **state)
{
        expect(*state, false, "ok\n");
        expect(*state, true, "[+] started\n[+] turning\n[+] staying\n[+] memory\n[+] connections\nok\n");
}

static void it_is_not_before_every_reactor_turns(void **state)
{
        struct world *world = *state;
        counter_set(&world->reactors[1]->pulse.values, PULSE_THREAD, 0);
        expect(world, false, "[-] started: 1 of 2 reactors have started\nnot ready\n");
}

static void it_is_not_while_it_drains(void **state)
{
        struct world *world = *state;
        world->reactors[0]->is_stopping = true;
        expect(world, false, "[-] staying: draining: the server goes away\nnot ready\n");
}

static void it_is_not_while_any_reactor_lets_nobody_in(void **state)
{
        struct world *world = *state;
        counter_set(&world->reactors[0]->counters, COUNT_WATERMARK, WATERMARK_IMPATIENT);
        expect(world, false, "ok\n");
        counter_set(&world->reactors[1]->counters, COUNT_WATERMARK, WATERMARK_CLOSED);
        expect(world, false,
               "[-] memory: reactor 1 is short of stream memory (closed) and lets nobody in\nnot ready\n");
}

static void it_is_not_while_every_place_is_taken(void **state)
{
        struct world *world = *state;
        counter_set(&world->reactors[0]->counters, COUNT_CLIENTS, 4);
        counter_set(&world->reactors[1]->counters, COUNT_CLIENTS, 5);
        expect(world, false, "ok\n");
        counter_set(&world->reactors[1]->counters, COUNT_CLIENTS, 6);
        expect(world, true,
               "[+] started\n[+] turning\n[+] staying\n[+] memory\n"
               "[-] connections: 10 of 10 clients are here (--max-connections)\nnot ready\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_is_ready_when_nothing_is_in_the_way, begin, end),
                cmocka_unit_test_setup_teardown(it_is_not_before_every_reactor_turns, begin, end),
                cmocka_unit_test_setup_teardown(it_is_not_while_it_drains, begin, end),
                cmocka_unit_test_setup_teardown(it_is_not_while_any_reactor_lets_nobody_in, begin, end),
                cmocka_unit_test_setup_teardown(it_is_not_while_every_place_is_taken, begin, end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
