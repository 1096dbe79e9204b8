/* fuzz_word_piece.c: any bytes as a vocab.txt. The first byte chooses settings and rules. */
#include "fuzz_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const configs[] = {NULL, "{\"do_lower_case\": false}",
                                          "{\"tokenize_chinese_chars\": false, \"strip_accents\": false}",
                                          "{\"added_tokens_decoder\": {\"5\": {\"content\": \"Caf\\u00e9\"}}}"};
    static const cliptok_rules *const rules[] = {&cliptok_huggingface, &cliptok_openclip_clipa};
    if (size > 0)
        fuzz_vocabulary("vocab.txt", configs[data[0] % 4], rules[data[0] / 4 % 2], data + 1, size - 1);
    return 0;
}
