/* The public header compiles alone. */
#include "clip.h"

int main(void)
{
    return CLIP_OK;
}
