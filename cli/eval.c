/* clip eval: how good a model is on pictures with captions. Its kinds are commands of their own. */
#include "eval.h"

static const cli_command *const kinds[] = {&eval_retrieval, &eval_zeroshot, NULL};

const cli_command cli_eval = {
    .name = "eval",
    .operands = "KIND DATA [OPTIONS]",
    .summary = "how good a model is on pictures with captions",
    .help =
        "Measures a model on DATA, pictures with captions:\n"
        "  *.tar          WebDataset: KEY.jpg (.png, .webp, ...) with KEY.txt, or KEY.json with \"captions\"\n"
        "  *.tsv, *.csv   a table with columns for the picture's path and its caption\n"
        "  a folder       every picture with the captions in NAME.txt beside it, one a line; without that file the\n"
        "                 name of the folder that a picture lies in is its caption\n"
        "Several are joined by '::'; {000..012} and {a,b} are written out. Samples that cannot be read are reported,\n"
        "left out of the scores, and counted; the exit code is then 1.",
    .examples = "clip eval retrieval 'pairs/val-{000..003}.tar'\n"
                "clip eval zeroshot zoo/ --labels animals.txt --templates 'a photo of a {}.'",
    .kinds = kinds,
};
