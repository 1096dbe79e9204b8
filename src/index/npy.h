/* npy.h: matrices that others have written with NumPy.
 *
 *     6 bytes     "\x93NUMPY"
 *     2 bytes     version: 1.0, 2.0 or 3.0
 *     2 or 4      length of the header, little-endian (4 from version 2.0 on)
 *     header      a dictionary: {'descr': '<f2', 'fortran_order': False, 'shape': (1000, 512), }
 *     the rest    the numbers
 *
 * Format: numpy/lib/format.py. What array.h reads and writes is one special case of it. */
#ifndef CLIPIDX_NPY_H
#define CLIPIDX_NPY_H

#include "base/file.h"
#include "kernels/set.h"

typedef struct clipidx_npy {
    clipb_map map;
    const unsigned char *data; /* no alignment is promised */
    int64_t rows;
    int columns, bytes;        /* of a row; of a number: 2, 4 or 8 */
} clipidx_npy;

/* clipidx_npy_open(): map a file; afterwards all its rows are inside.
 * Errors: CLIP_EIO, CLIP_EFORMAT, CLIP_EUNSUPPORTED (other than a matrix of little-endian floats in
 * C order), CLIP_ELIMIT (too many columns). */
clip_status clipidx_npy_open(const char *path, clipidx_npy *out, clip_error *err);
void clipidx_npy_close(clipidx_npy *a);

/* clipidx_npy_row(): row i, in f32. */
void clipidx_npy_row(const clipidx_npy *a, const clipk_set *set, int64_t i, float *out);

#endif
