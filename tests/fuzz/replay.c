/* replay: a fuzz target without a fuzzer, so that every compiler can run it as a test: the files of the corpus as they
 * are, then seeded mutations and joints of them. The same arguments give the same inputs.
 *
 *      fuzz_x CORPUS-FOLDER ROUNDS [SEED] */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/span.h"
#include "tests/seeded.h"

#define FILES_MAX 4096
#define INPUT_BYTES_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span files[FILES_MAX];
static size_t files_count;

static struct span read_file(const char *path)
{
        FILE *file = fopen(path, "rb");
        uint8_t *bytes = malloc(INPUT_BYTES_MAX);
        if (file == NULL || bytes == NULL) {
                perror(path);
                exit(1);
        }
        size_t size = fread(bytes, 1, INPUT_BYTES_MAX, file);
        fclose(file);
        return span_of(bytes, size);
}

static int is_file(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static void read_corpus(const char *folder)
{
        struct dirent **entries;
        int count = scandir(folder, &entries, is_file, alphasort); /* sorted: the seed means the same everywhere */
        if (count < 0) {
                perror(folder);
                exit(1);
        }
        for (int i = 0; i < count; i++) {
                char path[4096];
                snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
                if (files_count < FILES_MAX)
                        files[files_count++] = read_file(path);
                free(entries[i]);
        }
        free(entries);
}

/* From memory of exactly its size, so that a sanitizer sees a byte too many. */
static void run(const uint8_t *bytes, size_t size)
{
        uint8_t *copy = malloc(size == 0 ? 1 : size);
        if (size != 0)
                memcpy(copy, bytes, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

/* The start of one file and the end of another. */
static size_t join(uint64_t *seed, uint8_t *out)
{
        struct span first = files[seeded_below(seed, files_count)];
        struct span second = files[seeded_below(seed, files_count)];
        first.size = seeded_below(seed, 2) == 0 ? first.size : seeded_below(seed, first.size + 1);
        second = span_skip(second, seeded_below(seed, second.size + 1));
        if (first.size + second.size > INPUT_BYTES_MAX)
                second.size = INPUT_BYTES_MAX - first.size;
        return (size_t)(span_copy(span_copy(out, first), second) - out);
}

int main(int argc, char **argv)
{
        static const char special[] = " \t\r\n.0129{}[]\",:\\/+-*>_aAzZ\0\x7f\x80\xc3\xff";
        static uint8_t input[INPUT_BYTES_MAX];
        if (argc < 3) {
                fprintf(stderr, "usage: %s CORPUS-FOLDER ROUNDS [SEED]\n", argv[0]);
                return 2;
        }
        unsigned long long rounds = strtoull(argv[2], NULL, 10);
        uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
        read_corpus(argv[1]);
        if (files_count == 0) {
                fprintf(stderr, "%s: no files\n", argv[1]);
                return 1;
        }
        for (size_t i = 0; i < files_count; i++)
                run(files[i].bytes, files[i].size);
        for (unsigned long long round = 0; round < rounds; round++) {
                size_t size = join(&seed, input);
                size = seeded_mutate(&seed, input, size, sizeof(input), special, sizeof(special) - 1);
                run(input, size);
        }
        printf("%zu files and %llu mutations\n", files_count, rounds);
        for (size_t i = 0; i < files_count; i++)
                free((void *)(uintptr_t)files[i].bytes);
        return 0;
}
