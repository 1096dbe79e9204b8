/* samples.h: numbers of other forms than bytes, as TIFF and PFM hold them, brought to bytes. */
#ifndef CLIPIMG_SAMPLES_H
#define CLIPIMG_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum clipimg_form { CLIPIMG_UNSIGNED, CLIPIMG_SIGNED, CLIPIMG_FLOAT } clipimg_form;

/* Unsigned samples of up to 16 bits have their white at the largest number of their bits. Other
 * forms have no agreed white: it is found from the picture (clipimg_samples_measure()), as the
 * least of 1 (floats; in colour up to 16, where highlights go beyond white), 255, 511, 1023, ..
 * that no sample exceeds. What lies in 0..255 is so shown as Pillow shows it; negative numbers are
 * black.
 *
 * Samples of 16, 24, 32 and 64 bits are in the machine's order, others packed, high bits first. */
typedef struct clipimg_samples {
    clipimg_form form;
    unsigned bits;      /* 1..32 or 64; of floats 16, 32 or 64 */
    unsigned per_pixel; /* that lie side by side */
    unsigned alpha;     /* which of them is alpha; its white is that of its type. per_pixel: none */
    bool colour, index; /* index: of a palette, not to be scaled */
    double most, white;
} clipimg_samples;

/* clipimg_samples_known(): can samples of this form and size be read? */
bool clipimg_samples_known(const clipimg_samples *s);

/* clipimg_samples_measured(): has their white to be found from the picture? */
bool clipimg_samples_measured(const clipimg_samples *s);

/* clipimg_samples_measure(): look at n samples. When all were seen, clipimg_samples_set_white()
 * sets the white. */
void clipimg_samples_measure(clipimg_samples *s, const uint8_t *p, size_t n);
void clipimg_samples_set_white(clipimg_samples *s);

/* clipimg_samples_unpack(): n samples to bytes, `step` apart. */
void clipimg_samples_unpack(const clipimg_samples *s, const uint8_t *p, size_t n, uint8_t *to, size_t step);

/* clipimg_lab_pixel(): CIE L*a*b* (D50; L* in 0..255, a* and b* from -128) to sRGB. */
void clipimg_lab_pixel(uint8_t lightness, int a, int b, uint8_t *rgb);

#endif
