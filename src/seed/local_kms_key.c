/* seed/local_kms_key.c - the keys of a seed file of local-kms, one by one; see local_kms.h.
 *
 * What a key may be is checked by the reader of seeds; here is what differs between the two forms, and
 * that nothing is dropped without a word. */
#include "seed/local_kms_internal.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

enum { HEX_BYTES_MAX = 128, AES_BYTES = 32 };

/* What is known of a key beside its material. */
struct about {
    size_t       metadata;
    const char  *spec;  /* NULL: as Metadata says, which has to */
    const char  *usage; /* where Metadata does not say; NULL: it has to */
    struct bytes id;
};

/* --- metadata --------------------------------------------------------------------------------- */

static const char *const metadata_members[] = {
    "KeyId",
    "Description",
    "KeyUsage",
    "Origin",
    "Enabled",
    "KeySpec",
    "KeyState",
    "CustomerMasterKeySpec",
    "AWSAccountId",
    "Arn",
    "KeyManager",
    "MultiRegion",
    "CreationDate",
    "EncryptionAlgorithms",
    "SigningAlgorithms",
    "MacAlgorithms",
    NULL,
};

static enum kms_status read_bool(struct conversion *c, size_t map, const char *name, bool *ret)
{
    struct bytes text;

    TRY(conversion_text(c, map, name, NULL, &text));
    if (text.len == 0)
        return KMS_OK;
    *ret = bytes_eq_str(text, "true");
    if (!*ret && !bytes_eq_str(text, "false"))
        return conversion_refuse(c, yaml_member(&c->tree, map, name), "this must be true or false");
    return KMS_OK;
}

/* If the member is there, it says what holds in Trent anyway. */
static enum kms_status agrees(struct conversion *c, size_t map, const char *name, struct bytes want)
{
    struct bytes text;

    TRY(conversion_text(c, map, name, NULL, &text));
    if (text.len > 0 && !bytes_eq(text, want))
        return conversion_refuse(c, yaml_member(&c->tree, map, name),
                                 "this says '%.*s', but it would be '%.*s'", BYTES_FMT(text),
                                 BYTES_FMT(want));
    return KMS_OK;
}

/* Account, ARN and manager are not the seed's to say: they follow from --account and --region. */
static enum kms_status check_place(struct conversion *c, const struct about *a)
{
    CLEANUP(buf_release) struct buf arn = BUF_INIT(KEY_ARN_MAX);

    key_arn_add(&arn, c->account, c->region, a->id);
    TRY(agrees(c, a->metadata, "AWSAccountId", c->account));
    TRY(agrees(c, a->metadata, "Arn", buf_bytes(&arn)));
    return agrees(c, a->metadata, "KeyManager", BYTES_LIT("CUSTOMER"));
}

static enum kms_status put_state(struct conversion *c, const struct about *a)
{
    struct bytes state;
    bool         enabled = true;

    TRY(conversion_text(c, a->metadata, "KeyState", NULL, &state));
    if (state.len > 0 && !bytes_eq_str(state, "Enabled") && !bytes_eq_str(state, "Disabled"))
        return conversion_refuse(c, yaml_member(&c->tree, a->metadata, "KeyState"),
                                 "a seed has keys that are Enabled or Disabled");
    enabled = !bytes_eq_str(state, "Disabled");
    bool said = enabled;

    TRY(read_bool(c, a->metadata, "Enabled", &said));
    if (said != enabled && state.len > 0)
        return conversion_refuse(c, yaml_member(&c->tree, a->metadata, "Enabled"),
                                 "this contradicts KeyState");
    if (!said)
        json_put_bool(&c->w, "Enabled", false);
    return KMS_OK;
}

static enum kms_status put_spec(struct conversion *c, const struct about *a)
{
    struct bytes spec = bytes_str(a->spec);

    if (a->spec == NULL)
        TRY(conversion_text(c, a->metadata, "KeySpec", "HMAC_256 or the like", &spec));
    TRY(agrees(c, a->metadata, "KeySpec", spec));
    TRY(agrees(c, a->metadata, "CustomerMasterKeySpec", spec));
    json_put_string(&c->w, "KeySpec", spec);
    return KMS_OK;
}

static enum kms_status put_text(struct conversion *c, const struct about *a, const char *name,
                                const char *otherwise)
{
    struct bytes text;

    TRY(conversion_text(c, a->metadata, name, NULL, &text));
    if (text.len > 0)
        json_put_string(&c->w, name, text);
    else if (otherwise != NULL)
        json_put_str(&c->w, name, otherwise);
    return KMS_OK;
}

static void leave_out(struct conversion *c, size_t metadata)
{
    static const char *const follow[] = { "EncryptionAlgorithms", "SigningAlgorithms",
                                          "MacAlgorithms" };

    size_t date = yaml_member(&c->tree, metadata, "CreationDate");

    if (date != 0)
        conversion_leave_out(c, date, "a seed's key is as old as the server's knowledge of it");
    for (size_t i = 0; i < ARRAY_LEN(follow); i++) {
        size_t node = yaml_member(&c->tree, metadata, follow[i]);
        if (node != 0)
            conversion_leave_out(c, node, "it follows from the key's spec");
    }
}

