/* fuzz_tokenizer_json.c: any bytes as a tokenizer.json. The first byte chooses the class that is
 * named beside it. */
#include "fuzz_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const configs[] = {NULL,
                                          "{\"tokenizer_class\": \"XLMRobertaTokenizer\"}",
                                          "{\"tokenizer_class\": \"T5Tokenizer\"}",
                                          "{\"tokenizer_class\": \"GemmaTokenizer\"}",
                                          "{\"tokenizer_class\": \"BertTokenizer\"}",
                                          "{\"tokenizer_class\": \"NllbTokenizer\"}"};
    static const cliptok_rules *const rules[] = {&cliptok_huggingface, &cliptok_openclip_canonical};
    if (size > 0)
        fuzz_vocabulary("tokenizer.json", configs[data[0] % 6], rules[data[0] / 6 % 2], data + 1, size - 1);
    return 0;
}
