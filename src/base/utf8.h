/* base/utf8.h - is this text? */
#pragma once

#include "base/bytes.h"

/* Length, 2 to 4, of the well-formed sequence of several bytes (Unicode table 3-7) that `in`, which
 * is not empty, begins with; 0 if there is none, as for ASCII. */
size_t utf8_sequence(struct bytes in);
