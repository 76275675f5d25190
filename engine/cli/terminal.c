/* terminal: termios and a few sequences that every terminal since the VT100 knows, so no library of terminals is
 * needed. See the header.
 *
 * Signals are caught, not blocked: a write to a terminal that somebody has stopped (Ctrl-S) must end when the process
 * shall. What a handler does is note the signal and make the event readable. */
#include "engine/cli/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The alternate screen, no cursor, no wrapping; the other way round, and the colours of old. */
static const char take[] = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J";
static const char give[] = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

static struct {
        bool has_keyboard;
        struct termios before;
        volatile sig_atomic_t is_taken;
        volatile sig_atomic_t stop_wanted, suspend_wanted, is_new;
        int event_fd;
} terminal = {.event_fd = -1};

bool terminal_is_capable(void)
{
        const char *type = getenv("TERM");
        return isatty(STDOUT_FILENO) == 1 && type != NULL && type[0] != '\0' && strcmp(type, "dumb") != 0;
}

bool terminal_has_colours(void)
{
        const char *refused = getenv("NO_COLOR");
        return refused == NULL || refused[0] == '\0';
}

bool terminal_is_utf8(void)
{
        return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Only what a signal handler may call. */
static void give_back(void)
{
        if (!terminal.is_taken)
                return;
        terminal.is_taken = 0;
        /* Somebody may have stopped it (Ctrl-S): nothing would leave, and we would wait for that. The kernel starts
         * only what was stopped in the same way. */
        if (terminal.has_keyboard) {
                tcflow(STDOUT_FILENO, TCOOFF);
                tcflow(STDOUT_FILENO, TCOON);
        }
        ssize_t unused = write(STDOUT_FILENO, give, sizeof give - 1);
        (void)unused;
        if (terminal.has_keyboard)
                tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.before);
}

static void take_over(void)
{
        terminal.has_keyboard = tcgetattr(STDIN_FILENO, &terminal.before) == 0;
        if (terminal.has_keyboard) {
                struct termios raw = terminal.before;
                raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
                raw.c_cc[VMIN] = 0; /* a read never waits: poll() does */
                raw.c_cc[VTIME] = 0;
                tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
        }
        terminal.is_taken = 1;
        terminal.is_new = 1;
        ssize_t unused = write(STDOUT_FILENO, take, sizeof take - 1);
        (void)unused;
}

static void on_signal(int signal)
{
        int saved = errno;
        uint64_t one = 1;
        if (signal == SIGTSTP)
                terminal.suspend_wanted = 1;
        else if (signal == SIGWINCH || signal == SIGCONT)
                terminal.is_new = 1;
        else
                terminal.stop_wanted = 1;
        ssize_t unused = write(terminal.event_fd, &one, sizeof one);
        (void)unused;
        errno = saved;
}

/* A fault of our own: the handler has been reset, so the signal does its work when it comes again. */
static void on_fault(int signal)
{
        give_back();
        raise(signal);
}

static void handle(int signal, void (*handler)(int), int flags)
{
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
        sigemptyset(&action.sa_mask);
        sigaction(signal, &action, NULL);
}

int terminal_open(void)
{
        static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
        static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP, SIGXCPU, SIGALRM};
        static bool is_at_exit;
        terminal.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (terminal.event_fd < 0)
                return -errno;
        for (size_t i = 0; i < array_count(caught); i++)
                handle(caught[i], on_signal, 0);
        for (size_t i = 0; i < array_count(faults); i++)
                handle(faults[i], on_fault, (int)SA_RESETHAND);
        if (!is_at_exit)
                atexit(terminal_close);
        is_at_exit = true;
        take_over();
        return 0;
}

void terminal_close(void)
{
        give_back();
        if (terminal.event_fd >= 0) {
                static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
                for (size_t i = 0; i < array_count(caught); i++)
                        handle(caught[i], SIG_DFL, 0);
                close(terminal.event_fd);
                terminal.event_fd = -1;
        }
}

int terminal_event_fd(void)
{
        return terminal.event_fd;
}

/* The handler of SIGTSTP stands aside while the kernel stops us; we go on behind raise(). */
static void suspend(void)
{
        give_back();
        handle(SIGTSTP, SIG_DFL, 0);
        raise(SIGTSTP);
        handle(SIGTSTP, on_signal, 0);
        if (!terminal.stop_wanted)
                take_over();
}

struct terminal_signals terminal_signals(void)
{
        uint64_t unused;
        ssize_t got = read(terminal.event_fd, &unused, sizeof unused);
        (void)got;
        if (terminal.suspend_wanted) {
                terminal.suspend_wanted = 0;
                suspend();
        }
        struct terminal_signals signals = {.is_stopped = terminal.stop_wanted != 0, .is_new = terminal.is_new != 0};
        terminal.is_new = 0;
        return signals;
}

void terminal_size(size_t *width, size_t *height)
{
        struct winsize size;
        *width = 80;
        *height = 24;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
                return;
        if (size.ws_col > 0)
                *width = size.ws_col;
        if (size.ws_row > 0)
                *height = size.ws_row;
}

int terminal_write(struct span bytes)
{
        while (bytes.size > 0) {
                ssize_t written = write(STDOUT_FILENO, bytes.bytes, bytes.size);
                if (written < 0 && errno == EAGAIN) { /* somebody who shares the terminal has made it non-blocking */
                        struct pollfd poller = {.fd = STDOUT_FILENO, .events = POLLOUT};
                        if (poll(&poller, 1, -1) < 0)
                                return -errno;
                        continue;
                }
                if (written < 0)
                        return -errno;
                bytes = span_skip(bytes, (size_t)written);
                /* A signal in the middle shows as less than all of it. */
                if (bytes.size > 0 && (terminal.stop_wanted || terminal.suspend_wanted))
                        return -EINTR;
        }
        return 0;
}

ssize_t terminal_read(uint8_t *bytes, size_t room)
{
        if (!terminal.has_keyboard)
                return -ENOTTY;
        ssize_t got = read(STDIN_FILENO, bytes, room);
        if (got < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        return got;
}
