/* postmortemfile: see the header. */
#include "engine/cli/postmortemfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)
#define RING_RECORDS_MAX ((uint64_t)1 << 20)
#define NAMES_BYTES_MAX ((size_t)1 << 20)

static int refuse(char error[POSTMORTEMFILE_ERROR_BYTES], const char *why)
{
        snprintf(error, POSTMORTEMFILE_ERROR_BYTES, "%s", why);
        return -EPROTO;
}

/* ---- a place in the file ---- */

struct reader {
        struct span rest;
        bool is_cut; /* more was wanted than there is */
};

static struct span reader_take(struct reader *reader, size_t size)
{
        if (reader->is_cut || reader->rest.size < size) {
                reader->is_cut = true;
                return SPAN_NONE;
        }
        struct span taken = span_of(reader->rest.bytes, size);
        reader->rest = span_skip(reader->rest, size);
        return taken;
}

/* 0 where it is cut. */
static uint64_t reader_number(struct reader *reader)
{
        uint64_t number = 0;
        struct span taken = reader_take(reader, sizeof number);
        if (taken.size > 0)
                memcpy(&number, taken.bytes, sizeof number);
        return number;
}

/* ---- the names ---- */

/* What stands in front of `byte`, which goes as well; all of it where there is none. */
static struct span cut_at(struct span *text, uint8_t byte)
{
        if (text->size == 0)
                return *text;
        const uint8_t *at = memchr(text->bytes, byte, text->size);
        struct span head = at == NULL ? *text : span_of(text->bytes, (size_t)(at - text->bytes));
        *text = span_skip(*text, at == NULL ? text->size : head.size + 1);
        return head;
}

/* The number in front of a blank; UINT64_MAX: it is none that could be a name's. */
static uint64_t cut_number(struct span *text)
{
        struct span digits = cut_at(text, ' ');
        uint64_t number = 0;
        if (digits.size == 0 || digits.size > 3)
                return UINT64_MAX;
        for (size_t i = 0; i < digits.size; i++) {
                if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
                        return UINT64_MAX;
                number = 10 * number + (digits.bytes[i] - '0');
        }
        return number < POSTMORTEMFILE_NAMES ? number : UINT64_MAX;
}

static bool names_parse(struct postmortemfile *file, struct span text)
{
        while (text.size > 0) {
                struct span line = cut_at(&text, '\n'), what = cut_at(&line, ' ');
                uint64_t number = cut_number(&line);
                if (number == UINT64_MAX)
                        return false;
                if (span_equal(what, SPAN("step"))) {
                        file->steps[number] = line;
                } else if (span_equal(what, SPAN("kind"))) {
                        struct postmortem_kind *kind = &file->kinds[number];
                        kind->name = cut_at(&line, '\t');
                        kind->number = cut_at(&line, '\t');
                        kind->more = line;
                } else {
                        return false;
                }
        }
        return true;
}

struct span postmortemfile_field(struct span field, uint64_t number, struct span *value)
{
        struct span name = cut_at(&field, ':');
        *value = SPAN_NONE;
        for (uint64_t i = 0; field.size > 0; i++) {
                struct span word = cut_at(&field, ',');
                if (i == number)
                        *value = word;
        }
        return name;
}

/* ---- the reactors ---- */

static bool rows_add(struct postmortemfile *file, const struct postmortem_row *row)
{
        if (file->rows_count == file->rows_capacity) {
                size_t capacity = file->rows_capacity == 0 ? 4096 : 2 * file->rows_capacity;
                struct postmortem_row *rows = realloc(file->rows, capacity * sizeof *rows);
                if (rows == NULL)
                        return false;
                file->rows = rows;
                file->rows_capacity = capacity;
        }
        file->rows[file->rows_count++] = *row;
        return true;
}

/* The ring's records; where it is cut, those that are there. false: no memory. */
static bool ring_parse(struct postmortemfile *file, struct reader *reader, const struct postmortem_reactor *reactor,
                       unsigned ring, uint64_t records)
{
        uint64_t before = reader_number(reader), words[FLIGHT_WORDS];
        struct reader at = *reader;
        size_t record_bytes = sizeof words;
        reader_take(reader, (size_t)records * record_bytes);
        /* A cut ring has no count behind it: its writer was the crash itself, so nothing was written meanwhile. */
        uint64_t after = reader_number(reader);
        if (reader->is_cut || after < before)
                after = before;
        for (uint64_t i = 0; i < records; i++) {
                struct span record = reader_take(&at, record_bytes);
                if (record.size == 0)
                        break;
                /* The last record with this place in the ring. */
                uint64_t number = before == 0 ? 0 : (before - 1) / records * records + i;
                if (number >= before && number >= records)
                        number -= records;
                if (number >= before || number + records <= after + 1)
                        continue;
                memcpy(words, record.bytes, sizeof words);
                struct postmortem_row row = {.time_ns = words[FLIGHT_TIME],
                                             .who = words[FLIGHT_WHO],
                                             .number = words[FLIGHT_WHAT] >> FLIGHT_WHAT_BITS,
                                             .more = words[FLIGHT_MORE],
                                             .reactor = (uint32_t)reactor->number,
                                             .kind = (uint8_t)words[FLIGHT_WHAT],
                                             .ring = (uint8_t)ring,
                                             .order = number};
                if (!rows_add(file, &row))
                        return false;
        }
        return true;
}

