/* html.h: character references ("&eacute;", "&#233;", "&#xE9;") in code points, in place: what a
 * reference stands for is never longer than the reference. */
#ifndef CLIPTOK_HTML_H
#define CLIPTOK_HTML_H

#include "text/unicode.h"

/* cliptok_html_unescape(): Python's html.unescape(), that is HTML 5: some names count without their
 * semicolon and even as the beginning of a word ("&notit;" is "¬it;"), numbers that no text may
 * hold vanish or become what browsers make of them. */
void cliptok_html_unescape(cliptok_points *t);

/* cliptok_html_unescape_careful(): ftfy's unescape_html(): only what ends in a semicolon, but also
 * names that have been put into capitals as a whole ("P&EACUTE;REZ"). Returns whether anything
 * changed. */
bool cliptok_html_unescape_careful(cliptok_points *t);

#endif
