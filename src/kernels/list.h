/* list.h: the kernels of a set: KERNEL(type of the result, name, (parameters)).
 *
 * set.h makes the fields of clipk_set from this list, simd.h the prototypes, and simd_gemm.c and
 * ref_gemm.c the tables. Each defines KERNEL first, and the end of this file removes it. So a
 * kernel is a line here and a definition in simd_*.c and in ref_*.c.
 *
 * All of them run in one thread, on a piece of the work. */

/* ---- simd_gemm.c ----------------------------------------------------------------------------- */

/* n <= nr rows to [groups][nr][group] */
KERNEL(void, gemm_pack_w, (void *panel, const clipk_format *format, clipk_view W, int n, int K))

/* rows * K numbers, in the order that gemm_block reads */
KERNEL(void, gemm_pack_x, (float *out, const float *x, int64_t rs, int64_t cs, int rows, int K))

KERNEL(void, gemm_block, (const clipk_gemm_block *b))

/* n rounds of multiply-adds; returns the number of operations */
KERNEL(double, fma_rounds, (clipk_tile tile, int64_t n))

/* ---- simd_quantise.c ------------------------------------------------------------------------- */

/* K numbers of a row, times t, rotated in blocks, in 8 bits: scale q. Returns the scale, which is
 * not finite where x is not. depth: a multiple of block, which is 16 to CLIPK_ROTATES, a power of
 * 2; what is behind K counts as 0. t, work [depth] */
KERNEL(float, quantise,
       (void *out, clipk_x_form form, const float *x, const float *t, int K, int depth, int block, float *work))

/* sums[i] += |x[i]| */
KERNEL(void, add_abs, (float *sums, const float *x, int n))

/* ---- simd_convert.c: n numbers, at any address where they have 16 bits ----------------------- */

KERNEL(void, to_f32, (float *out, const void *in, clipk_type type, size_t n))
KERNEL(void, to_f16, (uint16_t *out, const float *in, size_t n))  /* to nearest even */
KERNEL(void, to_bf16, (uint16_t *out, const float *in, size_t n)) /* to nearest even */

/* ---- simd_rows.c: one row, but for act ------------------------------------------------------- */

KERNEL(void, act, (float *y, const float *x, size_t n, clipk_act act))
KERNEL(void, layernorm,
       (float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias, float eps, int C))
KERNEL(void, l2norm, (float *x, float *norm, int C))
KERNEL(void, softmax, (float *x, float scale, int C))

/* One row of H heads, D wide. angle [2, D]: the cosine of each number's pair, then the sine,
 * negative for the first number of a pair: x[i] = x[i] cos[i] + x[i ^ 1] sin[i]. D is even. */
KERNEL(void, rotate_pairs, (float *x, const float *angle, int H, int D))

/* y = g / (1 + exp(-g)) x, n numbers; y may be g or x */
KERNEL(void, swish_product, (float *y, const float *g, const float *x, size_t n))

/* ---- simd_rows_back.c ------------------------------------------------------------------------ */

/* out += the sum over the rows of x */
KERNEL(void, sum_rows, (float *out, const float *x, int64_t ldx, int T, int C))
KERNEL(double, sum_squares, (const float *x, size_t n))
KERNEL(void, act_backward, (float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act))

/* One row. dgain and dbias are added to; both are NULL if neither is wanted. */
KERNEL(void, layernorm_backward,
       (float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean, float rstd,
        const float *gain, const float *residual, int C))

/* One row. */
KERNEL(void, l2norm_backward, (float *dx, const float *dy, const float *y, float norm, int C))

/* ---- simd_adamw.c ---------------------------------------------------------------------------- */

KERNEL(void, adamw, (float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s))

/* ---- simd_attention.c, simd_attention_back.c ------------------------------------------------- */

KERNEL(void, attention, (const clipk_attention_piece *piece))
KERNEL(void, attention_back, (const clipk_attention_back_piece *piece))

/* ---- simd_conv.c, simd_conv_back.c ----------------------------------------------------------- */

KERNEL(size_t, conv3x3_bytes, (int O, int I))

/* filters o0 .. o1; o0 is a multiple of nr */
KERNEL(void, conv3x3_pack, (void *panels, clipk_filters W, int O, int I, int o0, int o1))
KERNEL(void, conv3x3, (const clipk_conv3x3_piece *piece))

/* W pixels from two rows of 2W */
KERNEL(void, avgpool2x2, (float *y, const float *x0, const float *x1, int W, int C))

KERNEL(void, conv3x3_sums, (const clipk_conv3x3_back_piece *piece))

/* dW [I, 9] of filter o += the sums of all parts; n: filters in the sums */
KERNEL(void, conv3x3_filters, (float *dW, const float *sums, int64_t part, int parts, int I, int n, int o))
KERNEL(void, avgpool2x2_backward, (float *x0, float *x1, const float *y, int W, int C))

/* ---- simd_depthwise.c: one row of the output ------------------------------------------------- */

KERNEL(void, depthwise, (const clipk_depthwise_piece *piece))

/* ---- simd_batchnorm.c: [rows, C] ------------------------------------------------------------- */

/* squares: sum of (x - mean)^2 */
KERNEL(void, batchnorm_stats, (float *mean, float *squares, const float *x, int rows, int C))
KERNEL(void, batchnorm,
       (float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act, int rows, int C))
KERNEL(void, batchnorm_sums, (const clipk_batchnorm_piece *piece))
KERNEL(void, batchnorm_backward, (const clipk_batchnorm_piece *piece))

/* ---- simd_rotate.c --------------------------------------------------------------------------- */

/* x [P] times the orthogonal Hadamard matrix; P is a power of 2 */
KERNEL(void, hadamard, (float *x, int P))

/* x -= (v . x) v; if |v|^2 = 2, the mirror image at the plane normal to v */
KERNEL(void, reflect, (double *x, const double *v, int D))

/* ---- simd_scan.c ----------------------------------------------------------------------------- */

/* q . x    x [D] f16 at any address */
KERNEL(float, dot_f16, (const float *q, const void *x, int D))

/* dot[j, i] = q[j] . code[i]    code [rows, D] dense   q [Q, clipk_scan_padded(D)], 0 beyond D
 * Every product of a row and a query is below 2^31. */
KERNEL(void, scan, (int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q))

/* Picks the i with bound[i, 0] (scale dot[i] + shift) + bound[i, 1] slack >= least, or where the
 * left side is NaN. bound [rows, 2]. Returns how many. */
KERNEL(int, scan_pick,
       (int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift, float slack,
        float least))

/* dot[i] = q . code[row[i]]    code [rows, B] dense, two numbers of 0 .. 15 in a byte: number j
 *                              is the low bits of byte j, number B + j its high bits;
 * q [2, clipk_scan_padded(B)], 0 beyond B */
KERNEL(void, scan_nibbles, (int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q))

#undef KERNEL
