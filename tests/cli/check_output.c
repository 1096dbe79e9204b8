/* check_output.c: checks of JSON and .npy files for the shell tests.
 *
 *     check_output lines < FILE          every line is one JSON object; prints how many
 *     check_output get KEY.0.KEY < FILE  the value at a path of one JSON text
 *     check_output near GOLDEN < FILE    line by line the same "embedding", to 2e-5 in each number,
 *                                        and of unit length
 *     check_output npy FILE              checks header, size and unit rows; prints "rows columns"
 * Exit code 0 if all is well. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static int fault(const char *what)
{
    fprintf(stderr, "check_output: %s\n", what);
    return 1;
}

static cJSON *parse(const char *text)
{
    const char *end;
    cJSON *o = cJSON_ParseWithOpts(text, &end, 0);
    if (o && strspn(end, " \n") != strlen(end)) {
        cJSON_Delete(o);
        o = NULL;
    }
    return o;
}

static int lines(void)
{
    char *line = NULL;
    size_t capacity = 0;
    int n = 0, code = 0;
    while (code == 0 && getline(&line, &capacity, stdin) > 0) {
        cJSON *o = parse(line);
        if (!cJSON_IsObject(o))
            code = fault("a line is not a JSON object");
        cJSON_Delete(o);
        n++;
    }
    free(line);
    printf("%d\n", n);
    return code;
}

static int get(char *path)
{
    static char text[1 << 22];
    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    cJSON *root = parse(text);
    const cJSON *o = root;
    int code = root ? 0 : fault("not JSON");
    for (char *key = strtok(path, "."); key && o; key = strtok(NULL, "."))
        o = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, atoi(key)) : cJSON_GetObjectItemCaseSensitive(o, key);
    if (root && !o)
        code = fault("no such key");
    else if (cJSON_IsString(o))
        printf("%s\n", o->valuestring);
    else if (cJSON_IsNumber(o))
        printf("%.9g\n", o->valuedouble);
    else if (o)
        printf("%d\n", cJSON_GetArraySize(o));
    cJSON_Delete(root);
    return code;
}

/* The embeddings of two lines: equal within 2e-5, and of unit length. */
static int compare(const char *a, const char *b)
{
    cJSON *x = parse(a), *y = parse(b);
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(x, "embedding"),
                *f = cJSON_GetObjectItemCaseSensitive(y, "embedding");
    int n = cJSON_GetArraySize(e),
        code = n > 0 && n == cJSON_GetArraySize(f) ? 0 : fault("embeddings of different lengths");
    double worst = 0, length = 0;
    for (int i = 0; i < n && code == 0; i++) {
        double u = cJSON_GetArrayItem(e, i)->valuedouble, v = cJSON_GetArrayItem(f, i)->valuedouble;
        worst = fmax(worst, fabs(u - v));
        length += u * u;
    }
    if (code == 0 && !(worst <= 2e-5)) {
        fprintf(stderr, "check_output: largest difference %g\n", worst);
        code = 1;
    }
    if (code == 0 && !(fabs(length - 1) < 1e-5))
        code = fault("an embedding is not of unit length");
    cJSON_Delete(x);
    cJSON_Delete(y);
    return code;
}

static int near(const char *golden)
{
    char *a = NULL, *b = NULL;
    size_t a_capacity = 0, b_capacity = 0;
    FILE *f = fopen(golden, "r");
    int n = 0, code = f ? 0 : fault("no golden file");
    while (code == 0 && getline(&b, &b_capacity, f) > 0) {
        code = getline(&a, &a_capacity, stdin) > 0 ? compare(a, b) : fault("too few lines");
        n++;
    }
    if (code == 0 && (n == 0 || getline(&a, &a_capacity, stdin) > 0))
        code = fault("not as many lines as in the golden file");
    free(a);
    free(b);
    if (f)
        fclose(f);
    return code;
}

static int npy(const char *path)
{
    char head[129] = {0};
    long rows = -1, columns = -1;
    float v;
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 1, 128, f) != 128)
        return fault("too short for an array");
    if (memcmp(head, "\x93NUMPY\x01\x00\x76\x00", 10) != 0 || head[127] != '\n')
        return fault("no header of version 1.0 in 128 bytes");
    if (sscanf(head + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, %ld), }", &rows, &columns) != 2)
        return fault("not a float32 array of two dimensions in C order");
    int code = 0;
    for (long i = 0; i < rows && code == 0; i++) {
        double length = 0;
        for (long j = 0; j < columns && code == 0; j++) {
            code = fread(&v, sizeof v, 1, f) == 1 ? 0 : fault("shorter than its shape");
            length += (double)v * (double)v;
        }
        if (code == 0 && !(fabs(length - 1) < 1e-5))
            code = fault("a row is not of unit length");
    }
    if (code == 0 && fgetc(f) != EOF)
        code = fault("longer than its shape");
    fclose(f);
    printf("%ld %ld\n", rows, columns);
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "lines") == 0)
        return lines();
    if (argc == 3 && strcmp(argv[1], "get") == 0)
        return get(argv[2]);
    if (argc == 3 && strcmp(argv[1], "near") == 0)
        return near(argv[2]);
    if (argc == 3 && strcmp(argv[1], "npy") == 0)
        return npy(argv[2]);
    return fault("usage: see the source");
}
