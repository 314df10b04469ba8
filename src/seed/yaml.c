/* seed/yaml.c - the events of libyaml to a tree; see yaml.h. The only file that knows libyaml. */
#include "seed/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/cleanup.h"

struct builder {
    struct yaml_tree *tree;
    size_t            open; /* the collection that is being read; meaningless at depth 0 */
    unsigned          depth, line, documents;
    bool              named; /* the name of a member has been read, its value has not */
    size_t            name, name_len;
    struct kms_error *reterr;
};

void yaml_release(struct yaml_tree *t)
{
    buf_release(&t->text);
    free(t->nodes);
    *t = (struct yaml_tree){ .nodes = NULL };
}

/* --- looking ---------------------------------------------------------------------------------- */

struct bytes yaml_name(const struct yaml_tree *t, size_t node)
{
    const struct yaml_node *n = yaml_at(t, node);

    return n->name_len == 0 ? BYTES_LIT("") : bytes_of(t->text.ptr + n->name, n->name_len);
}

struct bytes yaml_text(const struct yaml_tree *t, size_t node)
{
    const struct yaml_node *n = yaml_at(t, node);

    return n->len == 0 ? BYTES_LIT("") : bytes_of(t->text.ptr + n->at, n->len);
}

bool yaml_is_null(const struct yaml_tree *t, size_t node)
{
    const struct yaml_node *n = yaml_at(t, node);
    struct bytes            text = yaml_text(t, node);

    return n->kind == YAML_SCALAR && n->plain &&
           (text.len == 0 || bytes_eq_str(text, "~") || bytes_eq_str(text, "null"));
}

static size_t find(const struct yaml_tree *t, size_t map, struct bytes name)
{
    for (size_t i = yaml_at(t, map)->child; i != 0; i = yaml_at(t, i)->next) {
        if (bytes_eq(yaml_name(t, i), name))
            return i;
    }
    return 0;
}

size_t yaml_member(const struct yaml_tree *t, size_t map, const char *name)
{
    if (yaml_at(t, map)->kind != YAML_MAP)
        return 0;
    size_t i = find(t, map, bytes_str(name));

    return i != 0 && !yaml_is_null(t, i) ? i : 0;
}

/* --- building --------------------------------------------------------------------------------- */

static enum kms_status no_memory(struct builder *b)
{
    return KMS_FAIL(b->reterr, KMS_E_INTERNAL, "no memory for a YAML file");
}

#define REFUSE(b, ...) KMS_REFUSE((b)->reterr, KMS_E_VALIDATION, __VA_ARGS__)

static bool in_map(const struct builder *b)
{
    return b->depth > 0 && yaml_at(b->tree, b->open)->kind == YAML_MAP;
}

/* A new node in the open collection. */
static enum kms_status add(struct builder *b, enum yaml_kind kind, size_t *ret)
{
    struct yaml_tree *t = b->tree;

    if (t->n == YAML_NODES_MAX)
        return REFUSE(b, "this file has more than %d values", YAML_NODES_MAX);
    if (t->n == t->cap) {
        size_t            cap = t->cap == 0 ? 256 : t->cap * 2;
        struct yaml_node *more = realloc(t->nodes, cap * sizeof *more);
        if (more == NULL)
            return no_memory(b);
        t->nodes = more;
        t->cap = cap;
    }
    *ret = t->n++;
    t->nodes[*ret] = (struct yaml_node){ .kind = kind, .line = b->line };
    if (b->depth == 0)
        return KMS_OK;
    struct yaml_node *up = &t->nodes[b->open];
    struct yaml_node *node = &t->nodes[*ret];

    node->parent = b->open;
    node->name = b->name;
    node->name_len = in_map(b) ? b->name_len : 0;
    b->named = false;
    if (up->child == 0)
        up->child = *ret;
    else
        t->nodes[up->last].next = *ret;
    up->last = *ret;
    up->count++;
    return KMS_OK;
}

static enum kms_status take_text(struct builder *b, struct bytes in, size_t *ret)
{
    *ret = b->tree->text.len;
    buf_add(&b->tree->text, in);
    return buf_ok(&b->tree->text) ? KMS_OK : no_memory(b);
}

