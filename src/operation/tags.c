/* operation/tags.c - the rules of tags (kms-behaviour 3.2, 13.2). */
#include "operation/handlers.h"

/* Letters, digits, spaces and _.:/=+-@ (kms-behaviour 18 #25). Of the characters beyond ASCII all
 * are taken: telling letters from others there needs the Unicode tables. */
static bool valid_characters(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool    letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (c < 0x80 && !letter && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr(" _.:/=+-@", c) == NULL))
            return false;
    }
    return true;
}

static bool is_reserved(struct bytes key)
{
    return key.len >= 4 && (key.ptr[0] | 0x20) == 'a' && (key.ptr[1] | 0x20) == 'w' &&
           (key.ptr[2] | 0x20) == 's' && key.ptr[3] == ':';
}

static struct bytes key_of(struct json tag)
{
    return json_string(json_member(tag, "TagKey"));
}

static struct bytes value_of(struct json tag)
{
    return json_string(json_member(tag, "TagValue"));
}

enum kms_status op_check_tags(struct json tags, struct kms_error *reterr)
{
    struct bytes seen[LIMIT_TAGS];
    size_t       n = 0;
    struct json  tag;

    if (tags.node == NULL)
        return KMS_OK;
    if (json_count(tags) > LIMIT_TAGS)
        return KMS_REFUSE(reterr, KMS_E_TAG, "Too many tags");
    for (struct json_iter it = json_iterate(tags); json_next(&it, NULL, &tag);) {
        struct bytes key = key_of(tag);

        if (is_reserved(key))
            return KMS_REFUSE(reterr, KMS_E_TAG, "Tags beginning with aws: are reserved");
        if (!valid_characters(key) || !valid_characters(value_of(tag)))
            return KMS_REFUSE(reterr, KMS_E_TAG, "Invalid tag");
        for (size_t i = 0; i < n; i++) {
            if (bytes_eq(seen[i], key))
                return KMS_REFUSE(reterr, KMS_E_TAG, "Duplicate tag keys");
        }
        seen[n++] = key;
    }
    return KMS_OK;
}

static struct key_tag *find_tag(const struct key_record *key, struct bytes name)
{
    for (size_t i = 0; i < key->n_tags; i++) {
        if (bytes_eq(key->tags[i].key, name))
            return &key->tags[i];
    }
    return NULL;
}

static size_t count_new(const struct key_record *key, struct json tags)
{
    struct json tag;
    size_t      n = 0;

    for (struct json_iter it = json_iterate(tags); json_next(&it, NULL, &tag);)
        n += find_tag(key, key_of(tag)) == NULL;
    return n;
}

enum kms_status op_apply_tags(struct key_record *key, struct json tags, struct kms_error *reterr)
{
    size_t      added = tags.node == NULL ? 0 : count_new(key, tags);
    struct json tag;

    if (key->n_tags + added > LIMIT_TAGS)
        return KMS_REFUSE(reterr, KMS_E_TAG, "Too many tags");
    if (added > 0) {
        struct key_tag *all = arena_alloc(key->arena, (key->n_tags + added) * sizeof *all);

        if (key->n_tags > 0)
            memcpy(all, key->tags, key->n_tags * sizeof *all);
        key->tags = all;
    }
    if (tags.node == NULL)
        return KMS_OK;
    for (struct json_iter it = json_iterate(tags); json_next(&it, NULL, &tag);) {
        struct key_tag *known = find_tag(key, key_of(tag));

        if (known == NULL) {
            known = &key->tags[key->n_tags++];
            known->key = arena_copy(key->arena, key_of(tag));
        }
        known->value = arena_copy(key->arena, value_of(tag));
    }
    return KMS_OK;
}

void op_put_tag(struct json_writer *w, const struct key_tag *tag)
{
    json_open_object(w, NULL);
    json_put_string(w, "TagKey", tag->key);
    json_put_string(w, "TagValue", tag->value);
    json_close_object(w);
}
