/* seed/local_kms.h - the seed files of local-kms as our own seeds, for `trent seed convert`.
 *
 * Sources: the form that the project's documentation shows (docs/seeds.md tells what of it is read). Not
 * part of the daemon: this and yaml.c are a library of their own.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum { LOCAL_KMS_BYTES_MAX = 1024 * 1024, LOCAL_KMS_OUT_MAX = 8 * 1024 * 1024 };

struct local_kms_asked {
    const char  *file;    /* its name in errors and notes */
    struct bytes account; /* 12 digits; empty: that of local-kms, 111122223333 */
    struct bytes region;  /* empty: that of local-kms, eu-west-2 */
};

/* Appends the JSON of a seed that seed_read and seed_check have accepted to `out`, which holds keys in clear,
 * and to `notes` a line for each thing that was left out. `crypto_init` has been called. KMS_E_VALIDATION
 * with "FILE:LINE: PATH: what is wrong" for whatever is wrong with the text; then `out` is as it was. */
KMS_MUST_CHECK enum kms_status local_kms_convert(const struct local_kms_asked *asked,
                                                 struct bytes text, struct buf *out,
                                                 struct buf *notes, struct kms_error *reterr);
