/* simd.h: the functions that the simd_*.c of one instruction set, or the ref_*.c of the oracle,
 * give to their table. set.h describes them.
 *
 * CLIPK_ISA: the name of the set, which every symbol carries: NAME(layernorm) is
 * clipk_layernorm_avx2. */
#ifndef CLIPK_SIMD_H
#define CLIPK_SIMD_H

#include "kernels/set.h"

#define CLIPK_CAT2(a, b) clipk_##a##_##b
#define CLIPK_CAT(a, b) CLIPK_CAT2(a, b)
#define NAME(x) CLIPK_CAT(x, CLIPK_ISA)
#define CLIPK_TEXT2(a) #a
#define CLIPK_TEXT(a) CLIPK_TEXT2(a)

/* simd_gemm.c */
void NAME(gemm_pack_w)(void *panel, const clipk_format *format, clipk_view W, int n, int K);
void NAME(gemm_form_x)(void *out, clipk_x_form form, const float *x, int K, int depth);
void NAME(gemm_pack_x)(float *out, const float *x, int64_t rs, int64_t cs, int rows, int K);
void NAME(gemm_block)(const clipk_gemm_block *b);
double NAME(fma_rounds)(clipk_tile tile, int64_t n);

/* simd_rows.c */
void NAME(to_f32)(float *out, const void *in, clipk_type type, size_t n);
void NAME(to_bf16)(uint16_t *out, const float *in, size_t n);
void NAME(act)(float *y, const float *x, size_t n, clipk_act act);
void NAME(layernorm)(float *y, float *mean, float *rstd, const float *x, const float *gain, const float *bias,
                     float eps, int C);
void NAME(l2norm)(float *x, float *norm, int C);
void NAME(softmax)(float *x, float scale, int C);

/* simd_rows_back.c */
void NAME(sum_rows)(float *out, const float *x, int64_t ldx, int T, int C);
double NAME(sum_squares)(const float *x, size_t n);
void NAME(act_backward)(float *dx, float *y, const float *dy, const float *pre, size_t n, clipk_act act);
void NAME(layernorm_backward)(float *dx, float *dgain, float *dbias, const float *dy, const float *x, float mean,
                              float rstd, const float *gain, const float *residual, int C);
void NAME(l2norm_backward)(float *dx, const float *dy, const float *y, float norm, int C);
void NAME(adamw)(float *w, float *m, float *v, const float *g, size_t n, const clipk_adamw_step *s);

/* simd_attention.c */
void NAME(attention)(float *y, int64_t ldy, float *lse, const float *q, int64_t ldq, const float *k, int64_t ldk,
                     const float *v, int64_t ldv, int nq, int nk, int sees, int D, void *scratch);

/* simd_attention_back.c */
void NAME(attention_back)(const clipk_attention_back_piece *piece);

/* simd_conv.c */
size_t NAME(conv3x3_bytes)(int O, int I);
void NAME(conv3x3_pack)(void *panels, clipk_filters W, int O, int I, int o0, int o1);
void NAME(conv3x3)(const clipk_conv3x3_piece *piece);
void NAME(avgpool2x2)(float *y, const float *x0, const float *x1, int W, int C);

/* simd_conv_back.c */
void NAME(conv3x3_sums)(const clipk_conv3x3_back_piece *piece);
void NAME(conv3x3_filters)(float *dW, const float *sums, int64_t part, int parts, int I, int n, int o);
void NAME(avgpool2x2_backward)(float *x0, float *x1, const float *y, int W, int C);

/* simd_batchnorm.c */
void NAME(batchnorm_stats)(float *mean, float *squares, const float *x, int rows, int C);
void NAME(batchnorm)(float *y, const float *x, const clipk_batchnorm *b, const float *residual, clipk_act act, int rows,
                     int C);
void NAME(batchnorm_sums)(const clipk_batchnorm_piece *piece);
void NAME(batchnorm_backward)(const clipk_batchnorm_piece *piece);

/* simd_scan.c */
void NAME(to_f16)(uint16_t *out, const float *in, size_t n);
float NAME(dot_f16)(const float *q, const void *x, int D);
void NAME(hadamard)(float *x, int P);
void NAME(reflect)(double *x, const double *v, int D);
void NAME(scan)(int32_t *dot, int64_t ldo, const int8_t *code, int rows, int D, const int16_t *q, int Q);
int NAME(scan_pick)(int32_t *out, const int32_t *dot, const float *bound, int rows, float scale, float shift,
                    float slack, float least);
void NAME(scan_nibbles)(int32_t *dot, const uint8_t *code, const int32_t *row, int n, int B, const int16_t *q);

#endif
