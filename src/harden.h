/* harden.h - process flags that are set before any key is read (trust-model 4.2). */
#pragma once

#include "base/error.h"

/* umask 077, no core dumps, not dumpable (so not traceable by others), no new privileges, no
 * writable and executable memory, SIGPIPE ignored, descriptor limit raised to its hard limit. Flags
 * that an older kernel does not know are left out silently; KMS_E_INTERNAL for those every kernel
 * has. */
KMS_MUST_CHECK enum kms_status harden_process(struct kms_error *reterr);
