/* The shortest way from a picture and some words to probabilities, with libclip.
 *
 *     cc embed.c $(pkg-config --cflags --libs clip) -o embed
 *     ./embed MODEL_DIRECTORY PICTURE WORD... */
#include <stdio.h>
#include <stdlib.h>

#include "clip.h"

int main(int argc, char **argv)
{
    clip_model *model = NULL;
    clip_context *context = NULL;
    clip_image picture = {0};
    clip_model_info info;
    clip_error error;
    int code = EXIT_FAILURE;

    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL_DIRECTORY PICTURE WORD...\n", argv[0]);
        return 2;
    }
    const char *const *words = (const char *const *)argv + 3;
    const int n = argc - 3;

    /* One model for the whole program, one context for each thread that works. */
    if (clip_model_load(argv[1], NULL, &model, &error) < 0)
        goto failed;
    /* the background under transparent pictures is the model's */
    const clip_image_options options = clip_model_image_options(model);
    if (clip_image_read(argv[2], &options, &picture, &error) < 0)
        goto failed;
    clip_model_get_info(model, &info);
    const size_t D = (size_t)info.embed_dim;
    float *image = malloc(D * sizeof *image), *text = malloc((size_t)n * D * sizeof *text),
          *score = malloc((size_t)n * sizeof *score);
    if (!image || !text || !score || clip_context_new(model, 0, &context) < 0) {
        fprintf(stderr, "out of memory\n");
        goto freed;
    }

    /* Embeddings have unit length, so their product is the cosine. The model's scale turns cosines
     * into probabilities. */
    if (clip_encode_image(context, &picture, 1, image) < 0 || clip_encode_text(context, words, n, text) < 0 ||
        clip_similarity(context, image, 1, text, n, score) < 0) {
        fprintf(stderr, "the model cannot do this\n");
        goto freed;
    }
    for (int i = 0; i < n; i++)
        printf("cosine %6.3f  %s\n", (double)score[i], words[i]);
    clip_probabilities(model, score, 1, n);
    for (int i = 0; i < n; i++)
        printf("%5.1f %%  %s\n", 100 * (double)score[i], words[i]);
    code = EXIT_SUCCESS;

freed:
    free(image);
    free(text);
    free(score);
done:
    clip_context_free(context);
    clip_image_free(&picture);
    clip_model_free(model);
    return code;

failed:
    fprintf(stderr, "%s\n", error.message);
    goto done;
}
