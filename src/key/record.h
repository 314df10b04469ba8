/* key/record.h - the records of the server as plain values: keys, materials, aliases, and so on.
 *
 * Records are immutable once published: a change clones, edits the clone and commits it. All
 * strings and lists of a key record live in its arena. The store writes and reads these, the
 * directory publishes them, the vault gets what it needs from them. Times are milliseconds since
 * the epoch, UTC; 0 means "none" where a field is optional.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "crypto/spec.h"
#include "key/id.h"
#include "key/rights.h"

/* kms-behaviour 5; order is stored in databases: append only. */
enum key_state {
    KEY_CREATING,
    KEY_ENABLED,
    KEY_DISABLED,
    KEY_PENDING_DELETION,
    KEY_PENDING_IMPORT,
    KEY_PENDING_REPLICA_DELETION,
    KEY_UNAVAILABLE,
    KEY_UPDATING,
    KEY_STATE_COUNT
};
const char *key_state_name(enum key_state state); /* "Enabled", ... as on the wire */

/* Stored; append only. */
enum key_origin {
    ORIGIN_AWS_KMS,
    ORIGIN_EXTERNAL,
    ORIGIN_AWS_CLOUDHSM,
    ORIGIN_EXTERNAL_KEY_STORE,
    ORIGIN_COUNT
};
enum multi_region { REGION_SINGLE, REGION_PRIMARY, REGION_REPLICA };

/* Names as on the wire, in the order of the enum, NULL at the end: for shapes too. Those of specs
 * and usages are in crypto/spec.h. */
extern const char *const key_origin_names[ORIGIN_COUNT + 1];
const char *key_spec_name(enum key_spec spec);
const char *key_usage_name(enum key_usage usage);
const char *key_origin_name(enum key_origin origin);

/* recorded-imports section 3: the roles a material can have in its key's list. */
enum material_role {
    MATERIAL_CURRENT,
    MATERIAL_NON_CURRENT,
    MATERIAL_PENDING_ROTATION,
    MATERIAL_PENDING_MULTI_REGION, /* PENDING_MULTI_REGION_IMPORT_AND_ROTATION */
    MATERIAL_ROLE_COUNT
};
const char *material_role_name(enum material_role role);

enum expiration_model { EXPIRATION_NONE /* material missing */, EXPIRES, DOES_NOT_EXPIRE };
enum rotation_type { ROTATION_NONE, ROTATION_ON_DEMAND, ROTATION_AUTOMATIC };

/* Which of the two slot files a shred key lives in (trust-model 2.7.3). */
enum slot_class { SLOT_ERASABLE /* imported: never backed up */, SLOT_DURABLE /* generated */ };

/* A material as it lies in the database: wrapped under its domain key and a shred key that is in a
 * slot file. Useless without both. `wrapped.len == 0` means there is none. */
struct sealed {
    struct bytes    wrapped;         /* AES-256-GCM: ciphertext, 16-byte tag */
    uint32_t        domain_version;  /* version of the account-and-Region domain key */
    uint32_t        slot;            /* slot number in the file of `slot_class` */
    uint64_t        slot_generation; /* a row and a slot that disagree mean: material is gone */
    enum slot_class slot_class;
};

struct key_material {
    struct material_id id;
    uint8_t check[32]; /* second keyed tag, never shown: a forged id alone never passes */
    enum material_role role;
    bool               present; /* ImportState IMPORTED; AWS_KMS materials always are */
    /* the fewest days before its ValidTo of which its owner was told, by the import or by a warning
     * (key/warning.h); 0: of none */
    uint16_t              warned_days;
    enum expiration_model expiration; /* EXPIRATION_NONE while missing */
    int64_t               valid_to;   /* whole seconds in ms; only with EXPIRES */
    bool                  has_description;
    struct bytes          description;
    int64_t               rotation_date; /* when it became current by a rotation; 0 for the first */
    enum rotation_type    rotation_type;
    int64_t               created;
    struct sealed         sealed; /* wrapped.len == 0 when not present */
};

struct key_tag {
    struct bytes key;
    struct bytes value;
};

enum { KEY_MATERIALS_MAX = 512 }; /* 25 on-demand rotations, 60 years of yearly ones, and slack */

struct key_record {
    /* identity, never changes */
    struct key_name   name; /* account, Region, id, ARN; views into the arena */
    enum key_spec     spec;
    enum key_usage    usage;
    enum key_origin   origin;
    enum multi_region multi_region;
    struct bytes      primary_region; /* of a multi-Region key */
    /* of a multi-Region key: the Regions that have one of its relatives, its own among them, sorted and
     * separated by single spaces (key_regions_next). Shared by all of them, as is what key/family.h says */
    struct bytes regions;
    int64_t      created;
    uint64_t     serial; /* order of creation; markers of ListKeys name it */

    /* life */
    uint64_t       version; /* +1 with every committed change; 1 at creation */
    enum key_state state;   /* written by key/state.c only */
    int64_t        settles; /* Creating and Updating end by themselves at this time; 0: at once */
    int64_t        deletion_date;
    uint32_t       pending_window_days;
    struct bytes   description;
    struct bytes   policy; /* document text */
    /* what its user and role ARNs meant when it was put: lines "ARN unique-id\n". A principal that
     * has the name later is not among them (identity/principals.h) */
    struct bytes principals;
    /* what it says, compiled: in published records only, set by the directory, which shares it
     * between keys; NULL in any other record */
    const struct key_rights *rights;

