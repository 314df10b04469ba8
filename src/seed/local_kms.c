/* seed/local_kms.c - the seed files of local-kms: lists, aliases, and what is told of errors; see
 * local_kms.h. */
#include "seed/local_kms_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "seed/seed.h"

enum { PATH_MAX_LEN = 1024, TEXT_ROOM = 2048 };

/* --- errors and notes ------------------------------------------------------------------------- */

static void add_step(struct buf *out, const struct yaml_tree *t, size_t node)
{
    size_t up = yaml_at(t, node)->parent;
    size_t index = 0;

    if (yaml_at(t, up)->kind == YAML_MAP) {
        buf_addf(out, ".%.*s", BYTES_FMT(yaml_name(t, node)));
        return;
    }
    for (size_t i = yaml_at(t, up)->child; i != node; i = yaml_at(t, i)->next)
        index++;
    buf_addf(out, "[%zu]", index);
}

/* "FILE:LINE: $.Keys.Symmetric.Aes[0]: " */
static void add_place(const struct conversion *c, size_t node, struct buf *out)
{
    size_t way[YAML_DEPTH_MAX + 1];
    size_t n = 0;

    buf_addf(out, "%s:%u: $", c->file, yaml_at(&c->tree, node)->line);
    for (size_t i = node; i != 0; i = yaml_at(&c->tree, i)->parent)
        way[n++] = i;
    while (n > 0)
        add_step(out, &c->tree, way[--n]);
    buf_add_str(out, ": ");
}

enum kms_status conversion_refuse(struct conversion *c, size_t node, const char *fmt, ...)
{
    CLEANUP(buf_release) struct buf place = BUF_INIT(KMS_MESSAGE_MAX);
    char                            text[TEXT_ROOM];
    va_list                         args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_place(c, node, &place);
    return KMS_REFUSE(c->reterr, KMS_E_VALIDATION, "%.*s%s", BYTES_FMT(buf_bytes(&place)), text);
}

void conversion_leave_out(struct conversion *c, size_t node, const char *why)
{
    add_place(c, node, c->notes);
    buf_addf(c->notes, "left out: %s\n", why);
}

/* --- members ---------------------------------------------------------------------------------- */

enum kms_status conversion_map(struct conversion *c, size_t node, const char *const *names)
{
    if (yaml_at(&c->tree, node)->kind != YAML_MAP)
        return conversion_refuse(c, node, "this must be a mapping (Name: value)");
    for (size_t i = yaml_at(&c->tree, node)->child; i != 0; i = yaml_at(&c->tree, i)->next) {
        const char *const *known = names;
        while (*known != NULL && !bytes_eq_str(yaml_name(&c->tree, i), *known))
            known++;
        if (*known == NULL)
            return conversion_refuse(c, i,
                                     "'%.*s' is not known here, and nothing is dropped "
                                     "without a word: take it out",
                                     BYTES_FMT(yaml_name(&c->tree, i)));
    }
    return KMS_OK;
}

enum kms_status conversion_text(struct conversion *c, size_t map, const char *name,
                                const char *required, struct bytes *ret)
{
    size_t node = yaml_member(&c->tree, map, name);

    *ret = BYTES_LIT("");
    if (node == 0 && required != NULL)
        return conversion_refuse(c, map, "%s is missing: %s", name, required);
    if (node == 0)
        return KMS_OK;
    if (yaml_at(&c->tree, node)->kind != YAML_SCALAR)
        return conversion_refuse(c, node, "this must be text");
    *ret = yaml_text(&c->tree, node);
    return KMS_OK;
}

enum kms_status conversion_key_id(struct conversion *c, size_t node, struct bytes ref,
                                  struct bytes *ret)
{
    CLEANUP(buf_release) struct buf prefix = BUF_INIT(KEY_ARN_MAX);

    *ret = ref;
    if (!bytes_starts(ref, BYTES_LIT("arn:")))
        return KMS_OK;
    key_arn_add(&prefix, c->account, c->region, BYTES_LIT(""));
    if (!bytes_starts(ref, buf_bytes(&prefix)))
        return conversion_refuse(c, node,
                                 "this is an ARN of another account or Region than the file's, "
                                 "which would begin with %.*s: see --account and --region",
                                 BYTES_FMT(buf_bytes(&prefix)));
    *ret = bytes_of(ref.ptr + prefix.len, ref.len - prefix.len);
    return KMS_OK;
}

/* Calls `fn` for each element of the list `name`, if it is there. */
static enum kms_status each(struct conversion *c, size_t map, const char *name, convert_fn *fn)
{
    size_t list = yaml_member(&c->tree, map, name);

    if (list == 0)
        return KMS_OK;
    if (yaml_at(&c->tree, list)->kind != YAML_LIST)
        return conversion_refuse(c, list, "this must be a list (- ...)");
    for (size_t i = yaml_at(&c->tree, list)->child; i != 0; i = yaml_at(&c->tree, i)->next)
        TRY(fn(c, i));
    return KMS_OK;
}

