/* Ctrl-C while something long is under way: it comes to a good place, then stops. */
#include <signal.h>

#include "cli.h"

static const int gentle[] = {SIGINT, SIGTERM};
enum { KINDS = sizeof gentle / sizeof *gentle };

static volatile sig_atomic_t interrupted;

/* Whoever asks again wants it now: from here on each of the signals ends the program. */
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

bool cli_interrupted(void) { return interrupted; }
