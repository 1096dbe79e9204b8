/* word.h: the words of a text, for counting and comparing. This is not a tokenizer. */
#ifndef CLIPTOK_WORD_H
#define CLIPTOK_WORD_H

#include <stddef.h>

/* cliptok_next_word(): the next word of a text, in lower case (ASCII). A word consists of letters,
 * digits, apostrophes, hyphens, and all bytes beyond ASCII.
 * text  in/out  moves behind the word
 * out   out     [room] the word, ended by 0; a word longer than room - 1 comes in pieces
 * @return: its length; 0: no word is left */
size_t cliptok_next_word(const char **text, char *out, size_t room);

#endif
