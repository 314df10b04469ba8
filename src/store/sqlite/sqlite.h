/* store/sqlite/sqlite.h - the embedded store: one SQLite file in the data directory.
 *
 * Settings of trust-model 4.9: WAL, synchronous=FULL, secure_delete=ON, temp_store=MEMORY, mmap
 * off, trusted_schema off, defensive, cell_size_check, foreign_keys; application_id and
 * user_version are set and checked; quick_check at open. The file is locked exclusively for as long
 * as it is open.
 */
#pragma once

#include "store/store.h"

/* Creates `path` with the newest schema. Refuses if it exists. */
KMS_MUST_CHECK enum kms_status store_sqlite_create(const char *path, const uint8_t instance_id[16],
                                                   struct kms_error *reterr);
/* Reads instance id, slot generations and so on without a MAC key (they are needed to open the
 * vault). */
KMS_MUST_CHECK enum kms_status store_sqlite_peek(const char *path, struct store_meta *ret,
                                                 struct kms_error *reterr);
/* Opens and migrates an older schema. One clear line when the file is missing, not SQLite, of
 * another program (application_id), newer than this program, damaged (quick_check), of another
 * instance, or in use. Nothing is overwritten. `mac` makes and checks row MACs. */
KMS_MUST_CHECK enum kms_status store_sqlite_open(const char *path, const uint8_t instance_id[16],
                                                 store_mac_fn mac, void *mac_ctx,
                                                 struct store **ret, struct kms_error *reterr);
