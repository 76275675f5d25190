/* fuzz_answers: what a hostile engine answers to `spate status`, `losses`, `explain` and `top`. The body is the same
 * however the answer is cut; whatever it holds, what comes to the terminal can do nothing there, and JSON that is shown
 * as JSON is still the same JSON.
 *
 *      byte 0   bit 0: the rest is a whole HTTP answer, else a body; bits 1, 2: which list of `top`
 *      byte 1   how it is cut
 *      byte 2…  the answer */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "engine/cli/adminlink.h"
#include "engine/cli/controlview.h"
#include "engine/cli/explainview.h"
#include "engine/cli/jsonview.h"
#include "engine/cli/lossview.h"
#include "engine/cli/statusview.h"
#include "engine/cli/topview.h"
#include "io/wire/utf8.h"
#include "tests/fuzz/fuzz.h"

static struct span print(int (*view)(FILE *out, struct span json), struct span json, int *result)
{
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert(out != NULL);
        *result = view(out, json);
        fclose(out);
        return span_of(text, size);
}

/* No escape sequence, no second line where one is meant, nothing that is not UTF-8. */
static void check_harmless(struct span text)
{
        assert(utf8_is_valid(text));
        for (size_t i = 0; i < text.size; i++) {
                assert(text.bytes[i] == '\n' || (text.bytes[i] >= ' ' && text.bytes[i] != 0x7f));
                assert(i == 0 || text.bytes[i - 1] != 0xc2 || text.bytes[i] >= 0xa0); /* U+0080 .. U+009F */
        }
}

static void check_json(struct span json)
{
        json_error_t error;
        int result;
        struct span shown = print(jsonview_print, json, &result);
        if (result != 0) {
                assert(result == -EPROTO && shown.size == 0);
        } else {
                check_harmless(shown);
                /* jansson refuses a few numbers and names that we do not. */
                size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
                json_t *before = json_loadb((const char *)json.bytes, json.size, flags, &error);
                json_t *after = json_loadb((const char *)shown.bytes, shown.size, flags, &error);
                assert(before == NULL ? after == NULL : json_equal(before, after));
                json_decref(before);
                json_decref(after);
        }
        free((void *)(uintptr_t)shown.bytes);
}

static void check_view(int (*view)(FILE *out, struct span json), struct span json)
{
        int result, same;
        struct span shown = print(view, json, &result), again = print(view, json, &same);
        assert(result == same && span_equal(shown, again));
        assert(result == 0 || result == 1 || (result == -EPROTO && shown.size == 0));
        check_harmless(shown);
        free((void *)(uintptr_t)shown.bytes);
        free((void *)(uintptr_t)again.bytes);
}

static void draw(struct topview *view, size_t width, size_t height)
{
        struct canvas canvas;
        struct growing out = {0};
        int made = canvas_init(&canvas, width, height, true);
        assert(made == 0);
        topview_draw(view, &canvas);
        canvas_print(&canvas, &out);
        check_harmless(span_of(out.bytes, out.size));
        growing_fini(&out);
        canvas_fini(&canvas);
}

static void check_top(struct span json, unsigned list)
{
        static struct topsample before, now;
        static struct toprates rates;
        static struct tophistory history;
        static const struct span fixed =
                SPAN_INIT("{\"version\":\"1\",\"pid\":1,\"uptime_seconds\":3,\"reactors\":[]}");
        int known = topsample_status(&before, json);
        assert(known == 0 || known == -EPROTO);
        if (topsample_status(&now, known == 0 ? json : fixed) != 0)
                return;
        if (list == 1)
                topsample_cohorts(&now, json);
        else if (list == 2)
                topsample_laggards(&now, json);
        else if (list == 3)
                topsample_losses(&now, json);
        assert(now.reactors_count <= TOP_REACTORS_MAX && now.cohorts_count <= TOP_ROWS_MAX);
        assert(now.laggards_count <= TOP_ROWS_MAX && now.losses_count <= TOP_ROWS_MAX);
        now.clock_seconds += 1;
        toprates_of(&rates, &now, known == 0 ? &before : NULL);
        struct topview view = {.sample = &now,
                               .rates = &rates,
                               .history = &history,
                               .interval_s = 1,
                               .address = "127.0.0.1:8222",
                               .clock = "12:00:00",
                               .focus = (enum toptable)list};
        draw(&view, 80, 24);
        draw(&view, 200, 60);
        draw(&view, TOPVIEW_WIDTH_MIN, TOPVIEW_HEIGHT_MIN);
        char *text = topview_json(&view);
        assert(text != NULL);
        json_error_t error;
        json_t *read = json_loads(text, 0, &error);
        assert(read != NULL);
        json_decref(read);
        check_harmless(span_of_text(text));
        free(text);
}

/* The body of `answer`, from any prefix of it the same or none yet. */
static struct span take_body(struct span answer, size_t step)
{
        int status = 0, before = 0;
        struct span body = SPAN_NONE, part;
        int whole = adminlink_body(answer, false, &status, &body);
        for (size_t cut = 0; cut < answer.size; cut += step) {
                uint8_t *copy = fuzz_copy(span_of(answer.bytes, cut));
                int some = adminlink_body(span_of(copy, cut), false, &status, &part);
                assert(before == 0 || some == before);
                assert(some == 0 || some == whole);
                if (some == 1)
                        assert(part.size == body.size && part.bytes - copy == body.bytes - answer.bytes);
                before = some;
                free(copy);
        }
        if (whole == 0 && adminlink_body(answer, true, &status, &body) == 1)
                whole = 1;
        if (whole != 1)
                return SPAN_NONE;
        assert(status >= 0 && status <= 999);
        assert(body.bytes >= answer.bytes && body.bytes + body.size <= answer.bytes + answer.size);
        return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span input = span_of(data, size);
        unsigned kind = fuzz_byte(&input);
        size_t step = 1 + fuzz_byte(&input) % 32 + size / 256;
        uint8_t *copy = fuzz_copy(input);
        struct span body = span_of(copy, input.size);
        if ((kind & 1) != 0)
                body = take_body(body, step);
        check_json(body);
        check_view(statusview_print, body);
        check_view(lossview_print, body);
        check_view(explainview_print, body);
        assert(controlview_print("reload", body, true) >= -EPROTO);
        check_top(body, kind >> 1 & 3);
        free(copy);
        return 0;
}
