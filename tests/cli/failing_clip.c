/* failing_clip.c: the command, in which allocation number $FAIL_ALLOC_AT fails. Linked with all of
 * cli/ and failing_alloc.c. */
#include <stdlib.h>

#include "failing_alloc.h"

__attribute__((constructor)) static void arm(void)
{
    const char *n = getenv("FAIL_ALLOC_AT");
    if (n)
        fail_alloc_at(atol(n));
}
