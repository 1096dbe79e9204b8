/* Days, months and years of a person's calendar as seconds since 1970. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/status.h"
#include "collection/query.h"

static bool is_before(time_t at, const struct tm *day)
{
    struct tm is;
    if (!localtime_r(&at, &is))
        return false;
    return is.tm_year != day->tm_year ? is.tm_year < day->tm_year : is.tm_yday < day->tm_yday;
}

/* The first second of a day, in local time. mktime() does not know it: where clocks change at
 * midnight it comes twice or not at all, and a zone that changed sides of the date line left out a
 * whole day. */
static time_t begin_of(struct tm day)
{
    enum { TWO_DAYS = 2 * 86400 };      /* more than any zone is off */
    const time_t middle = timegm(&day); /* in `day` the 32nd becomes the 1st */
    time_t before = middle - TWO_DAYS, from = middle + TWO_DAYS;
    while (from - before > 1) {
        const time_t at = before + (from - before) / 2;
        if (is_before(at, &day))
            before = at;
        else
            from = at;
    }
    return from;
}

/* 0 is no bound to clip_index_filter. */
static int64_t as_bound(time_t at) { return at != 0 ? at : 1; }

clip_status clipcol_date_parse(const char *text, int64_t *begin, int64_t *end)
{
    int year = 0, month = 1, day = 1, used[3] = {0};
    if (!text)
        return CLIP_EINVAL;
    const int n = sscanf(text, "%4d%n-%2d%n-%2d%n", &year, &used[0], &month, &used[1], &day, &used[2]);
    const size_t length = strspn(text, "0123456789-");
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    if (n >= 1)
        timegm(&t); /* there is no 30th of February: another date comes out */
    if (n < 1 || (size_t)used[n - 1] != length || text[length] || length != (size_t)(1 + 3 * n) || year < 1000 ||
        t.tm_mon != month - 1 || t.tm_mday != day)
        return CLIP_EINVAL;
    *begin = as_bound(begin_of(t));
    *end = as_bound(begin_of((struct tm){
        .tm_year = year - 1900 + (n == 1), .tm_mon = month - 1 + (n == 2), .tm_mday = day + (n == 3)}));
    return CLIP_OK;
}