/* --- the lists -------------------------------------------------------------------------------- */

static enum kms_status convert_alias(struct conversion *c, size_t node)
{
    static const char *const names[] = { "AliasName", "TargetKeyId", NULL };
    struct bytes             name, target, id;

    TRY(conversion_map(c, node, names));
    TRY(conversion_text(c, node, "AliasName", "alias/ and a name", &name));
    TRY(conversion_text(c, node, "TargetKeyId", "the id of a key of this file", &target));
    TRY(conversion_key_id(c, yaml_member(&c->tree, node, "TargetKeyId"), target, &id));
    c->aliases[c->n_aliases++] = node;
    json_open_object(&c->w, NULL);
    json_put_string(&c->w, "AliasName", name);
    json_put_string(&c->w, "TargetKeyId", id);
    json_close_object(&c->w);
    return KMS_OK;
}

static enum kms_status convert_keys(struct conversion *c, size_t keys)
{
    static const char *const kinds[] = { "Symmetric", "Asymmetric", NULL };
    static const char *const symmetric[] = { "Aes", "Hmac", NULL };
    static const char *const asymmetric[] = { "Rsa", "Ecc", NULL };

    TRY(conversion_map(c, keys, kinds));
    size_t one = yaml_member(&c->tree, keys, "Symmetric");
    size_t two = yaml_member(&c->tree, keys, "Asymmetric");

    json_open_array(&c->w, "Keys");
    if (one != 0) {
        TRY(conversion_map(c, one, symmetric));
        TRY(each(c, one, "Aes", convert_aes));
        TRY(each(c, one, "Hmac", convert_hmac));
    }
    if (two != 0) {
        TRY(conversion_map(c, two, asymmetric));
        TRY(each(c, two, "Rsa", convert_rsa));
        TRY(each(c, two, "Ecc", convert_ecc));
    }
    json_close_array(&c->w);
    return KMS_OK;
}

/* The account with an access key, since ours checks signatures; 000000000000 has one: test. */
static void put_account(struct conversion *c)
{
    json_put_string(&c->w, "AccountId", c->account);
    json_put_string(&c->w, "Region", c->region);
    if (bytes_eq_str(c->account, "000000000000"))
        return;
    json_open_array(&c->w, "Accounts");
    json_open_object(&c->w, NULL);
    json_put_string(&c->w, "AccountId", c->account);
    json_open_array(&c->w, "AccessKeys");
    json_open_object(&c->w, NULL);
    json_put_str(&c->w, "AccessKeyId", "local-kms");
    json_put_str(&c->w, "SecretAccessKey", "local-kms");
    json_close_object(&c->w);
    json_close_array(&c->w);
    json_close_object(&c->w);
    json_close_array(&c->w);
}

static enum kms_status convert_all(struct conversion *c)
{
    static const char *const names[] = { "Keys", "Aliases", NULL };

    c->keys = calloc(c->tree.n, sizeof *c->keys);
    c->aliases = calloc(c->tree.n, sizeof *c->aliases);
    if (c->keys == NULL || c->aliases == NULL)
        return KMS_FAIL(c->reterr, KMS_E_INTERNAL, "no memory for a seed");
    TRY(conversion_map(c, 0, names));
    json_open_object(&c->w, NULL);
    put_account(c);
    size_t keys = yaml_member(&c->tree, 0, "Keys");

    if (keys != 0)
        TRY(convert_keys(c, keys));
    json_open_array(&c->w, "Aliases");
    TRY(each(c, 0, "Aliases", convert_alias));
    json_close_array(&c->w);
    json_close_object(&c->w);
    return KMS_OK;
}

/* --- the result ------------------------------------------------------------------------------- */

/* The same JSON with a line for each key and alias. */
static void lay_out(struct bytes json, struct buf *out)
{
    unsigned depth = 0;
    bool     quoted = false;

    for (size_t i = 0; i < json.len; i++) {
        uint8_t c = json.ptr[i];
        bool    ends = !quoted && (c == '}' || c == ']');
        bool    begins = !quoted && (c == '{' || c == '[');
        depth -= ends;
        if (ends && depth < 2 && json.ptr[i - 1] != '[')
            buf_addf(out, "\n%*s", (int)depth * 2, "");
        buf_add_byte(out, c);
        if (quoted && c == '\\' && i + 1 < json.len)
            buf_add_byte(out, json.ptr[++i]);
        else if (c == '"')
            quoted = !quoted;
        depth += begins;
        if (depth <= 2 &&
            ((begins && i + 1 < json.len && json.ptr[i + 1] != ']') || (!quoted && c == ',')))
            buf_addf(out, "\n%*s", (int)depth * 2, "");
    }
    buf_add_byte(out, '\n');
}

