/* Pictures in a terminal, in the protocols of three families of terminals:
 *
 *   kitty   ESC _G keys ; base64 of PNG ESC \    kitty, Ghostty
 *   iTerm2  ESC ]1337;File=keys : base64 BEL     iTerm2, WezTerm, mintty
 *   sixel   ESC P q bands of six rows ESC \      xterm -ti vt340, foot, Konsole
 *
 * Specifications: sw.kovidgoyal.net/kitty/graphics-protocol, iterm2.com/documentation-images.html,
 * DEC's VT330/VT340 manual, chapter 14.
 *
 * Environment variables tell the first two. Sixel is told by the terminal's answer to the query DA1
 * ("what are you?"). Within tmux and screen only that answer counts, because they pass on only what
 * they support. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

#define ANSWER_MS 300 /* a near terminal takes 1 ms; one across the world takes this long */

/* ---- What the terminal supports -------------------------------------------------------------- */

static bool is(const char *variable, const char *value)
{
    const char *s = getenv(variable);
    return s && *s && (!value || strcmp(s, value) == 0);
}

/* An answer to DA1 looks like ESC [ ? 62 ; 4 ; 22 c. A 4 among the numbers means sixel. */
static bool answers_sixel(const char *answer)
{
    const char *s = strstr(answer, "\033[?");
    for (s = s ? s + 3 : ""; *s && *s != 'c';) {
        char *end;
        const long number = strtol(s, &end, 10);
        if (end == s)
            return false;
        if (number == 4)
            return true;
        s = end + (*end == ';');
    }
    return false;
}

static void read_answer(int fd, char *answer, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    const double until = cli_now() + ANSWER_MS / 1000.0;
    for (double now = cli_now(); now < until && n + 1 < size && !memchr(answer, 'c', n); now = cli_now()) {
        if (poll(&p, 1, 1 + (int)(1000 * (until - now))) <= 0)
            break;
        const ssize_t got = read(fd, answer + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    answer[n] = 0;
}

/* Query the terminal only from the foreground, and restore its state. */
static bool ask_sixel(void)
{
    struct termios old, raw;
    char answer[64] = "";
    const int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (tcgetpgrp(fd) == getpgrp() && tcgetattr(fd, &old) == 0) {
        raw = old;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(fd, TCSANOW, &raw) == 0) {
            if (write(fd, "\033[c", 3) == 3)
                read_answer(fd, answer, sizeof answer);
            tcsetattr(fd, TCSANOW, &old);
        }
    }
    close(fd);
    return answers_sixel(answer);
}

cli_graphics cli_graphics_find(void)
{
    const char *term = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0 || strcmp(term, "linux") == 0)
        return CLI_GRAPHICS_NONE;
    if (!is("TMUX", NULL) && strncmp(term, "screen", 6) != 0 && strncmp(term, "tmux", 4) != 0) {
        if (is("TERM", "xterm-kitty") || is("KITTY_WINDOW_ID", NULL) || is("TERM_PROGRAM", "ghostty"))
            return CLI_GRAPHICS_KITTY;
        if (is("TERM_PROGRAM", "iTerm.app") || is("TERM_PROGRAM", "WezTerm") || is("TERM_PROGRAM", "mintty"))
            return CLI_GRAPHICS_ITERM;
    }
    return ask_sixel() ? CLI_GRAPHICS_SIXEL : CLI_GRAPHICS_NONE;
}

void cli_terminal_cells(int *columns, int *cell_width, int *cell_height)
{
    struct winsize size;
    *columns = 80;
    *cell_width = 10; /* values of the VT340 */
    *cell_height = 20;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return;
    *columns = size.ws_col;
    if (size.ws_xpixel >= 4 * size.ws_col && size.ws_ypixel >= 4 * size.ws_row) {
        *cell_width = size.ws_xpixel / size.ws_col;
        *cell_height = size.ws_ypixel / size.ws_row;
    }
}

/* ---- Kitty and iTerm2: a PNG in base64 ------------------------------------------------------- */

static void write_kitty(FILE *f, const uint8_t *png, size_t size)
{
    enum { CHUNK = 3072 }; /* 4096 characters, the most that one escape may carry */
    for (size_t i = 0; i < size; i += CHUNK) {
        const size_t n = size - i < CHUNK ? size - i : CHUNK;
        fprintf(f, i == 0 ? "\033_Ga=T,f=100,q=2,m=%d;" : "\033_Gm=%d;", i + n < size);
        cli_write_base64(f, png + i, n);
        fputs("\033\\", f);
    }
}