static int reactors_parse(struct postmortemfile *file, struct reader *reader, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        for (uint32_t i = 0; i < file->header.reactors_count && !reader->is_cut; i++) {
                struct postmortem_reactor *reactor = &file->reactors[i];
                reactor->number = reader_number(reader);
                for (unsigned word = 0; word < FLIGHT_NOW; word++)
                        reactor->now[word] = reader_number(reader);
                if (reader->is_cut)
                        break;
                if (reactor->number >= POSTMORTEM_REACTORS_MAX)
                        return refuse(error, "it is damaged: a reactor has a number that none can have");
                file->reactors_count++;
                for (unsigned ring = 0; ring < FLIGHT_RINGS && !reader->is_cut; ring++) {
                        uint64_t records = reader_number(reader);
                        if (!reader->is_cut && (records == 0 || records > RING_RECORDS_MAX))
                                return refuse(error, "it is damaged: a ring has a size that none can have");
                        if (!reader->is_cut && !ring_parse(file, reader, reactor, ring, records))
                                return -ENOMEM;
                }
        }
        return 0;
}

static int row_order(const void *one, const void *other)
{
        const struct postmortem_row *a = one, *b = other;
        if (a->time_ns != b->time_ns)
                return a->time_ns < b->time_ns ? -1 : 1;
        if (a->reactor != b->reactor)
                return a->reactor < b->reactor ? -1 : 1;
        if (a->ring != b->ring)
                return a->ring < b->ring ? -1 : 1;
        return a->order < b->order ? -1 : a->order > b->order;
}

/* ---- the whole ---- */

static int header_check(const struct postmortem_header *header, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        if (memcmp(header->magic, POSTMORTEM_MAGIC, sizeof header->magic) != 0)
                return refuse(error, "it is no postmortem of spate: those begin with " POSTMORTEM_MAGIC);
        if (header->order != POSTMORTEM_ORDER)
                return refuse(error, "it was written by a machine of another byte order; read it on one like that");
        if (header->format != POSTMORTEM_FORMAT)
                return refuse(error, "it is of another format; read it with the spate that wrote it");
        if (header->reason >= POSTMORTEM_REASONS || header->reactors_count > POSTMORTEM_REACTORS_MAX ||
            header->names_bytes > NAMES_BYTES_MAX || header->trace_count > POSTMORTEM_TRACE_MAX)
                return refuse(error, "it is damaged: its header says what cannot be");
        return 0;
}

static int file_parse(struct postmortemfile *file, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        struct reader reader = {.rest = span_of(file->bytes, file->size)};
        struct span header = reader_take(&reader, sizeof file->header);
        if (header.size == 0)
                return refuse(error, file->size == 0 ? "it is empty"
                                                     : "it is shorter than the header of a postmortem; was it cut?");
        memcpy(&file->header, header.bytes, sizeof file->header);
        file->header.thread_name[sizeof file->header.thread_name - 1] = '\0';
        file->header.version[sizeof file->header.version - 1] = '\0';
        int failed = header_check(&file->header, error);
        if (failed != 0)
                return failed;
        struct span names = reader_take(&reader, file->header.names_bytes);
        if (!names_parse(file, names))
                return refuse(error, "it is damaged: its names cannot be read");
        failed = reactors_parse(file, &reader, error);
        if (failed != 0)
                return failed;
        for (uint32_t i = 0; i < POSTMORTEM_TRACE_MAX && !reader.is_cut; i++) {
                file->trace[i] = reader_number(&reader);
                file->trace_count += i < file->header.trace_count && !reader.is_cut;
        }
        file->is_cut = reader.is_cut;
        if (!file->is_cut && reader.rest.size > 0)
                return refuse(error, "it is damaged: something stands behind its end");
        if (file->rows_count > 0)
                qsort(file->rows, file->rows_count, sizeof *file->rows, row_order);
        return 0;
}

int postmortemfile_parse(struct postmortemfile *file, struct span bytes, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        *file = (struct postmortemfile){0};
        file->bytes = malloc(bytes.size + 1);
        if (file->bytes == NULL)
                return refuse(error, "no memory is left for it"), -ENOMEM;
        span_copy(file->bytes, bytes);
        file->size = bytes.size;
        int failed = file_parse(file, error);
        if (failed == -ENOMEM)
                snprintf(error, POSTMORTEMFILE_ERROR_BYTES, "no memory is left for it");
        return failed;
}

/* -errno, and one line. */
static int file_load(int fd, struct postmortemfile *file, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        struct stat status;
        if (fstat(fd, &status) != 0)
                return -errno;
        if (S_ISDIR(status.st_mode))
                return -EISDIR;
        if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > FILE_BYTES_MAX)
                return refuse(error, "it is no file that spate could have written: it is too large, or no file at all");
        uint8_t *bytes = malloc((size_t)status.st_size + 1);
        if (bytes == NULL)
                return -ENOMEM;
        size_t size = 0;
        for (ssize_t got = 1; got > 0 && size<(size_t)status.st_size; size += got> 0 ? (size_t)got : 0)
                got = read(fd, bytes + size, (size_t)status.st_size - size);
        int failed = postmortemfile_parse(file, span_of(bytes, size), error);
        free(bytes);
        return failed;
}

int postmortemfile_read(struct postmortemfile *file, const char *path, char error[POSTMORTEMFILE_ERROR_BYTES])
{
        *file = (struct postmortemfile){0};
        error[0] = '\0';
        /* Not to wait for the writer of a pipe. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        int failed = fd < 0 ? -errno : file_load(fd, file, error);
        if (fd >= 0)
                close(fd);
        if (failed != 0 && error[0] == '\0')
                snprintf(error, POSTMORTEMFILE_ERROR_BYTES, "%s", strerror(-failed));
        return failed;
}

void postmortemfile_fini(struct postmortemfile *file)
{
        free(file->bytes);
        free(file->rows);
        *file = (struct postmortemfile){0};
}
