/* What people read on stderr: errors, warnings, and the progress line. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

void cli_print_plain(FILE *f, const char *text)
{
    int32_t code;
    for (size_t n; (n = clip_text_next(text, &code)) > 0; text += n)
        if (clip_text_shown(code))
            fwrite(text, 1, n, f);
        else
            fputc('?', f);
}

/* Prints one line, whatever the names in it contain. Long messages get a larger buffer if there is
 * memory. */
void cli_say(const char *kind, const char *format, va_list ap)
{
    char shorter[2048], *message = shorter;
    va_list again;
    va_copy(again, ap);
    const int n = vsnprintf(shorter, sizeof shorter, format, ap);
    if (n >= (int)sizeof shorter && (message = malloc((size_t)n + 1)))
        vsnprintf(message, (size_t)n + 1, format, again);
    va_end(again);
    cli_progress_hide();
    fprintf(stderr, "clip: %s", kind);
    cli_print_plain(stderr, message ? message : shorter);
    fputc('\n', stderr);
    if (message != shorter)
        free(message);
}

int cli_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say("", format, ap);
    va_end(ap);
    return CLI_FAILED;
}

void cli_warn(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cli_say("warning: ", format, ap);
    va_end(ap);
}

int cli_no_memory(void) { return cli_fail("out of memory"); }

int cli_status(clip_status s, const char *what)
{
    if (s == CLIP_OK)
        return CLI_DONE;
    return cli_fail("%s: %s", what, clip_status_message(s));
}

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Progress -------------------------------------------------------------------------------- */

#define SHOW_AFTER 1.0 /* seconds */
#define SHOW_EVERY 0.2

static struct {
    const char *unit; /* NULL: no progress line */
    long done, total;
    double start, shown;
    bool visible;
} line;

void cli_progress_start(const char *unit, long total)
{
    line.unit = isatty(STDERR_FILENO) ? unit : NULL;
    line.done = 0;
    line.total = total;
    line.start = cli_now();
    line.shown = line.start + SHOW_AFTER - SHOW_EVERY;
}

const char *cli_time(double seconds, char out[24])
{
    const long s = seconds < 1e9 ? (long)(seconds + 0.5) : 1000000000;
    if (s >= 3600)
        snprintf(out, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 24, "%ld:%02ld", s / 60, s % 60);
    return out;
}

void cli_progress_step(long n)
{
    double now = cli_now();
    line.done += n;
    if (!line.unit || now - line.shown < SHOW_EVERY)
        return;
    double rate = (double)line.done / (now - line.start);
    fprintf(stderr, "\r\033[K%ld", line.done);
    if (line.total > 0)
        fprintf(stderr, "/%ld", line.total);
    fprintf(stderr, rate < 10 ? " %s, %.1f/s" : " %s, %.0f/s", line.unit, rate);
    if (line.total > line.done && line.done > 0) {
        char left[24];
        fprintf(stderr, ", %s left", cli_time((double)(line.total - line.done) / rate, left));
    }
    fflush(stderr);
    line.shown = now;
    line.visible = true;
}

bool cli_terminal(void) { return isatty(STDERR_FILENO); }

/* A text wider than the terminal would wrap, and \r cannot erase wrapped lines. */
void cli_progress_show(const char *text)
{
    const double now = cli_now();
    struct winsize size;
    if (now - line.shown < SHOW_EVERY || !cli_terminal())
        return;
    const int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
    fprintf(stderr, "\r\033[K%.*s", width, text);
    fflush(stderr);
    line.shown = now;
    line.visible = true;
}

void cli_progress_hide(void)
{
    if (line.visible)
        fprintf(stderr, "\r\033[K");
    line.visible = false;
}

void cli_progress_end(void)
{
    cli_progress_hide();
    line.unit = NULL;
}