enum { MEMBER_ROOM = 64 };

/* Does the path begin with `list`, an index and "]"? `member` gets the letters after the next dot. */
static bool path_names(const char *path, const char *list, size_t *ret_index,
                       char ret_member[MEMBER_ROOM])
{
    size_t begin = strlen(list);
    char  *end = NULL;

    if (strncmp(path, list, begin) != 0)
        return false;
    unsigned long index = strtoul(path + begin, &end, 10);
    if (end == path + begin || *end != ']')
        return false;
    *ret_index = index;
    size_t n = 0;
    if (end[1] == '.') {
        while (n + 1 < MEMBER_ROOM && isalpha((unsigned char)end[2 + n]))
            n++;
        memcpy(ret_member, end + 2, n);
    }
    ret_member[n] = '\0';
    return true;
}

/* The node that a seed's error is about: "$.Keys[3].Description" is a member of the third key's. */
static size_t node_of(const struct conversion *c, const char *path)
{
    size_t                   index = 0;
    char                     member[MEMBER_ROOM] = "";
    static const char *const materials[] = { "BackingKeys", "PrivateKeyPem" };

    if (path_names(path, "$.Aliases[", &index, member) && index < c->n_aliases) {
        size_t inside = yaml_member(&c->tree, c->aliases[index], member);
        return inside != 0 ? inside : c->aliases[index];
    }
    if (!path_names(path, "$.Keys[", &index, member) || index >= c->n_keys)
        return 0;
    size_t key = c->keys[index];
    size_t inside = yaml_member(&c->tree, yaml_member(&c->tree, key, "Metadata"), member);

    for (size_t i = 0; i < ARRAY_LEN(materials) && strncmp(member, "Material", 8) == 0; i++)
        inside = inside != 0 ? inside : yaml_member(&c->tree, key, materials[i]);
    if (strcmp(member, "KeyRotationEnabled") == 0)
        inside = yaml_member(&c->tree, key, "NextKeyRotation");
    return inside != 0 ? inside : key;
}

/* The reader of seeds is asked whether it is one. What it says of a place is told of ours. */
static enum kms_status check(struct conversion *c, struct bytes json)
{
    CLEANUP(seed_freep) struct seed *seed = NULL;
    struct kms_error                 err;
    enum kms_status                  status = seed_read("", json, true, &seed, &err);

    if (status == KMS_OK)
        status = seed_check(seed, &err);
    if (status == KMS_OK)
        return KMS_OK;
    const char *path = err.message_len > 0 ? strstr(err.message, ": $") : NULL;
    const char *text = path != NULL ? strstr(path + 2, ": ") : NULL;

    if (status != KMS_E_VALIDATION || text == NULL)
        return KMS_FAIL(c->reterr, KMS_E_INTERNAL, "the seed cannot be checked: %s",
                        err.message_len > 0 ? err.message : err.detail);
    return conversion_refuse(c, node_of(c, path + 2), "%s", text + 2);
}

static enum kms_status convert(struct conversion *c, struct bytes text, struct buf *out)
{
    CLEANUP(buf_release) struct buf json = BUF_INIT(LOCAL_KMS_OUT_MAX);
    CLEANUP(buf_release) struct buf nice = BUF_INIT(LOCAL_KMS_OUT_MAX);
    struct kms_error                err;
    unsigned                        line = 1;
    enum kms_status                 status = yaml_read(text, &c->tree, &line, &err);

    if (status == KMS_E_VALIDATION)
        return KMS_REFUSE(c->reterr, status, "%s:%u: $: %s", c->file, line, err.message);
    if (status != KMS_OK)
        return KMS_FAIL(c->reterr, status, "%s", err.detail);
    json_writer_init(&c->w, &json);
    TRY(convert_all(c));
    lay_out(buf_bytes(&json), &nice);
    if (!buf_ok(&json) || !buf_ok(&nice))
        return KMS_FAIL(c->reterr, KMS_E_INTERNAL, "no memory for a seed");
    TRY(check(c, buf_bytes(&nice)));
    buf_add(out, buf_bytes(&nice));
    return KMS_OK;
}

enum kms_status local_kms_convert(const struct local_kms_asked *asked, struct bytes text,
                                  struct buf *out, struct buf *notes, struct kms_error *reterr)
{
    struct kms_error  unread;
    struct conversion c = { .file = asked->file, .notes = notes };

    c.reterr = reterr != NULL ? reterr : &unread;
    kms_error_clear(c.reterr);
    c.account = asked->account.len > 0 ? asked->account : BYTES_LIT("111122223333");
    c.region = asked->region.len > 0 ? asked->region : BYTES_LIT("eu-west-2");
    enum kms_status status = convert(&c, text, out);

    yaml_release(&c.tree);
    free(c.keys);
    free(c.aliases);
    return status;
}