static enum kms_status take_name(struct builder *b, struct bytes name)
{
    if (yaml_at(b->tree, b->open)->count == YAML_MEMBERS_MAX)
        return REFUSE(b, "a mapping has at most %d members here", YAML_MEMBERS_MAX);
    if (find(b->tree, b->open, name) != 0)
        return REFUSE(b, "'%.*s' is here twice: leave one out", BYTES_FMT(name));
    b->named = true;
    b->name_len = name.len;
    return take_text(b, name, &b->name);
}

static enum kms_status take_scalar(struct builder *b, const yaml_event_t *e)
{
    struct bytes in = bytes_of(e->data.scalar.value, e->data.scalar.length);
    size_t       at = 0;
    size_t       node = 0;

    if (e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL)
        return REFUSE(b, "anchors (&) and tags (!) are not read: write the value itself");
    if (in_map(b) && !b->named)
        return take_name(b, in);
    TRY(take_text(b, in, &at));
    TRY(add(b, YAML_SCALAR, &node));
    b->tree->nodes[node].at = at;
    b->tree->nodes[node].len = in.len;
    b->tree->nodes[node].plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return KMS_OK;
}

static enum kms_status begin(struct builder *b, enum yaml_kind kind, bool marked)
{
    size_t node = 0;

    if (marked)
        return REFUSE(b, "anchors (&) and tags (!) are not read: write the value itself");
    if (in_map(b) && !b->named)
        return REFUSE(b, "the name of a member must be text");
    if (b->depth == YAML_DEPTH_MAX)
        return REFUSE(b, "this is nested more than %d deep", YAML_DEPTH_MAX);
    TRY(add(b, kind, &node));
    b->open = node;
    b->depth++;
    return KMS_OK;
}

static enum kms_status take(struct builder *b, const yaml_event_t *e)
{
    switch ((int)e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++b->documents > 1)
            return REFUSE(b, "a second document begins here: put each into a file of its own");
        if (e->data.document_start.version_directive != NULL ||
            e->data.document_start.tag_directives.start !=
                e->data.document_start.tag_directives.end)
            return REFUSE(b, "directives (%%) are not read: leave them out");
        return KMS_OK;
    case YAML_ALIAS_EVENT:  return REFUSE(b, "aliases (*) are not read: write the value itself");
    case YAML_SCALAR_EVENT: return take_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return begin(b, YAML_LIST,
                     e->data.sequence_start.anchor != NULL || e->data.sequence_start.tag != NULL);
    case YAML_MAPPING_START_EVENT:
        return begin(b, YAML_MAP,
                     e->data.mapping_start.anchor != NULL || e->data.mapping_start.tag != NULL);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        b->open = yaml_at(b->tree, b->open)->parent;
        return KMS_OK;
    default: /* the ends of the document and of the text */ return KMS_OK;
    }
}

static enum kms_status parse_error(struct builder *b, const yaml_parser_t *p)
{
    b->line = (unsigned)p->problem_mark.line + 1;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(b);
    if (p->error == YAML_READER_ERROR)
        return REFUSE(b, "this is not UTF-8 text (byte %zu): %s", p->problem_offset, p->problem);
    return REFUSE(b, "this is not YAML: %s", p->problem != NULL ? p->problem : "unknown");
}

static enum kms_status read_events(struct builder *b, yaml_parser_t *p)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (yaml_parser_parse(p, &event) != 1)
            return parse_error(b, p);
        b->line = (unsigned)event.start_mark.line + 1;
        enum kms_status status = take(b, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        if (event.type == YAML_SCALAR_EVENT) /* may be a key */
            explicit_bzero(event.data.scalar.value, event.data.scalar.length);
        yaml_event_delete(&event);
        TRY(status);
    }
    return b->tree->n > 0 ? KMS_OK : REFUSE(b, "there is nothing in this file");
}

enum kms_status yaml_read(struct bytes text, struct yaml_tree *t, unsigned *ret_line,
                          struct kms_error *reterr)
{
    struct builder b = { .tree = t, .line = 1, .reterr = reterr };
    yaml_parser_t  parser;

    *ret_line = 1;
    t->text = BUF_INIT(YAML_BYTES_MAX * 4); /* escapes and folding never make it longer than that */
    if (text.len > YAML_BYTES_MAX)
        return REFUSE(&b, "this file has more than %d bytes", YAML_BYTES_MAX);
    if (yaml_parser_initialize(&parser) != 1)
        return no_memory(&b);
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    enum kms_status status = read_events(&b, &parser);

    yaml_parser_delete(&parser);
    *ret_line = b.line;
    return status;
}
