/* fuzz_spm.c: any bytes as a model file of SentencePiece. The first byte chooses who reads it. */
#include "fuzz_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *name, *class;
        const cliptok_rules *rules;
    } readers[] = {{"spiece.model", "{}", &cliptok_siglip},
                   {"spiece.model", "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 2}", &cliptok_huggingface},
                   {"sentencepiece.bpe.model", NULL, &cliptok_openclip_canonical},
                   {"tokenizer.model", "{\"add_eos_token\": true}", &cliptok_siglip2}};
    if (size > 0)
        fuzz_vocabulary(readers[data[0] % 4].name, readers[data[0] % 4].class, readers[data[0] % 4].rules, data + 1,
                        size - 1);
    return 0;
}
