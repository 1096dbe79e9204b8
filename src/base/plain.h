/* plain.h: the "C" locale. Files, options and names must mean the same in every locale that the
 * program may choose. A decimal comma in JSON, or a Turkish i in ".GIF", would be an error.
 *
 *     strtod_l(text, &end, clipb_plain())
 *     strcasecmp_l(ending, ".gif", clipb_plain())
 *
 *     const locale_t before = uselocale(clipb_plain());    for printf() and libraries
 *     ...
 *     uselocale(before); */
#ifndef CLIPB_PLAIN_H
#define CLIPB_PLAIN_H

#include <locale.h>

/* clipb_plain(): one object for the whole process. Do not free it. */
locale_t clipb_plain(void);

#endif
