/* serve.c: the server of server.h as a program, for the tests of the command.
 * usage: serve FOLDER REPO [BYTES_A_MS]      prints the endpoint, and serves until stdin ends */
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

int main(int argc, char **argv)
{
    static server s;
    if (argc < 3)
        return 2;
    server_start(&s, argv[1]);
    s.repo = argv[2];
    s.bytes_a_ms = argc > 3 ? atol(argv[3]) : 0;
    printf("%s\n", s.endpoint);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return s.token_elsewhere;
}
