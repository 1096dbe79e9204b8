/* What all pages share: the head, styles for light and dark, escaping, pictures in the style
 * sheet. */
#include <string.h>

#include "cli.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#667085;--line:#e4e7ec;"
    "--bar:#e9edf8;--best:#3b5bdb;"
    "--tile:#fff;--right:#12805c;--second:#d9480f;--third:#0c8599}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--ink:#e8ebf0;--soft:#98a2b3;"
    "--line:#2b323e;--bar:#2a303d;"
    "--best:#8da2fb;--right:#51cf9b;--second:#ff9f5a;--third:#66d9e8}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1280px;margin:0 auto;padding:40px 24px 64px}\n"
    "h1{font-size:26px;margin:0 0 6px;letter-spacing:-.01em}\n"
    "h2{font-size:19px;margin:44px 0 4px}\n"
    "p{color:var(--soft);margin:0 0 20px;max-width:75ch}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden}\n"
    ".pic{background:var(--tile) center/contain no-repeat content-box border-box}\n"
    /* right-to-left names and captions must not reorder text beside them */
    "main *{unicode-bidi:isolate}\n"
    "@media(max-width:460px){main{padding:24px 12px}}\n";

void cli_html_head(FILE *f, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>", f);
    cli_html_text(f, title);
    fprintf(f, "</title>\n<style>\n%s", style);
}

void cli_html_text(FILE *f, const char *text)
{
    int32_t code;
    for (size_t n; (n = clip_text_next(text, &code)) > 0; text += n)
        switch (code) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        case '\'': fputs("&#39;", f); break;
        case '\t':
        case '\n':
        case '\r': fputc(' ', f); break;
        default:
            if (clip_text_shown(code))
                fwrite(text, 1, n, f);
            else
                fputs("&#xfffd;", f);
        }
}

int cli_html_thumbnail(FILE *f, long number, const clip_image *thumbnail)
{
    fprintf(f, ".p%ld{background-image:url(", number);
    DO(cli_write_data_uri(f, thumbnail));
    fputs(")}\n", f);
    return CLI_DONE;
}

const char *cli_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}
