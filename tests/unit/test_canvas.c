/* canvas: whatever is put on it, rows stay as wide as they are and nothing but characters comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>

#include "engine/cli/canvas.h"

static void assert_printed(const struct canvas *canvas, const char *expected)
{
        struct growing out = {0};
        canvas_print(canvas, &out);
        growing_add(&out, span_of("", 1));
        assert_string_equal((const char *)out.bytes, expected);
        growing_fini(&out);
}

static void assert_written(const struct canvas *canvas, const struct canvas *before, bool has_colours,
                           const char *expected)
{
        struct growing out = {0};
        canvas_write(canvas, before, has_colours, &out);
        growing_add(&out, span_of("", 1));
        assert_string_equal((const char *)out.bytes, expected);
        growing_fini(&out);
}

static void text_that_does_not_fit_ends_in_a_mark(void **state)
{
        struct canvas canvas;
        (void)state;
        assert_int_equal(canvas_init(&canvas, 10, 3, true), 0);
        assert_int_equal(canvas_put(&canvas, 0, 0, 10, INK_PLAIN, "0123456789"), 10);
        assert_int_equal(canvas_put(&canvas, 1, 4, 99, INK_PLAIN, "0123456789"), 6);
        assert_int_equal(canvas_put(&canvas, 2, 0, 4, INK_PLAIN, "abcdef"), 4);
        assert_int_equal(canvas_put(&canvas, 3, 0, 4, INK_PLAIN, "below"), 0);
        assert_int_equal(canvas_put(&canvas, 0, 10, 4, INK_PLAIN, "beside"), 0);
        assert_int_equal(canvas_put(&canvas, 2, 6, 0, INK_PLAIN, "no room"), 0);
        assert_printed(&canvas, "0123456789\n    01234…\nabc…\n");
        canvas_fini(&canvas);
        assert_int_equal(canvas_init(&canvas, 4, 1, false), 0);
        canvas_put(&canvas, 0, 0, 4, INK_PLAIN, "abcdef");
        assert_printed(&canvas, "abc~\n");
        canvas_fini(&canvas);
}

static void text_to_the_right_ends_where_its_room_does(void **state)
{
        struct canvas canvas;
        (void)state;
        assert_int_equal(canvas_init(&canvas, 8, 2, true), 0);
        canvas_put_right(&canvas, 0, 1, 6, INK_PLAIN, "42");
        canvas_put_right(&canvas, 1, 1, 3, INK_PLAIN, "12345");
        assert_printed(&canvas, "     42\n 12…\n");
        canvas_fini(&canvas);
}

static void wide_characters_take_two_cells_and_are_never_halved(void **state)
{
        struct canvas canvas;
        (void)state;
        assert_int_equal(canvas_init(&canvas, 6, 4, true), 0);
        assert_int_equal(canvas_put(&canvas, 0, 0, 6, INK_PLAIN, "日本語"), 6);
        assert_int_equal(canvas_put(&canvas, 1, 0, 4, INK_PLAIN, "日本語"), 3);
        assert_int_equal(canvas_put(&canvas, 2, 5, 6, INK_PLAIN, "日"), 1);
        canvas_put(&canvas, 3, 0, 6, INK_PLAIN, "日本語");
        canvas_put(&canvas, 3, 1, 2, INK_PLAIN, "ab"); /* halves of 日 and 本 go as wholes */
        assert_printed(&canvas, "日本語\n日…\n     …\n ab 語\n");
        canvas_put(&canvas, 3, 1, 2, INK_PLAIN, "本");
        canvas_put(&canvas, 3, 2, 2, INK_PLAIN, "日");
        assert_printed(&canvas, "日本語\n日…\n     …\n  日語\n");
        canvas_fini(&canvas);
}

static void controls_become_question_marks_and_what_has_no_width_goes(void **state)
{
        struct canvas canvas;
        (void)state;
        assert_int_equal(canvas_init(&canvas, 20, 2, true), 0);
        canvas_put(&canvas, 0, 0, 20, INK_PLAIN, "a\x1b[2J\r\n\t\x7f\xc2\x9b\xff");
        canvas_put(&canvas, 1, 0, 20, INK_PLAIN, "e\xcc\x81\xe2\x80\x8b.");
        assert_printed(&canvas, "a?[2J??????\ne.\n");
        canvas_fini(&canvas);
        assert_int_equal(canvas_init(&canvas, 20, 1, false), 0);
        canvas_put(&canvas, 0, 0, 20, INK_PLAIN, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a");
        assert_printed(&canvas, "gr?? ?\n");
        canvas_fini(&canvas);
}

static void only_rows_that_changed_are_written(void **state)
{
        struct canvas before, canvas, other;
        (void)state;
        assert_int_equal(canvas_init(&before, 5, 3, true), 0);
        assert_int_equal(canvas_init(&canvas, 5, 3, true), 0);
        assert_int_equal(canvas_init(&other, 4, 3, true), 0);
        assert_written(&canvas, &before, true, "");
        canvas_put(&canvas, 1, 0, 5, INK_BAD, "ab");
        assert_written(&canvas, &before, true, "\x1b[?2026h\x1b[2;1H\x1b[0;1;31mab\x1b[0m\x1b[K\x1b[?2026l");
        assert_written(&canvas, &before, false, "\x1b[?2026h\x1b[2;1H\x1b[0;1mab\x1b[0m\x1b[K\x1b[?2026l");
        canvas_put(&canvas, 2, 0, 5, INK_PLAIN, "abcde"); /* nothing to erase behind the last cell */
        assert_written(&canvas, &before, false,
                       "\x1b[?2026h\x1b[2;1H\x1b[0;1mab\x1b[0m\x1b[K\x1b[3;1Habcde\x1b[?2026l");
        assert_written(&canvas, &canvas, true, "");
        /* Of another size, or unknown: everything. */
        assert_written(&other, &canvas, true, "\x1b[?2026h\x1b[1;1H\x1b[K\x1b[2;1H\x1b[K\x1b[3;1H\x1b[K\x1b[?2026l");
        assert_written(&other, NULL, true, "\x1b[?2026h\x1b[1;1H\x1b[K\x1b[2;1H\x1b[K\x1b[3;1H\x1b[K\x1b[?2026l");
        canvas_fini(&before);
        canvas_fini(&canvas);
        canvas_fini(&other);
}

static void a_painted_blank_is_more_than_nothing(void **state)
{
        struct canvas canvas, before;
        (void)state;
        assert_int_equal(canvas_init(&canvas, 3, 1, true), 0);
        assert_int_equal(canvas_init(&before, 3, 1, true), 0);
        canvas_paint(&canvas, 0, 1, 99, INK_FOCUS);
        canvas_paint(&canvas, 7, 1, 99, INK_FOCUS);
        assert_written(&canvas, &before, false, "\x1b[?2026h\x1b[1;1H \x1b[0;1;7m  \x1b[0m\x1b[?2026l");
        assert_printed(&canvas, "\n");
        canvas_fini(&canvas);
        canvas_fini(&before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(text_that_does_not_fit_ends_in_a_mark),
                cmocka_unit_test(text_to_the_right_ends_where_its_room_does),
                cmocka_unit_test(wide_characters_take_two_cells_and_are_never_halved),
                cmocka_unit_test(controls_become_question_marks_and_what_has_no_width_goes),
                cmocka_unit_test(only_rows_that_changed_are_written),
                cmocka_unit_test(a_painted_blank_is_more_than_nothing),
        };
        setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
