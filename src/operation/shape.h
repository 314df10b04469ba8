/* operation/shape.h - descriptions of input members, and the checker's vocabulary.
 *
 * The checker produces the recorded validation texts (kms-behaviour 1.6): all failures of one request in
 * the order of the row's members, "N validation errors detected: ...; ...".
 */
#pragma once

#include "operation/operation.h"

enum shape_type {
    SHAPE_STRING,
    SHAPE_KEY_ID,   /* string 1..2048 with the wire-side pattern ^\p{ASCII}+$              */
    SHAPE_BLOB,     /* base64                                                              */
    SHAPE_INT,
    SHAPE_BOOL,
    SHAPE_TIME,     /* number of seconds                                                   */
    SHAPE_ENUM,
    SHAPE_TAGS,     /* list of {TagKey, TagValue}                                          */
    SHAPE_STRINGS,  /* list of strings                                                     */
    SHAPE_MAP,      /* string -> string                                                    */
    SHAPE_OBJECT,   /* a structure, passed on                                              */
};

enum shape_flags {
    SHAPE_REQUIRED  = 1 << 0,
    SHAPE_SENSITIVE = 1 << 1, /* texts leave the value out; missing: no "null" either         */
    SHAPE_NO_AUDIT  = 1 << 2, /* never in requestParameters (trust-model 5.2)                 */
};

struct shape_member {
    const char     *name;     /* "KeyId"                                                      */
    enum shape_type type;
    uint32_t        flags;
    int64_t         min, max; /* length of strings and blobs (max 0: no limit), value of ints  */
    const char *const *values; /* SHAPE_ENUM: accepted names, NULL-terminated; index = result  */
    const char     *enum_text; /* the list as the service prints it, if not that of `values`   */
    const char     *pattern;   /* printed when `matches` says no                               */
    bool          (*matches)(struct bytes text);
    size_t          offset;    /* of the field in struct op_input                              */
};

/* "Value '...' at 'keyId' failed ..." path of a member: first letter in lower case. */
extern const char *const shape_key_specs[];       /* in enum key_spec order      */
extern const char *const shape_key_usages[];
extern const char *const shape_origins[];
extern const char *const shape_encryption_algorithms[];
extern const char *const shape_wrapping_algorithms[]; /* RSAES_PKCS1_V1_5 first, see shape.c */
extern const char *const shape_wrapping_specs[];
