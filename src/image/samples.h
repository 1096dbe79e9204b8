/* samples.h: samples that are not bytes, as in TIFF, converted to bytes. */
#ifndef CLIPIMG_SAMPLES_H
#define CLIPIMG_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum clipimg_form { CLIPIMG_UNSIGNED, CLIPIMG_SIGNED, CLIPIMG_FLOAT } clipimg_form;

/* The white of unsigned samples of up to 16 bits is the largest number of that many bits. Other
 * forms have no agreed white. clipimg_samples_measure() finds it from the picture: the least of 1,
 * 255, 511, 1023, .. that no sample exceeds. 1 is for floats only; in color pictures floats up to
 * 16 count as 1, because highlights go beyond white. So samples in 0..255 look as in Pillow.
 * Negative samples are black.
 *
 * Samples of 16, 24, 32 and 64 bits are in the machine's byte order. Other samples are packed, high
 * bits first. */
typedef struct clipimg_samples {
    clipimg_form form;
    unsigned bits;      /* 1..32 or 64; floats: 16, 32 or 64 */
    unsigned per_pixel; /* samples that lie side by side */
    unsigned alpha;     /* the index of alpha, whose white is its type's; per_pixel: no alpha */
    bool colour, index; /* index: samples are indexes of a palette, not to be scaled */
    double most, white;
} clipimg_samples;

/* clipimg_samples_known(): whether samples of this form and size can be read. */
bool clipimg_samples_known(const clipimg_samples *s);

/* clipimg_samples_measured(): whether the white must be found from the picture. */
bool clipimg_samples_measured(const clipimg_samples *s);

/* clipimg_samples_measure(): look at n samples. clipimg_samples_set_white() sets the white after
 * all samples have been seen. */
void clipimg_samples_measure(clipimg_samples *s, const uint8_t *p, size_t n);
void clipimg_samples_set_white(clipimg_samples *s);

/* clipimg_samples_unpack(): convert n samples to bytes, which are written `step` apart. */
void clipimg_samples_unpack(const clipimg_samples *s, const uint8_t *p, size_t n, uint8_t *to, size_t step);

/* clipimg_lab_pixel(): CIE L*a*b* (D50; L* in 0..255, a* and b* from -128) to sRGB. */
void clipimg_lab_pixel(uint8_t lightness, int a, int b, uint8_t *rgb);

#endif