static void write_iterm(FILE *f, const clip_image *img, const uint8_t *png, size_t size)
{
    fprintf(f, "\033]1337;File=inline=1;size=%zu;width=%dpx;height=%dpx:", size, img->width, img->height);
    cli_write_base64(f, png, size);
    fputc('\a', f);
}

/* ---- Sixel: 216 colours, Floyd-Steinberg dithering ------------------------------------------ */

enum { LEVELS = 6, COLOURS = LEVELS * LEVELS * LEVELS, BAND = 6 };

static int nearest_level(int v) { return v <= 0 ? 0 : v >= 255 ? LEVELS - 1 : (v * (LEVELS - 1) + 127) / 255; }

/* error [2, width + 2, 3]: for this row and the next, in sixteenths, with one more column on each
 * side. */
static void dither_row(const clip_image *img, int y, int *error, uint8_t *out)
{
    const size_t stride = 3 * ((size_t)img->width + 2);
    int *here = error + (size_t)(y & 1) * stride, *next = error + (size_t)(~y & 1) * stride;
    memset(next, 0, stride * sizeof *next);
    for (int x = 0; x < img->width; x++) {
        int colour = 0;
        for (int c = 0; c < 3; c++) {
            const size_t at = 3 * (size_t)(x + 1) + (size_t)c;
            const int wanted = img->rgb[(size_t)y * img->stride + 3 * (size_t)x + (size_t)c] + here[at] / 16;
            const int level = nearest_level(wanted), e = wanted - level * 255 / (LEVELS - 1);
            colour = colour * LEVELS + level;
            here[at + 3] += 7 * e;
            next[at - 3] += 3 * e;
            next[at] += 5 * e;
            next[at + 3] += e;
        }
        out[x] = (uint8_t)colour;
    }
}

static void write_run(FILE *f, int sixel, int n)
{
    if (n > 3)
        fprintf(f, "!%d%c", n, 63 + sixel);
    else
        while (n-- > 0)
            fputc(63 + sixel, f);
}

/* One colour of a band: for each column, the bits of the rows that have this colour. Blank columns
 * at the end are left out. */
static void write_colour(FILE *f, const uint8_t *band, int width, int rows, int colour)
{
    int last = 0, n = 0;
    fprintf(f, "#%d", colour);
    for (int x = 0; x < width; x++) {
        int sixel = 0;
        for (int y = 0; y < rows; y++)
            sixel |= (band[y * width + x] == colour) << y;
        if (sixel != last) {
            write_run(f, last, n);
            n = 0;
        }
        last = sixel;
        n++;
    }
    if (last)
        write_run(f, last, n);
    fputc('$', f);
}

static void write_palette(FILE *f)
{
    for (int i = 0; i < COLOURS; i++)
        fprintf(f, "#%d;2;%d;%d;%d", i, i / (LEVELS * LEVELS) * 100 / (LEVELS - 1),
                i / LEVELS % LEVELS * 100 / (LEVELS - 1), i % LEVELS * 100 / (LEVELS - 1));
}

static int write_sixel(FILE *f, const clip_image *img)
{
    int *error = calloc(2 * 3 * ((size_t)img->width + 2), sizeof *error);
    uint8_t *band = malloc(BAND * (size_t)img->width);
    if (error && band) {
        fprintf(f, "\033P0;1;0q\"1;1;%d;%d", img->width, img->height);
        write_palette(f);
        for (int y = 0; y < img->height; y += BAND) {
            const int rows = img->height - y < BAND ? img->height - y : BAND;
            bool used[COLOURS] = {false};
            for (int r = 0; r < rows; r++) {
                dither_row(img, y + r, error, band + r * img->width);
                for (int x = 0; x < img->width; x++)
                    used[band[r * img->width + x]] = true;
            }
            for (int i = 0; i < COLOURS; i++)
                if (used[i])
                    write_colour(f, band, img->width, rows, i);
            if (y + rows < img->height) /* a new line after the last band might scroll */
                fputc('-', f);
        }
        fputs("\033\\", f);
    }
    const int code = error && band ? CLI_DONE : cli_no_memory();
    free(error);
    free(band);
    return code;
}

int cli_show(FILE *f, cli_graphics graphics, const clip_image *img)
{
    uint8_t *png;
    size_t size;
    if (graphics == CLI_GRAPHICS_SIXEL)
        return write_sixel(f, img);
    DO(cli_encode_png(img, &png, &size));
    if (graphics == CLI_GRAPHICS_KITTY)
        write_kitty(f, png, size);
    else
        write_iterm(f, img, png, size);
    free(png);
    return CLI_DONE;
}
