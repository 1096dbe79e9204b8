/* What a person reads on stderr: faults, warnings, and the line that shows how far a long job is. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static void print_plain(FILE *f, const char *text, char keep)
{
    for (; *text; text++)
        fputc(((unsigned char)*text < 0x20 || *text == 0x7f) && *text != keep ? '?' : *text, f);
}

void cli_print_plain(FILE *f, const char *text) { print_plain(f, text, 0); }

static void say(const char *kind, const char *format, va_list ap)
{
    char message[2048];
    vsnprintf(message, sizeof message, format, ap);
    cli_progress_hide();
    fprintf(stderr, "clip: %s", kind);
    print_plain(stderr, message, '\n'); /* some messages have lines */
    fputc('\n', stderr);
}

int cli_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("", format, ap);
    va_end(ap);
    return CLI_FAILED;
}

void cli_warn(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("warning: ", format, ap);
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

/* ---- Progress -------------------------------------------------------------------------------------------- */

#define SHOW_AFTER 1.0 /* seconds */
#define SHOW_EVERY 0.2

static struct {
    const char *unit; /* NULL: none under way */
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

static void print_time(long seconds)
{
    if (seconds >= 3600)
        fprintf(stderr, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    else
        fprintf(stderr, "%ld:%02ld", seconds / 60, seconds % 60);
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
        fprintf(stderr, ", ");
        print_time((long)((double)(line.total - line.done) / rate + 0.5));
        fprintf(stderr, " left");
    }
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
