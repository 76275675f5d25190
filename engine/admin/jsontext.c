/* jsontext: small pieces of JSON. See the header. */
#include "engine/admin/jsontext.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "io/wire/utf8.h"

#define STRING_BYTES_MAX 1024 /* the largest subject */

json_t *jsontext_string(struct span text, bool is_cut)
{
        /* Every byte may become three, and the dots take three more. */
        uint8_t out[STRING_BYTES_MAX * 3 + UTF8_SEQUENCE_BYTES_MAX];
        size_t size = 0;
        assert(text.size <= STRING_BYTES_MAX);
        for (size_t at = 0; at < text.size;) {
                size_t step = utf8_sequence_size(span_skip(text, at));
                if (step == 0 && is_cut && text.size - at < UTF8_SEQUENCE_BYTES_MAX)
                        break; /* the cut went through a character */
                if (step == 0) {
                        size += utf8_put(out + size, UTF8_REPLACEMENT);
                        at++;
                        continue;
                }
                memcpy(out + size, text.bytes + at, step);
                size += step;
                at += step;
        }
        if (is_cut)
                size += utf8_put(out + size, 0x2026);
        return json_stringn((const char *)out, size);
}

const char *jsontext_time(char out[JSONTEXT_TIME_BYTES], uint64_t ago_ns)
{
        uint64_t then_ns = clock_read_ns(CLOCK_REALTIME) - ago_ns;
        time_t seconds = (time_t)(then_ns / NS_PER_S);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        size_t size = strftime(out, JSONTEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(out + size, JSONTEXT_TIME_BYTES - size, ".%03uZ", (unsigned)(then_ns % NS_PER_S / NS_PER_MS));
        return out;
}

void jsontext_add_account(json_t *json, const struct account *account, uint64_t pending)
{
        json_t *dropped = json_object();
        for (int i = 0; i < LOSSES; i++)
                if (account->dropped[i] > 0)
                        json_object_set_new(dropped, loss_name((enum loss)i),
                                            json_integer((json_int_t)account->dropped[i]));
        json_object_set_new(json, "matched", json_integer((json_int_t)account->matched));
        json_object_set_new(json, "released", json_integer((json_int_t)account->released));
        json_object_set_new(json, "dropped", dropped);
        json_object_set_new(json, "pending", json_integer((json_int_t)pending));
}

char *jsontext_end(json_t *json)
{
        char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
        json_decref(json);
        return text;
}
