/* Ctrl-C during a long job: the job stops at the next good place. A mapped file that is cut short:
 * the program ends. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const int gentle[] = {SIGINT, SIGTERM};
enum { KINDS = sizeof gentle / sizeof *gentle };

static volatile sig_atomic_t interrupted;

/* After the first signal, any further one ends the program. */
static void on_signal(int number)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction old;
    (void)number;
    interrupted = 1;
    for (int i = 0; i < KINDS; i++)
        if (sigaction(gentle[i], NULL, &old) == 0 && old.sa_handler == on_signal)
            sigaction(gentle[i], &standard, NULL);
}

void cli_catch_signals(void)
{
    const struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction old;
    for (int i = 0; i < KINDS; i++)
        if (sigaction(gentle[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(gentle[i], &act, NULL);
}

void cli_release_signals(void)
{
    struct sigaction old;
    for (int i = 0; i < KINDS; i++)
        if (sigaction(gentle[i], NULL, &old) == 0 && old.sa_handler == on_signal)
            signal(gentle[i], SIG_DFL);
}

bool cli_interrupted(void) { return interrupted; }

/* ---- Files that are cut short ---------------------------------------------------------------- */

enum { LONGEST = 4096 };

static size_t put(char *line, size_t n, const char *text)
{
    int32_t code;
    for (size_t bytes; (bytes = clip_text_next(text, &code)) > 0 && n + bytes < LONGEST; text += bytes) {
        const bool shown = clip_text_shown(code);
        memcpy(line + n, shown ? text : "?", shown ? bytes : 1);
        n += shown ? bytes : 1;
    }
    return n;
}

/* Only what a signal handler may do: no stdio, no allocation. */
static void on_cut_file(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code != BUS_ADRERR) { /* hardware, or a bug of ours: fail again without handler */
        signal(number, SIG_DFL);
        return;
    }
    char line[LONGEST + 1];
    const char *name = clip_mapped_file(info->si_addr);
    size_t n = put(line, 0, "clip: ");
    n = put(line, n, name ? name : "a file");
    n = put(line, n, ": has been cut short by another program while it was read");
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
    } /* there is nowhere to report it */
    cli_out_abandon();
    _exit(CLI_FAILED);
}

void cli_catch_cut_files(void)
{
    struct sigaction act = {.sa_sigaction = on_cut_file, .sa_flags = SA_SIGINFO};
    sigemptyset(&act.sa_mask);
    sigaction(SIGBUS, &act, NULL);
}
