/* clip info: the contents of a checkpoint. */
#include <string.h>

#include "cli.h"

#define MOST_STAGES 5 /* of vision_layers */

static bool has_stages(const clip_model_info *i) { return i->patch_size == 0; }

static double millions(int64_t n) { return 1e-6 * (double)n; }

static void print_image(const clip_model_info *i)
{
    printf("pictures       %s, width %d, ", i->vision_kind, i->vision_width);
    if (i->vision_heads > 0)
        printf("%d heads, ", i->vision_heads);
    if (has_stages(i)) {
        for (int k = 0; k < MOST_STAGES && i->vision_layers[k] > 0; k++)
            printf("%s%d", k > 0 ? " + " : "", i->vision_layers[k]);
        printf(" blocks\n");
    } else {
        printf("%d layers, patches of %d\n", i->vision_layers[0], i->patch_size);
    }
    printf("  size         %d x %d", i->image_size, i->image_size);
    if (i->image_size != i->stored_image_size)
        printf(", instead of %d x %d", i->stored_image_size, i->stored_image_size);
    putchar('\n');
    printf("  resize       %s, %s\n", i->interpolation, i->resize_mode);
    if (i->background >= 0)
        printf("  transparent  on #%06x\n", (unsigned)i->background);
    else
        printf("  transparent  transparency is dropped\n");
    printf("  mean         %.6g %.6g %.6g\n", (double)i->mean[0], (double)i->mean[1], (double)i->mean[2]);
    printf("  deviation    %.6g %.6g %.6g\n", (double)i->std[0], (double)i->std[1], (double)i->std[2]);
}

static const char *pooling_words(const char *pooling)
{
    static const char *const words[][2] = {{"argmax", "the greatest id"}, {"eos", "the end token"},
                                           {"first", "the first token"},
                                           {"last", "the last token"}, {"mean", "the mean of all tokens"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], pooling) == 0)
            return words[i][1];
    return pooling;
}

static void print_text(const clip_model_info *i)
{
    printf("texts          Transformer, width %d, %d heads, %d layers\n", i->text_width, i->text_heads, i->text_layers);
    printf("  context      %d tokens of %d, pooled at %s\n", i->context_length, i->vocab_size,
           pooling_words(i->pooling));
    printf("  tokenizer    %s\n", i->tokenizer ? i->tokenizer : "none found");
    printf("  padding      token %d\n", i->pad_id);
    if (i->language)
        printf("  language     %s, unless --language names another\n", i->language);
}

/* The activation of both encoders, or of the only one. Beside texts a ResNet's is not told. NULL:
 * they differ. */
static const char *shared_activation(const clip_model_info *i)
{
    const char *picture = i->vision_activation, *text = i->text_activation;
    if (picture && strcmp(picture, "relu") == 0)
        picture = NULL;
    if (!picture || !text)
        return text ? text : i->vision_activation;
    return strcmp(picture, text) == 0 ? text : NULL;
}

static void print_activation(const clip_model_info *i)
{
    const char *shared = shared_activation(i);
    if (shared)
        printf("  activation   %s\n", shared);
    else
        printf("  activation   pictures %s, texts %s\n", i->vision_activation, i->text_activation);
}

static void print_people(const cli_session *s)
{
    const clip_model_info *i = &s->info;
    char note[32];
    printf("model          ");
    cli_print_plain(stdout, i->path);
    printf("\n  file         ");
    cli_print_plain(stdout, i->weights_file);
    printf(", %s's layout, %s\n", i->layout, i->weights_type);
    if (*i->prefix) {
        printf("  prefix       ");
        cli_print_plain(stdout, i->prefix);
        putchar('\n');
    }
    if (i->unread)
        printf("  not read     %s\n", i->unread);
    printf("  parameters   %.2f M", millions(i->parameters));
    if (i->towers == CLIP_TOWER_BOTH)
        printf(" (pictures %.2f M, texts %.2f M)\n", millions(i->image_parameters), millions(i->text_parameters));
    else
        printf(": the %s encoder alone\n", i->towers == CLIP_TOWER_IMAGE ? "image" : "text");
    if (i->embed_dim > 0)
        printf("  embedding    %d numbers\n", i->embed_dim);
    else
        printf("  embedding    none, because there is no projection\n");
    if (i->logit_scale > 0)
        printf("  logit scale  %.6g\n", (double)i->logit_scale);
    if (strcmp(i->score, "sigmoid") == 0)
        printf("  logit bias   %.6g: every label has a probability of its own\n", (double)i->logit_bias);
    print_activation(i);
    printf("  runs on      %s%s\n", i->isa, cli_precision_note(i, note));
    if (i->towers & CLIP_TOWER_IMAGE)
        print_image(i);
    if (i->towers & CLIP_TOWER_TEXT)
        print_text(i);
}

