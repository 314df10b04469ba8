/* key/family.h - a key and its relatives in other Regions, changed as one (recorded-imports R43 to R49,
 * recorded-authz-multiregion 6). A single-Region key is a family of one, so operations and jobs know one
 * way only. Pure, as key/state.h, whose transitions of single records it uses.
 *
 * Each Region has a record of its own. Shared, and so the same in every record: key id, spec, usage,
 * origin, the list of materials (ids, check tags, roles, descriptions, rotation dates and types), the
 * rotation switch with period, next date and requests, `primary_region`, `regions`. Of its own: ARN,
 * creation date, description, tags, policy, state, deletion window, and of each material whether it is
 * present, its expiration, ValidTo and sealed form. A change of what is shared has a row for every record
 * and commits as one; the directory shows all of them at once (directory_publish).
 *
 * Invariants:
 *   I1  All records of a family agree in what is shared, and exactly one is REGION_PRIMARY.
 *   I2  A pending material is MATERIAL_PENDING_ROTATION if every Region has it, otherwise
 *       MATERIAL_PENDING_MULTI_REGION, in all records alike (R43; also when a relative comes or goes).
 *   I3  A refusal leaves all records as they were.
 */
#pragma once

#include "key/state.h"

enum { FAMILY_MAX = 64 }; /* Regions with a relative: more than there are */

struct key_family {
    struct key_record *of[FAMILY_MAX]; /* editable clones, in the order of `regions` */
    size_t             n;
    size_t             named;   /* the one that the request named, or that fell due */
    size_t             primary; /* 0 for a single-Region key */
};

/* Clones with version + 1, settled (key_settle), of the `n` records of a family (directory_family); `key`
 * is the one that is named. False when out of memory; nothing is kept then. The clones are the caller's, to
 * hand over to rows of a change. */
KMS_MUST_CHECK bool family_clone(const struct key_record *const *list, size_t n,
                                 const struct key_record *key, int64_t now, struct key_family *ret);
/* Frees what has not been handed over (pointers that are not NULL). */
void family_release(struct key_family *f);

/* key_import for the named record, and what it means for the others: a new material is in every list (R21,
 * R43). Refuses beyond it what a replica may not do (R9, R10 are the operation's). */
KMS_MUST_CHECK enum kms_status family_import(struct key_family *f, const struct import_request *rq,
                                             int64_t now, struct key_material **ret_material,
                                             struct kms_error *reterr);
/* The named record's material has been sealed, which made its check tag: the others get it too. */
void family_sealed(struct key_family *f, const struct key_material *m);
/* key_delete_material for the named record. A pending material of the primary goes in every Region (R47):
 * ret->sealed[i] is what of[i] gave up (wrapped.len 0: nothing; views good as long as the records). */
struct family_deleted {
    struct sealed      sealed[FAMILY_MAX];
    struct material_id id;
    bool               had; /* there ever was such a material: `id` is set (R29) */
};
KMS_MUST_CHECK enum kms_status family_delete_material(struct key_family        *f,
                                                      const struct material_id *id, int64_t now,
                                                      struct family_deleted *ret,
                                                      struct kms_error      *reterr);
/* key_material_lost for of[at]. A pending material stays listed where there are relatives, as missing there:
 * what the others have of it is theirs. */
void family_material_lost(struct key_family *f, size_t at, const struct material_id *id,
                          int64_t now);
/* key_rotation_request, _complete, _enable, _disable for all records. For an AWS_KMS key the next material
 * has been appended to each before completing (vault_generate_next). */
KMS_MUST_CHECK enum kms_status family_rotation_request(struct key_family *f, int64_t now,
                                                       struct kms_error *reterr);
bool family_rotation_complete(struct key_family *f, int64_t now, enum rotation_type type);
void family_rotation_enable(struct key_family *f, int64_t now, bool has_period, uint32_t days);
void family_rotation_disable(struct key_family *f);

/* A relative comes: `replica` is a new record with name, policy, description and tags set; it gets what is
 * shared, its time of creation, version 1 and state Creating until `settles`, and joins f->of at its place
 * in the order, owned by the family.
 * Its materials are listed as missing; those of an AWS_KMS key are then filled by vault_copy_material.
 * Returns its place. */
size_t family_replicated(struct key_family *f, struct key_record *replica, int64_t now,
                         int64_t settles);
/* of[to] becomes the primary. Both it and the old one are Updating until `settles`. Nothing if it is. */
void family_promote(struct key_family *f, size_t to, int64_t settles);
/* The named one is being deleted: the others forget it. When it was the last replica of a primary that is
 * PendingReplicaDeletion, that one's own window begins now (recorded 6.8, rule 13). */
void family_left(struct key_family *f, int64_t now);