/* Begins a key and writes its metadata. */
static enum kms_status put_metadata(struct conversion *c, size_t key, const struct about *from)
{
    struct about a = *from;
    bool         multi = false;

    TRY(conversion_map(c, a.metadata, metadata_members));
    TRY(conversion_text(c, a.metadata, "KeyId", "a fixed key id is what a seed is for", &a.id));
    if (!key_id_well_formed(a.id))
        return conversion_refuse(c, yaml_member(&c->tree, a.metadata, "KeyId"),
                                 "a key id is a UUID here, or mrk- and 32 digits of 0 to 9 and a "
                                 "to f: give the key such an id, and an alias with this name");
    if (a.usage == NULL && yaml_member(&c->tree, a.metadata, "KeyUsage") == 0)
        return conversion_refuse(c, a.metadata,
                                 "KeyUsage is missing: ENCRYPT_DECRYPT or SIGN_VERIFY");
    TRY(check_place(c, &a));
    c->keys[c->n_keys++] = key;
    json_open_object(&c->w, NULL);
    json_put_string(&c->w, "KeyId", a.id);
    TRY(put_text(c, &a, "Description", NULL));
    TRY(put_spec(c, &a));
    TRY(put_text(c, &a, "KeyUsage", a.usage));
    TRY(put_text(c, &a, "Origin", NULL));
    TRY(put_state(c, &a));
    TRY(read_bool(c, a.metadata, "MultiRegion", &multi));
    if (yaml_member(&c->tree, a.metadata, "MultiRegion") != 0)
        json_put_bool(&c->w, "MultiRegion", multi);
    leave_out(c, a.metadata);
    return KMS_OK;
}

static enum kms_status metadata_of(struct conversion *c, size_t key, size_t *ret)
{
    *ret = yaml_member(&c->tree, key, "Metadata");
    if (*ret == 0)
        return conversion_refuse(c, key, "Metadata is missing: it has at least the KeyId");
    return KMS_OK;
}

/* --- keys of raw bytes ------------------------------------------------------------------------ */

/* `len` 0: any length that the key's spec takes, which the reader of seeds knows. */
static enum kms_status put_hex(struct conversion *c, size_t node, size_t len)
{
    CLEANUP(buf_release) struct buf plain = BUF_INIT(HEX_BYTES_MAX); /* wiped */

    if (yaml_at(&c->tree, node)->kind != YAML_SCALAR)
        return conversion_refuse(c, node, "this must be a key in hexadecimal digits");
    struct bytes text = yaml_text(&c->tree, node);
    size_t       bytes = text.len / 2;

    if (len > 0 && text.len != 2 * len)
        return conversion_refuse(c, node, "this has %zu characters: such a key has %zu digits",
                                 text.len, 2 * len);
    if (bytes == 0 || bytes > HEX_BYTES_MAX || text.len % 2 != 0)
        return conversion_refuse(c, node,
                                 "this has %zu characters: a key has 2 to %d digits, "
                                 "two for each byte",
                                 text.len, 2 * HEX_BYTES_MAX);
    if (!buf_reserve(&plain, bytes))
        return KMS_FAIL(c->reterr, KMS_E_INTERNAL, "no memory for a key");
    if (!hex_read(text, plain.ptr, bytes))
        return conversion_refuse(c, node, "this is not hexadecimal: digits are 0 to 9, a to f");
    plain.len = bytes;
    json_put_base64(&c->w, "Material", buf_bytes(&plain));
    return KMS_OK;
}

static enum kms_status put_list(struct conversion *c, size_t list, size_t len)
{
    const struct yaml_node *n = yaml_at(&c->tree, list);

    if (n->kind != YAML_LIST || n->count == 0)
        return conversion_refuse(c, list,
                                 "this must be a list of keys in hexadecimal digits, the "
                                 "oldest first");
    if (n->count == 1)
        return put_hex(c, n->child, len);
    if (len == 0)
        return conversion_refuse(c, yaml_at(&c->tree, n->child)->next,
                                 "only symmetric encryption keys have several: leave one");
    json_open_array(&c->w, "Materials");
    for (size_t i = n->child; i != 0; i = yaml_at(&c->tree, i)->next) {
        json_open_object(&c->w, NULL);
        TRY(put_hex(c, i, len));
        json_close_object(&c->w);
    }
    json_close_array(&c->w);
    return KMS_OK;
}

