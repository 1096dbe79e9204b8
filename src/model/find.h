/* find.h: what bind.c and quantised.c share: finding the tensors of a file for a binder, which
 * collects what is wrong with them. */
#ifndef CLIPMDL_FIND_H
#define CLIPMDL_FIND_H

#include "model/bind.h"

/* clipmdl_bind_fault(): one more fault; the same one counts once. */
__attribute__((format(printf, 2, 3))) void clipmdl_bind_fault(clipmdl_binder *b, const char *fmt, ...);

/* clipmdl_bind_find(): the tensor `name`, if it has exactly this shape and is of the type `dtype`;
 * NULL: of a type of weights. Otherwise NULL, and a fault while measuring. */
clipmdl_tensor *clipmdl_bind_find(clipmdl_binder *b, const char *name, const char *dtype, int ndim,
                                  const int64_t *dim);

/* clipmdl_bind_check(): its numbers must be finite. Does nothing while measuring, nor where t is
 * NULL. */
void clipmdl_bind_check(clipmdl_binder *b, const clipmdl_tensor *t);

/* clipmdl_bind_drop(): the pages of its data will not be read again. t NULL: none */
void clipmdl_bind_drop(const clipmdl_tensor *t);

#endif
