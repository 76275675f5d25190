/* adminquery: see the header. */
#include "engine/admin/adminquery.h"

#include <errno.h>

#define DIGITS_MAX 9

static bool read_number(struct span digits, uint64_t *number)
{
        uint64_t value = 0;
        if (digits.size == 0 || digits.size > DIGITS_MAX)
                return false;
        for (size_t i = 0; i < digits.size; i++) {
                if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
                        return false;
                value = value * 10 + (digits.bytes[i] - '0');
        }
        *number = value;
        return true;
}

static bool read_part(struct span part, unsigned taken, struct adminquery *read)
{
        const struct {
                struct span name;
                enum adminquery_key key;
                uint64_t *number;
                struct span *word;
        } keys[] = {{SPAN("limit"), ADMINQUERY_LIMIT, &read->limit, NULL},
                    {SPAN("from"), ADMINQUERY_FROM, &read->from, NULL},
                    {SPAN("reactor"), ADMINQUERY_REACTOR, &read->reactor, NULL},
                    {SPAN("offset"), ADMINQUERY_OFFSET, &read->offset, NULL},
                    {SPAN("sort"), ADMINQUERY_SORT, NULL, &read->sort},
                    {SPAN("subs"), ADMINQUERY_SUBS, NULL, &read->subs},
                    {SPAN("auth"), ADMINQUERY_AUTH, NULL, &read->auth},
                    {SPAN("state"), ADMINQUERY_STATE, NULL, &read->state},
                    {SPAN("subject"), ADMINQUERY_SUBJECT, NULL, &read->subject},
                    {SPAN("user"), ADMINQUERY_USER, NULL, &read->user},
                    {SPAN("verbose"), ADMINQUERY_VERBOSE, NULL, NULL}};
        const uint8_t *equals = memchr(part.bytes, '=', part.size);
        struct span name = span_of(part.bytes, equals == NULL ? part.size : (size_t)(equals - part.bytes));
        struct span value = equals == NULL ? SPAN_NONE : span_skip(part, name.size + 1);
        for (size_t i = 0; i < array_count(keys); i++) {
                if (!span_equal(name, keys[i].name))
                        continue;
                if ((keys[i].key & taken) == 0 || (keys[i].key & read->given) != 0)
                        return false;
                read->given |= keys[i].key;
                if (keys[i].number != NULL)
                        return read_number(value, keys[i].number);
                if (keys[i].word != NULL)
                        *keys[i].word = value;
                return equals != NULL || keys[i].word == NULL;
        }
        return false;
}

bool adminquery_read(struct span query, unsigned taken, struct adminquery *read)
{
        read->given = 0;
        while (query.size > 0) {
                const uint8_t *end = memchr(query.bytes, '&', query.size);
                struct span part = span_of(query.bytes, end == NULL ? query.size : (size_t)(end - query.bytes));
                if (!read_part(part, taken, read))
                        return false;
                query = span_skip(query, end == NULL ? query.size : part.size + 1);
        }
        return true;
}

static int hexadecimal(uint8_t digit)
{
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        digit |= 0x20;
        return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

ssize_t adminquery_decode(struct span word, uint8_t *text)
{
        size_t size = 0;
        for (size_t at = 0; at < word.size; at++) {
                if (word.bytes[at] != '%') {
                        text[size++] = word.bytes[at];
                        continue;
                }
                int high = at + 2 < word.size ? hexadecimal(word.bytes[at + 1]) : -1;
                int low = at + 2 < word.size ? hexadecimal(word.bytes[at + 2]) : -1;
                if (high < 0 || low < 0)
                        return -EPROTO;
                text[size++] = (uint8_t)(high << 4 | low);
                at += 2;
        }
        return (ssize_t)size;
}
