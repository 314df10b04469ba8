/* identity/internal.h - shared by the files of this folder. */
#pragma once

#include "base/bytes.h"

/* The unique id that the lines have for this ARN; empty if it is not there. */
struct bytes principal_line(struct bytes lines, struct bytes arn);
