#include "base/plain.h"

#include <pthread.h>

static locale_t plain;

static void make(void) { plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); } /* cannot fail: built into libc */

locale_t clipb_plain(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make);
    return plain;
}
