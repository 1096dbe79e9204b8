/* clock.h: a clock that only goes forward. */
#ifndef CLIPB_CLOCK_H
#define CLIPB_CLOCK_H

/* clipb_now(): seconds since an arbitrary moment in the past (CLOCK_MONOTONIC). */
double clipb_now(void);

#endif
