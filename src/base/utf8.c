/* base/utf8.c - see utf8.h. */
#include "base/utf8.h"

static bool tail_byte(struct bytes in, size_t at)
{
    return at < in.len && (in.ptr[at] & 0xc0) == 0x80;
}

size_t utf8_sequence(struct bytes in)
{
    uint8_t c = in.ptr[0];
    uint8_t second = in.len > 1 ? in.ptr[1] : 0;

    if (!tail_byte(in, 1))
        return 0;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (!tail_byte(in, 2))
        return 0;
    if (c == 0xe0)
        return second >= 0xa0 ? 3 : 0; /* shorter forms exist  */
    if (c == 0xed)
        return second < 0xa0 ? 3 : 0; /* surrogates           */
    if (c >= 0xe1 && c <= 0xef)
        return 3;
    if (!tail_byte(in, 3))
        return 0;
    if (c == 0xf0)
        return second >= 0x90 ? 4 : 0;
    if (c == 0xf4)
        return second < 0x90 ? 4 : 0; /* beyond U+10FFFF      */
    return c >= 0xf1 && c <= 0xf3 ? 4 : 0;
}
