/* word.h: the words of a text, for counting and comparing; no tokenizer. */
#ifndef CLIPTOK_WORD_H
#define CLIPTOK_WORD_H

#include <stddef.h>

/* cliptok_next_word(): the next word of a text, in lower case (ASCII). Letters, digits, apostrophes
 * and hyphens make a word, and all bytes beyond ASCII.
 * text  in/out  moved behind the word
 * out   out     [room] the word, ended by 0; one that is longer than room - 1 comes in pieces
 * @return: its length; 0: there is none */
size_t cliptok_next_word(const char **text, char *out, size_t room);

#endif
