/* print_tokens.c: print_tokens MODEL: the token ids of each line of standard input, a line each. */
#include <stdio.h>
#include <string.h>

#include "clip.h"

int main(int argc, char **argv)
{
    enum { LONGEST = 4096 };
    clip_model *m;
    clip_error err;
    clip_model_info info;
    char line[LONGEST];
    int32_t ids[LONGEST];
    if (argc != 2)
        return 2;
    if (clip_model_load(argv[1], NULL, &m, &err) != CLIP_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    clip_model_get_info(m, &info);
    while (info.context_length <= LONGEST && fgets(line, sizeof line, stdin)) {
        int n = 0;
        line[strcspn(line, "\n")] = '\0';
        if (clip_tokenize(m, line, ids, &n) != CLIP_OK)
            break;
        for (int i = 0; i < n; i++)
            printf("%s%d", i ? " " : "", (int)ids[i]);
        putchar('\n');
    }
    const int failed = !feof(stdin);
    clip_model_free(m);
    return failed;
}
