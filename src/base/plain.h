/* plain.h: C's own locale. Files, options and names must mean the same whatever locale the program
 * has chosen: a decimal comma in JSON, or a Turkish i in ".GIF", would be a fault.
 *
 *     strtod_l(text, &end, clipb_plain())
 *     strcasecmp_l(ending, ".gif", clipb_plain())
 *
 *     const locale_t before = uselocale(clipb_plain());    this thread's, for printf() and libraries
 *     ...
 *     uselocale(before); */
#ifndef CLIPB_PLAIN_H
#define CLIPB_PLAIN_H

#include <locale.h>

/* clipb_plain(): the same object for the whole process; nobody frees it. */
locale_t clipb_plain(void);

#endif
