/* seed/yaml.h - a YAML text as a tree of nodes with their lines: the part of YAML that a list of keys needs.
 *
 * One document of mappings, sequences and scalars. Anchors, aliases, tags and directives are refused, and
 * so are a name twice in a mapping and whatever passes the limits below: the tree is never larger than its
 * text. Nothing is interpreted: a scalar is its text.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum {
    YAML_BYTES_MAX = 1024 * 1024,
    YAML_NODES_MAX = 32 * 1024,
    YAML_DEPTH_MAX = 8,    /* of collections in each other */
    YAML_MEMBERS_MAX = 64, /* of one mapping */
};

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

/* Nodes are named by their index; 0 is the root, which is nobody's child: so 0 is also "none". */
struct yaml_node {
    enum yaml_kind kind;
    bool           plain; /* a scalar without quotes, which may mean null, true ... */
    unsigned       line;
    unsigned       count; /* of children */
    size_t         parent, child, last, next;
    size_t         name, name_len; /* of a member, in `text` */
    size_t         at, len;        /* of a scalar, in `text` */
};

struct yaml_tree {
    struct yaml_node *nodes;
    size_t            n, cap;
    struct buf        text; /* wiped: scalars may be keys */
};

void yaml_release(struct yaml_tree *t); /* fine on a zeroed tree; for CLEANUP */
/* Fills *t, which is zeroed, and the caller's to release whatever happens. KMS_E_VALIDATION for what is
 * wrong with the text: *ret_line says where, and the message what. */
KMS_MUST_CHECK enum kms_status yaml_read(struct bytes text, struct yaml_tree *t, unsigned *ret_line,
                                         struct kms_error *reterr);

static inline const struct yaml_node *yaml_at(const struct yaml_tree *t, size_t node)
{
    return &t->nodes[node];
}
struct bytes yaml_name(const struct yaml_tree *t, size_t node);
/* Of a scalar; valid as long as the tree. */
struct bytes yaml_text(const struct yaml_tree *t, size_t node);
/* The scalar that stands for nothing: empty, ~ or null, without quotes. */
bool yaml_is_null(const struct yaml_tree *t, size_t node);
/* The member of a mapping; 0 if it is not there or null. */
size_t yaml_member(const struct yaml_tree *t, size_t map, const char *name);
