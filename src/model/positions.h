/* positions.h: learned positions of patches, for a grid of another size than they were made for. */
#ifndef CLIPMDL_POSITIONS_H
#define CLIPMDL_POSITIONS_H

#include <stdbool.h>

#include "base/status.h"

/* A table of positions: `first` rows that belong to no patch, then a row for each patch of a square
 * grid. */
typedef struct clipmdl_positions {
    int first;     /* rows in front of the grid, which are kept as they are */
    int side;      /* of the grid in use */
    int stored;    /* of the grid in a file */
} clipmdl_positions;

static inline int clipmdl_positions_rows(const clipmdl_positions *p) { return p->first + p->side * p->side; }
static inline int clipmdl_positions_stored(const clipmdl_positions *p) { return p->first + p->stored * p->stored; }

/* clipmdl_positions_resample(): bicubic, as PyTorch's interpolate() with align_corners false.
 * out        out  [first + side * side, C]
 * in         in   [first + stored * stored, C]
 * antialias  in   where the grid shrinks, average over more of it
 * Errors: CLIP_ENOMEM. */
clip_status clipmdl_positions_resample(float *out, const float *in, const clipmdl_positions *p, int C, bool antialias);

/* clipmdl_positions_bilinear(): for a grid of any shape, bilinear, averaging where the grid
 * shrinks, as PyTorch's interpolate(mode="bilinear", antialias=True).
 * out  out  [rows * columns, C]
 * in   in   [stored * stored, C], stored at most CLIPMDL_MOST_GRID */
void clipmdl_positions_bilinear(float *out, int rows, int columns, const float *in, int stored, int C);

#endif
