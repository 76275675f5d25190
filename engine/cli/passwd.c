/* passwd: reads a password from the terminal, without showing it, or the first line of standard input, and prints the
 * line for the users file. Never from the command line, which everybody on the machine can read. See the header. */
#include "engine/cli/passwd.h"

#include <crypt.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "engine/access/auth.h"
#include "engine/base/random.h"
#include "engine/exit_table.h"

enum passwd_option { PASSWD_COST, PASSWD_TOKEN, PASSWD_OPTIONS };

static const struct option_row rows[PASSWD_OPTIONS] = {
        [PASSWD_COST] = {.name = "cost",
                         .type = OPTION_COUNT,
                         .value = "11",
                         .min = 4,
                         .max = BCRYPT_COST_MAX,
                         .help = "of bcrypt: each step doubles the work of a login, and of a guess"},
        [PASSWD_TOKEN] = {.name = "token",
                          .type = OPTION_BOOL,
                          .value = "false",
                          .max = 1,
                          .help = "draw a long random token, and print it and its line"},
};

const struct option_set passwd_options = {rows, PASSWD_OPTIONS, false};

#define LINE_BYTES_MAX 4096

/* The terminal as it was, for when a signal ends us at the question. */
static struct termios terminal_before;

static void on_signal(int signal)
{
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
        _exit(128 + signal);
}

/* One line without its end; -1 with a message. At the terminal it is not shown. */
static ssize_t read_line(const char *question, char line[LINE_BYTES_MAX])
{
        bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal_before) == 0;
        if (is_terminal) {
                struct termios quiet = terminal_before;
                struct sigaction action = {.sa_handler = on_signal};
                sigemptyset(&action.sa_mask);
                sigaction(SIGINT, &action, NULL);
                sigaction(SIGTERM, &action, NULL);
                quiet.c_lflag &= ~(tcflag_t)ECHO;
                tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
                fputs(question, stderr);
        }
        ssize_t size = 0, got = 0;
        while (size < LINE_BYTES_MAX && (got = read(STDIN_FILENO, line + size, 1)) == 1 && line[size] != '\n')
                size++;
        if (is_terminal) {
                tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
                fputc('\n', stderr);
        }
        if (got < 0) {
                fprintf(stderr, "spate passwd: cannot read standard input: %s\n", strerror(errno));
                return -1;
        }
        if (size == LINE_BYTES_MAX) {
                fprintf(stderr, "spate passwd: the line is too long: a password has at most %d bytes\n",
                        AUTH_PASSWORD_BYTES_MAX);
                return -1;
        }
        if (size > 0 && line[size - 1] == '\r')
                size--;
        line[size] = '\0';
        return size;
}

/* NULL, or why it cannot be a password. */
static const char *password_fault(const char *line, size_t size)
{
        if (size == 0)
                return "it is empty";
        if (size > AUTH_PASSWORD_BYTES_MAX)
                return "it is longer than 72 bytes, and bcrypt would not see the rest";
        if (memchr(line, '\0', size) != NULL)
                return "it has a NUL byte, and bcrypt would not see what follows";
        return NULL;
}

static int print_password(unsigned long cost)
{
        char line[LINE_BYTES_MAX], again[LINE_BYTES_MAX], random_bytes[16];
        ssize_t size = read_line("password: ", line);
        if (size < 0)
                return EXIT_FAILED;
        const char *why = password_fault(line, (size_t)size);
        if (why == NULL && isatty(STDIN_FILENO)) {
                ssize_t again_size = read_line("once more: ", again);
                if (again_size < 0)
                        return EXIT_FAILED;
                if (again_size != size || sodium_memcmp(line, again, (size_t)size) != 0)
                        why = "the two are not the same";
                sodium_memzero(again, sizeof again);
        }
        if (why != NULL) {
                sodium_memzero(line, sizeof line);
                fprintf(stderr, "spate passwd: this cannot be a password: %s\n", why);
                return EXIT_FAILED;
        }
        struct crypt_data *data = calloc(1, sizeof *data);
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];
        random_secret(random_bytes, sizeof random_bytes);
        const char *hash = NULL;
        if (data != NULL &&
            crypt_gensalt_rn("$2b$", cost, random_bytes, sizeof random_bytes, setting, sizeof setting) != NULL)
                hash = crypt_rn(line, setting, data, sizeof *data);
        sodium_memzero(line, sizeof line);
        bool is_made = hash != NULL;
        if (is_made)
                printf("password: \"%s\"\n", hash);
        else
                fprintf(stderr, "spate passwd: this system's crypt() makes no bcrypt hashes\n");
        free(data);
        return is_made ? EXIT_OK : EXIT_FAILED;
}

/* The token goes to whoever is to use it, its line to the file: nobody need ever type it. */
static int print_token(void)
{
        uint8_t drawn[24], digest[crypto_hash_sha256_BYTES];
        char token[2 * sizeof drawn + 1], hex[2 * sizeof digest + 1];
        random_secret(drawn, sizeof drawn);
        sodium_bin2hex(token, sizeof token, drawn, sizeof drawn);
        crypto_hash_sha256(digest, (const uint8_t *)token, sizeof token - 1);
        sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
        fprintf(stderr, "the token, for the client alone; it is not shown again: ");
        fflush(stderr);
        printf("%s\n", token);
        fflush(stdout);
        fprintf(stderr, "the line for the users file:\n");
        printf("token: \"sha256:%s\"\n", hex);
        sodium_memzero(token, sizeof token);
        return EXIT_OK;
}

int passwd_main(int argc, char **argv)
{
        struct options options;
        char error[OPTIONS_ERROR_BYTES] = "";
        int next = 2, status = EXIT_USAGE;
        if (options_init(&options, rows, PASSWD_OPTIONS) != 0 || sodium_init() < 0)
                return EXIT_FAILED;
        if (options_read_flags(&options, argc, argv, 2, &next, error) == 0) {
                if (next < argc)
                        snprintf(error, sizeof error,
                                 "a password is never given on the command line, where others can read it: type it, or "
                                 "send it to standard input");
                else if (options_number(&options, PASSWD_TOKEN) != 0)
                        status = print_token();
                else
                        status = print_password(options_number(&options, PASSWD_COST));
        }
        if (error[0] != '\0')
                fprintf(stderr, "spate passwd: %s\n", error);
        options_fini(&options);
        return status;
}