    /* materials, oldest first; exactly one MATERIAL_CURRENT once there is any */
    struct key_material *materials;
    size_t               n_materials;
    size_t               materials_cap; /* room in `materials`; key_record_add_material's own */

    /* rotation */
    bool     rotation_enabled;
    uint32_t rotation_period_days;
    int64_t  next_rotation;
    int64_t  on_demand_start; /* 0 = none in progress */
    uint32_t on_demand_count; /* completed on-demand rotations, limit 25 */

    struct key_tag *tags; /* in order of insertion */
    size_t          n_tags;

    struct arena *arena;
};

/* An empty record (state Creating) that lies in an arena of its own; NULL when out of memory. */
struct key_record *key_record_new(void);
/* A deep copy that may be edited until it is published; exactly as large as it has to be. NULL when
 * out of memory. */
struct key_record *key_record_clone(const struct key_record *from);
void key_record_free(struct key_record *k); /* NULL is fine */
void key_record_freep(struct key_record **k);
/* Fills `name`: the ARN lies in the arena, the other three are views into it. Who sets the members
 * by hand instead spends 80 bytes a key more. */
void key_record_set_name(struct key_record *k, struct bytes account, struct bytes region,
                         struct bytes key_id);
/* Takes the next name off the front of a record's `regions`; false when there is none left. */
bool key_regions_next(struct bytes *rest, struct bytes *ret);
bool key_regions_have(struct bytes regions, struct bytes region);
size_t key_regions_count(struct bytes regions);
/* Edits `regions`, keeping it sorted: adds one that is not in it, removes one that is. */
void key_record_add_region(struct key_record *k, struct bytes region);
void key_record_remove_region(struct key_record *k, struct bytes region);
/* Appends a zeroed material / removes one, keeping the order. The array may move. There must be
 * fewer than KEY_MATERIALS_MAX (key/state.c refuses what would make more). */
struct key_material *key_record_add_material(struct key_record *k);
void key_record_remove_material(struct key_record *k, size_t at);
/* The material with this id, with this role; NULL if none. */
struct key_material *key_record_material(const struct key_record *k, const struct material_id *id);
struct key_material *key_record_with_role(const struct key_record *k, enum material_role role);

/* --- the other records ------------------------------------------------------------------------ */

struct alias_record {
    struct alias_name name; /* account, Region, "alias/..." */
    char              key_id[KEY_ID_MAX + 1];
    int64_t           created;
    int64_t           updated;
    uint64_t          serial; /* order of creation; markers of ListAliases name it */
    uint64_t          version;
};
/* alias_record with its strings in one allocation; free() releases it. NULL when out of memory. */
struct alias_record *alias_record_new(struct bytes account, struct bytes region, struct bytes name);

/* The private half of a GetParametersForImport answer (trust-model 2.6). */
struct import_key_record {
    uint8_t         id[16];             /* the token id */
    struct key_name key;                /* views into `arena` */
    uint8_t         wrapping_algorithm; /* enum wrapping_algorithm */
    uint8_t         wrapping_spec;      /* enum key_spec: SPEC_RSA_2048, 3072, 4096 */
    uint8_t         fingerprint[32];    /* SHA-256 of the public key's SPKI */
    int64_t         valid_to;
    struct sealed   sealed; /* PKCS#8 of the private key, erasable slot */
    struct arena   *arena;
};
/* An empty one that lies in an arena of its own; NULL when out of memory. */
struct import_key_record *import_key_record_new(void);
void import_key_record_free(struct import_key_record *k);   /* NULL is fine */
void import_key_record_freep(struct import_key_record **k); /* for CLEANUP() */

/* What was erased, or has to be: appended when a material's deletion commits, `erased` set when the
 * slot has been overwritten and read back. Never removed (trust-model 3.8). */
struct tombstone {
    uint64_t           serial;
    char               key_arn[KEY_ARN_MAX + 1];
    struct material_id material; /* zero for import wrapping keys */
    uint32_t           slot;
    uint64_t           slot_generation;
    enum slot_class    slot_class;
    int64_t            at;
    uint8_t            reason; /* enum erase_reason */
    bool               erased;
};
enum erase_reason {
    ERASE_API,          /* DeleteImportedKeyMaterial */
    ERASE_EXPIRY,       /* ValidTo reached */
    ERASE_KEY_DELETION, /* end of the deletion window */
    ERASE_REPLACED,     /* the same material was imported again into a new slot */
    ERASE_IMPORT_KEY,   /* an import wrapping key, after 24 h or with its key */
    ERASE_ORPHAN,       /* a slot that no row names, found at start */
    ERASE_REASON_COUNT
};
const char *erase_reason_name(enum erase_reason reason);

struct domain_key_record {
    struct bytes account; /* views; the holder owns the memory */
    struct bytes region;
    uint32_t     version;
    struct bytes wrapped;
};
