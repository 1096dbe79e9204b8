/* clip convert: a checkpoint in the layout of another program, or the mean of several
 * checkpoints. */
#include "cli.h"

enum { TO = CLI_LONG, DTYPE, AVERAGE };

static void warn(void *user, const char *message)
{
    (void)user;
    cli_warn("%s", message);
}

static int convert(cli_args *a, cli_list *average)
{
    clip_convert_options opt = {.warn = warn};
    clip_error err;
    for (int id; (id = cli_next(a)) != 0;)
        switch (id) {
        case TO: opt.layout = a->value; break;
        case DTYPE: opt.type = a->value; break;
        case AVERAGE: DO(cli_list_add(average, a->value)); break;
        default: return a->code;
        }
    opt.average = (const char *const *)average->item;
    opt.averages = (int)average->n;
    if (a->operands != 1)
        return cli_usage(a, a->operands ? "one directory to write" : "the directory to write is missing");
    DO(cli_no_folder(a, "OUT", a->operand[0]));
    if (!opt.layout && !opt.type && opt.averages == 0)
        return cli_usage(a, "say what to convert to: --to LAYOUT, --dtype TYPE, --average DIR, or several");
    DO(cli_fetch_if_asked(a, a->model));
    clip_status s = clip_convert(a->model, a->operand[0], &opt, &err);
    if (s == CLIP_EINVAL)
        return cli_usage(a, "%s", err.message);
    return s < 0 ? cli_fail("%s", err.message) : CLI_DONE;
}

static int run(cli_args *a)
{
    cli_list average = {0};
    int code = convert(a, &average);
    cli_list_free(&average);
    return code;
}

static const cli_option options[] = {
    {TO, "to", "LAYOUT", "openclip: open_clip_config.json and open_clip_model.safetensors\n"
                         "hf: config.json, preprocessor_config.json and model.safetensors\n"
                         "(default: its own layout)"},
    {DTYPE, "dtype", "TYPE", "store weights as f32, f16 or bf16 (default: their own type), or in 8 bits: int8"},
    {AVERAGE, "average", "DIR", "write the mean of the model's weights and those in DIR; may be given several times,\n"
                                "also for the same DIR, to give it more weight"},
    {0},
};

const cli_command cli_convert = {
    .name = "convert",
    .operands = "[OPTIONS] OUT",
    .summary = "a checkpoint in another layout or type",
    .help =
        "Writes the checkpoint given by --model to the directory OUT, which must be new or empty:\n"
        "configuration, weights and tokenizer, as OpenCLIP or Hugging Face's transformers load them.\n"
        "Converting there and back gives the same weights, bit for bit.\n"
        "\n"
        "The mean of models fine-tuned from one start is often better than each of them (model soups,\n"
        "Wortsman et al. 2022). The mean of a model and its fine-tuned version forgets less of what the\n"
        "first knew (WiSE-FT).\n"
        "\n"
        "In Python:  open_clip.create_model_and_transforms('local-dir:OUT')\n"
        "            open_clip.get_tokenizer('local-dir:OUT')\n"
        "            CLIPModel.from_pretrained('OUT'), CLIPProcessor.from_pretrained('OUT')",
    .examples = "clip convert --model runs/first/checkpoint --to hf first-hf\n"
                "clip convert --model ViT-B-32 --dtype f16 ViT-B-32-f16\n"
                "clip convert --model ViT-B-32 --average runs/birds/checkpoint birds-and-all",
    .options = options,
    .encodes_nothing = true,
    .run = run,
};
