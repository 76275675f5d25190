/* memstream: a FILE whose writes come here. See the header. */
#include "engine/base/memstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN ((size_t)256)

static ssize_t memstream_write(void *context, const char *bytes, size_t size)
{
        struct memstream *stream = context;
        size_t room = stream->room;
        while (room < stream->size + size + 1)
                room *= 2;
        char *text = room == stream->room ? stream->text : realloc(stream->text, room);
        if (text == NULL) {
                stream->has_failed = true;
                return 0;
        }
        stream->text = text;
        stream->room = room;
        memcpy(text + stream->size, bytes, size);
        stream->size += size;
        return (ssize_t)size;
}

int memstream_open(struct memstream *stream)
{
        *stream = (struct memstream){.text = malloc(ROOM_MIN), .room = ROOM_MIN};
        if (stream->text != NULL)
                stream->out = fopencookie(stream, "w", (cookie_io_functions_t){.write = memstream_write});
        if (stream->out != NULL)
                return 0;
        free(stream->text);
        *stream = (struct memstream){0};
        return -ENOMEM;
}

char *memstream_close(struct memstream *stream, size_t *size)
{
        bool is_whole = fclose(stream->out) == 0 && !stream->has_failed;
        char *text = stream->text;
        if (is_whole) {
                text[stream->size] = '\0';
        } else {
                free(text);
                text = NULL;
        }
        if (size != NULL)
                *size = stream->size;
        *stream = (struct memstream){0};
        return text;
}