static void json_image(cli_json *j, const clip_model_info *i)
{
    cli_json_open(j, "image", '{');
    cli_json_string(j, "kind", i->vision_kind);
    cli_json_int(j, "parameters", i->image_parameters);
    cli_json_int(j, "size", i->image_size);
    cli_json_int(j, "stored_size", i->stored_image_size);
    cli_json_int(j, "width", i->vision_width);
    cli_json_int(j, "heads", i->vision_heads);
    if (has_stages(i)) {
        cli_json_open(j, "blocks", '[');
        for (int k = 0; k < MOST_STAGES && i->vision_layers[k] > 0; k++)
            cli_json_int(j, NULL, i->vision_layers[k]);
        cli_json_close(j, ']');
    } else {
        cli_json_int(j, "layers", i->vision_layers[0]);
        cli_json_int(j, "patch_size", i->patch_size);
    }
    cli_json_string(j, "activation", i->vision_activation);
    cli_json_string(j, "interpolation", i->interpolation);
    cli_json_string(j, "resize_mode", i->resize_mode);
    char background[16];
    cli_json_string(j, "background", cli_background_words(i->background, background));
    cli_json_floats(j, "mean", i->mean, 3);
    cli_json_floats(j, "std", i->std, 3);
    cli_json_close(j, '}');
}

static void json_text(cli_json *j, const clip_model_info *i)
{
    cli_json_open(j, "text", '{');
    cli_json_int(j, "parameters", i->text_parameters);
    cli_json_int(j, "context_length", i->context_length);
    cli_json_int(j, "vocab_size", i->vocab_size);
    cli_json_int(j, "width", i->text_width);
    cli_json_int(j, "heads", i->text_heads);
    cli_json_int(j, "layers", i->text_layers);
    cli_json_string(j, "activation", i->text_activation);
    cli_json_string(j, "pooling", i->pooling);
    cli_json_string(j, "tokenizer", i->tokenizer);
    cli_json_int(j, "pad_id", i->pad_id);
    if (i->language)
        cli_json_string(j, "language", i->language);
    cli_json_close(j, '}');
}

static void print_json(const cli_session *s)
{
    const clip_model_info *i = &s->info;
    cli_json j = {.f = stdout};
    cli_json_open(&j, NULL, '{');
    cli_json_string(&j, "model", i->path);
    cli_json_string(&j, "weights_file", i->weights_file);
    cli_json_string(&j, "layout", i->layout);
    cli_json_string(&j, "weights_type", i->weights_type);
    cli_json_int(&j, "parameters", i->parameters);
    cli_json_string(&j, "prefix", i->prefix);
    cli_json_string(&j, "not_read", i->unread);
    cli_json_int(&j, "embed_dim", i->embed_dim);
    if (i->logit_scale > 0)
        cli_json_number(&j, "logit_scale", (double)i->logit_scale);
    cli_json_string(&j, "score", i->score);
    if (strcmp(i->score, "sigmoid") == 0)
        cli_json_number(&j, "logit_bias", (double)i->logit_bias);
    if (shared_activation(i))
        cli_json_string(&j, "activation", shared_activation(i));
    cli_json_string(&j, "isa", i->isa);
    cli_json_string(&j, "precision", i->precision);
    if (i->towers & CLIP_TOWER_IMAGE)
        json_image(&j, i);
    if (i->towers & CLIP_TOWER_TEXT)
        json_text(&j, i);
    cli_json_close(&j, '}');
    cli_json_line(&j);
}

static int run(cli_args *a)
{
    cli_session s;
    if (cli_next(a) != 0)
        return a->code;
    if (a->operands > 1)
        return cli_usage(a, "one checkpoint at a time");
    if (a->operands == 1)
        a->model = a->operand[0];
    DO(cli_load(a, CLIP_TOWER_BOTH, CLIP_TOWER_BOTH, &s));
    (a->json ? print_json : print_people)(&s);
    cli_close(&s);
    return CLI_DONE;
}

const cli_command cli_info = {
    .name = "info",
    .operands = "[OPTIONS] [DIR]",
    .summary = "the contents of a checkpoint",
    .help =
        "Tells what is in the checkpoint DIR (or in that of --model): its encoders and their sizes, how it\n"
        "wants pictures prepared, the tokenizer, and which files and names of tensors were found. If a file\n"
        "holds several encoders, FILE:PREFIX is the one whose tensor names begin with PREFIX, here as for\n"
        "every --model. DIR may also be the name of a model that 'clip pull' has fetched, a folder of the\n"
        "Hugging Face hub's cache (models--ORG--NAME) or one of sentence-transformers.",
    .examples = "clip info\n"
                "clip info path/to/clip-vit-base-patch32\n"
                "clip info --json | jq .embed_dim",
    .run = run,
};
