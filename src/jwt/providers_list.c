/* jwt/providers_list.c - the operator's list of OIDC issuers, as strict as its other settings: an
 * unknown member could be a misspelt restriction. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "json/read.h"
#include "fetch/fetch.h"
#include "jwt/providers_internal.h"

void oidc_list_free(struct oidc_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->n; i++)
        jwks_release(list->providers[i].keys);
    arena_free(list->arena);
    free(list);
}

void oidc_list_freep(struct oidc_list **list)
{
    oidc_list_free(*list);
    *list = NULL;
}

static struct oidc_list *list_new(void)
{
    struct oidc_list *list = calloc(1, sizeof *list);

    if (list == NULL)
        return NULL;
    list->users = 1;
    list->arena = arena_new(4096);
    if (list->arena == NULL) {
        free(list);
        return NULL;
    }
    return list;
}

static char *copy_text(struct arena *arena, struct bytes text)
{
    char *out = arena_alloc(arena, text.len + 1);

    memcpy(out, text.ptr, text.len);
    return out;
}

/* --- one entry -------------------------------------------------------------------------------- */

/* No white space, nothing that needs escaping in metrics. */
static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || text.ptr[i] == '"' || text.ptr[i] == '\\')
            return false;
    }
    return true;
}

static enum kms_status read_text(struct json v, const char *name, size_t max, struct bytes *ret,
                                 struct kms_error *reterr)
{
    if (v.node == NULL || json_type(v) != JSON_STRING || json_string(v).len == 0 ||
        json_string(v).len > max || !is_plain(json_string(v)))
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "%s is not a text of 1 to %zu characters without white space and quotes",
                        name, max);
    *ret = json_string(v);
    return KMS_OK;
}

/* RFC 8414 2: https, no query, no fragment. */
static enum kms_status read_issuer(struct json v, struct oidc_provider *p, struct kms_error *reterr)
{
    struct bytes text;

    TRY(read_text(v, "issuer", JWT_CLAIM_MAX, &text, reterr));
    if (!bytes_starts(text, BYTES_LIT("https://")) || text.len == strlen("https://") ||
        memchr(text.ptr, '?', text.len) != NULL || memchr(text.ptr, '#', text.len) != NULL)
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "issuer '%.*s' is not an https URL without query and fragment",
                        BYTES_FMT(text));
    memcpy(p->issuer, text.ptr, text.len);
    return KMS_OK;
}

static enum kms_status read_source(struct json v, bool dev, struct arena *arena,
                                   struct oidc_provider *p, struct kms_error *reterr)
{
    struct bytes     text;
    struct kms_error why;

    TRY(read_text(v, "jwks", FETCH_URL_MAX, &text, reterr));
    p->source = copy_text(arena, text);
    if (p->source[0] == '/')
        return KMS_OK;
    p->is_url = true;
    if (fetch_check_url(p->source, dev ? FETCH_HTTP_HERE : FETCH_HTTPS, &why) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "jwks '%.100s' is neither an absolute path nor a URL that will do: %.80s",
                        p->source, why.detail);
    return KMS_OK;
}

static enum kms_status read_audiences(struct json v, struct arena *arena, struct oidc_provider *p,
                                      struct kms_error *reterr)
{
    struct json_iter it = json_iterate(v);
    struct json      one;
    struct bytes     text;
    size_t           n = json_count(v);

    if (v.node == NULL || json_type(v) != JSON_ARRAY || n == 0 || n > OIDC_AUDIENCES_MAX)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "audiences is not a list of 1 to %d texts",
                        OIDC_AUDIENCES_MAX);
    p->audiences = arena_alloc(arena, n * sizeof *p->audiences);
    while (json_next(&it, NULL, &one)) {
        TRY(read_text(one, "an audience", JWT_CLAIM_MAX, &text, reterr));
        p->audiences[p->n_audiences++] = arena_copy(arena, text);
    }
    return KMS_OK;
}

static enum kms_status read_ca(struct json v, struct arena *arena, struct oidc_provider *p,
                               struct kms_error *reterr)
{
    struct bytes text;

    if (v.node == NULL)
        return KMS_OK;
    TRY(read_text(v, "ca", FILE_PATH_MAX - 1, &text, reterr));
    p->ca = copy_text(arena, text);
    if (!p->is_url || p->ca[0] != '/' || !file_exists(p->ca))
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "ca is not the absolute path of a file, or jwks is no URL");
    return KMS_OK;
}

static enum kms_status check_members(struct json entry, struct kms_error *reterr)
{
    static const char *const known[] = { "issuer", "jwks", "audiences", "ca" };
    struct json_iter         it = json_iterate(entry);
    struct bytes             name;
    struct json              v;

    if (json_type(entry) != JSON_OBJECT)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "not an object");
    while (json_next(&it, &name, &v)) {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && !bytes_eq_str(name, known[i]))
            i++;
        if (i == ARRAY_LEN(known))
            return KMS_FAIL(reterr, KMS_E_VALIDATION, "unknown member '%.*s'",
                            (int)(name.len < 60 ? name.len : 60), (const char *)name.ptr);
    }
    return KMS_OK;
}

static enum kms_status read_entry(struct json entry, bool dev, struct oidc_list *list,
                                  struct kms_error *reterr)
{
    struct oidc_provider p = { 0 };

    TRY(check_members(entry, reterr));
    TRY(read_issuer(json_member(entry, "issuer"), &p, reterr));
    TRY(read_source(json_member(entry, "jwks"), dev, list->arena, &p, reterr));
    TRY(read_audiences(json_member(entry, "audiences"), list->arena, &p, reterr));
    TRY(read_ca(json_member(entry, "ca"), list->arena, &p, reterr));
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->providers[i].issuer, p.issuer) == 0)
            return KMS_FAIL(reterr, KMS_E_VALIDATION, "issuer '%s' is there twice", p.issuer);
    }
    list->providers[list->n++] = p;
    return KMS_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static enum kms_status read_entries(const struct oidc_config *config, struct json root,
                                    struct oidc_list *list, struct kms_error *reterr)
{
    struct json_iter it = json_iterate(root);
    struct json      entry;
    struct kms_error why;

    if (json_type(root) != JSON_ARRAY || json_count(root) > OIDC_PROVIDERS_MAX)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: not a list of at most %d providers",
                        config->path, OIDC_PROVIDERS_MAX);
    while (json_next(&it, NULL, &entry)) {
        enum kms_status status = read_entry(entry, config->dev, list, &why);
        if (status != KMS_OK)
            return KMS_FAIL(reterr, status, "%s: [%zu]: %s", config->path, list->n, why.detail);
    }
    return KMS_OK;
}

enum kms_status oidc_list_read(const struct oidc_config *config, struct oidc_list **ret,
                               struct kms_error *reterr)
{
    CLEANUP(json_doc_freep) struct json_doc   *doc = json_doc_new();
    CLEANUP(oidc_list_freep) struct oidc_list *list = list_new();
    CLEANUP(buf_release) struct buf            text = BUF_INIT(OIDC_LIST_BYTES_MAX);
    struct kms_error                           why;
    struct json                                root;

    if (doc == NULL || list == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for OIDC providers");
    if (file_read(config->path, &text, &why) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s", why.detail);
    text.limit += JSON_PADDING;
    if (!buf_reserve(&text, JSON_PADDING))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for OIDC providers");
    if (json_parse(doc, text.ptr, text.len, &root, &why) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: not strict JSON (%s)", config->path,
                        why.detail);
    TRY(read_entries(config, root, list, reterr));
    *ret = TAKE(list);
    return KMS_OK;
}