/* RFC 3339: "2030-01-31T12:00:00Z", with a fraction or an offset if it likes. */
static bool is_date(struct bytes text)
{
    enum { TO_SECONDS = 19, OFFSET = 6 };
    char         whole[] = "0000-00-00T00:00:00Z";
    struct bytes head;
    int64_t      ms = 0;

    if (!bytes_take(&text, TO_SECONDS, &head))
        return false;
    memcpy(whole, head.ptr, head.len);
    if (!date_iso8601_read(bytes_str(whole), &ms))
        return false;
    size_t i = 0;

    if (text.len > 0 && text.ptr[0] == '.') {
        for (i = 1; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9';)
            i++;
        if (i == 1)
            return false;
    }
    text = bytes_of(text.ptr + i, text.len - i);
    if (bytes_eq_str(text, "Z"))
        return true;
    return text.len == OFFSET && (text.ptr[0] == '+' || text.ptr[0] == '-') && text.ptr[3] == ':';
}

static enum kms_status put_rotation(struct conversion *c, size_t key)
{
    struct bytes date;

    TRY(conversion_text(c, key, "NextKeyRotation", NULL, &date));
    if (date.len == 0)
        return KMS_OK;
    size_t node = yaml_member(&c->tree, key, "NextKeyRotation");

    if (!is_date(date))
        return conversion_refuse(c, node, "this must be a date like 2030-01-31T12:00:00Z");
    json_put_bool(&c->w, "KeyRotationEnabled", true);
    conversion_leave_out(c, node,
                         "the date; the key rotates every 365 days from when it is seeded");
    return KMS_OK;
}

enum kms_status convert_aes(struct conversion *c, size_t node)
{
    static const char *const names[] = { "Metadata", "BackingKeys", "NextKeyRotation", NULL };
    struct about             a = { .spec = "SYMMETRIC_DEFAULT", .usage = "ENCRYPT_DECRYPT" };
    struct bytes             origin;

    TRY(conversion_map(c, node, names));
    TRY(metadata_of(c, node, &a.metadata));
    TRY(put_metadata(c, node, &a));
    TRY(conversion_text(c, a.metadata, "Origin", NULL, &origin));
    size_t list = yaml_member(&c->tree, node, "BackingKeys");

    if (list == 0 && !bytes_eq_str(origin, "EXTERNAL")) /* which may wait for its import */
        return conversion_refuse(c, node,
                                 "BackingKeys is missing: a list of keys in hexadecimal "
                                 "digits, the oldest first");
    if (list != 0)
        TRY(put_list(c, list, AES_BYTES));
    TRY(put_rotation(c, node));
    json_close_object(&c->w);
    return KMS_OK;
}

enum kms_status convert_hmac(struct conversion *c, size_t node)
{
    static const char *const names[] = { "Metadata", "BackingKeys", NULL };
    struct about             a = { .usage = "GENERATE_VERIFY_MAC" };

    TRY(conversion_map(c, node, names));
    TRY(metadata_of(c, node, &a.metadata));
    TRY(put_metadata(c, node, &a));
    size_t list = yaml_member(&c->tree, node, "BackingKeys");

    if (list == 0)
        return conversion_refuse(c, node,
                                 "BackingKeys is missing: a list with one key in "
                                 "hexadecimal digits");
    TRY(put_list(c, list, 0));
    json_close_object(&c->w);
    return KMS_OK;
}

/* --- key pairs -------------------------------------------------------------------------------- */

static enum kms_status convert_pair(struct conversion *c, size_t node, enum spec_family family,
                                    const char *usage)
{
    static const char *const             names[] = { "Metadata", "PrivateKeyPem", NULL };
    CLEANUP(secret_freep) struct secret *material = NULL;
    struct about                         a = { .usage = usage };
    struct bytes                         pem;
    enum key_spec                        spec = SPEC_COUNT;

    TRY(conversion_map(c, node, names));
    TRY(metadata_of(c, node, &a.metadata));
    TRY(conversion_text(c, node, "PrivateKeyPem", "a private key in PEM", &pem));
    size_t at = yaml_member(&c->tree, node, "PrivateKeyPem");

    enum kms_status status = crypto_pem_to_pkcs8(pem, &spec, &material, c->reterr);
    if (status == KMS_E_CIPHERTEXT)
        return conversion_refuse(c, at,
                                 "this is no private key that can be used: one key in PEM, without "
                                 "a passphrase; RSA of 2048, 3072 or 4096 bits, or a named curve "
                                 "(P-256, P-384, P-521, secp256k1)");
    TRY(status);
    if (spec_info(spec)->family != family)
        return conversion_refuse(c, at, "this is a key of spec %s, which is not for this list",
                                 key_spec_names[spec]);
    a.spec = key_spec_names[spec];
    TRY(put_metadata(c, node, &a));
    json_put_base64(&c->w, "Material", secret_view(material));
    json_close_object(&c->w);
    return KMS_OK;
}

enum kms_status convert_rsa(struct conversion *c, size_t node)
{
    return convert_pair(c, node, FAMILY_RSA, NULL);
}

enum kms_status convert_ecc(struct conversion *c, size_t node)
{
    return convert_pair(c, node, FAMILY_EC, "SIGN_VERIFY");
}
