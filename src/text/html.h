/* html.h: replace HTML's character references ("&eacute;", "&#233;", "&#xE9;") by their characters.
 * This is done in place: the characters are never longer than the reference. */
#ifndef CLIPTOK_HTML_H
#define CLIPTOK_HTML_H

#include "text/unicode.h"

/* cliptok_html_unescape(): Python's html.unescape(), which follows HTML 5. Some names count without
 * their semicolon, even as the beginning of a word: "&notit;" becomes "¬it;". Numbers that are not
 * allowed in a text vanish, or become the characters that browsers make of them. */
void cliptok_html_unescape(cliptok_points *t);

/* cliptok_html_unescape_careful(): ftfy's unescape_html(). A reference must end in a semicolon. A
 * name may have been put into capitals as a whole ("P&EACUTE;REZ").
 * @return: whether anything changed */
bool cliptok_html_unescape_careful(cliptok_points *t);

#endif
