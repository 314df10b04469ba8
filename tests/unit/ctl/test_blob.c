/* tests/unit/ctl/test_blob.c - `trent blob inspect`: raw or base64, from a file, an argument or a pipe. */
#include "tool.h"

#include "base/encode.h"
#include "vault/blob.h"

/* A blob of ten bytes of plaintext; its base64 text, NUL-terminated, and a file of each in the folder. */
static void make_blob(const char *folder, struct buf *text)
{
    static const uint8_t            material[32] = { 7 };
    static const struct material_id id = { { 0xab, 0xcd } };
    struct blob_key        key = { .id = &id, .key_id = BYTES_LIT("k"), .arn = BYTES_LIT("a") };
    const struct blob_salt salt = { .nonce = { 1 } };
    uint8_t                blob[10 + BLOB_OVERHEAD];
    char                   path[256];

    assert_int_equal(crypto_hmac_key(bytes_of(material, sizeof material), &key.material, NULL),
                     KMS_OK);
    assert_int_equal(
        blob_seal(&key, BLOB_DATA_KEY, &salt, BYTES_LIT(""), BYTES_LIT("0123456789"), blob, NULL),
        KMS_OK);
    crypto_hmac_key_free(&key.material);
    base64_add(text, bytes_of(blob, sizeof blob));
    buf_add_byte(text, 0);
    (void)snprintf(path, sizeof path, "%s/raw", folder);
    FILE *raw = fopen(path, "wb");
    assert_non_null(raw);
    assert_int_equal(fwrite(blob, 1, sizeof blob, raw), sizeof blob);
    assert_int_equal(fclose(raw), 0);
    (void)snprintf(path, sizeof path, "%s/base64", folder);
    FILE *base64 = fopen(path, "wb");
    assert_non_null(base64);
    for (size_t i = 0; i + 1 < text->len; i++) /* wrapped, as base64(1) does it */
        assert_true(fprintf(base64, i % 76 == 75 ? "%c\n" : "%c", text->ptr[i]) > 0);
    assert_int_equal(fclose(base64), 0);
}

static const char want[] = "made by                          GenerateDataKey\n"
                           "format                           84\n"
                           "key material id                  "
                           "abcd000000000000000000000000000000000000000000000000000000000000\n"
                           "blob                             162 bytes\n"
                           "plaintext                        10 bytes\n";

static void test_all_ways_in_say_the_same(void **state)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    char                            args[1024];

    make_blob(*state, &text);
    const char *base64 = (const char *)text.ptr;
    (void)snprintf(args, sizeof args, "blob inspect %s", base64);
    const char *const ways[] = { "blob inspect %/raw", "blob inspect %/base64", args,
                                 "blob inspect", "blob inspect -" };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        CLEANUP(tool_free) struct tool_run run = tool(*state, ways[i], base64);
        assert_code(run, EX_OK);
        assert_string_equal(run.out, want);
    }
    CLEANUP(tool_free) struct tool_run json = tool(*state, "blob inspect %/raw --json", NULL);
    assert_code(json, EX_OK);
    assert_string_equal(json.out,
                        "{\"madeBy\":\"GenerateDataKey\",\"format\":84,\"keyMaterialId\":"
                        "\"abcd000000000000000000000000000000000000000000000000000000000000\","
                        "\"blobBytes\":162,\"plaintextBytes\":10}\n");
}

static void test_other_things_are_not_blobs(void **state)
{
    static const char *const inputs[] = { "", "hello", "AAAA", "!", "\n\n" };

    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        CLEANUP(tool_free) struct tool_run run = tool(*state, "blob inspect -", inputs[i]);
        assert_code(run, EX_DATAERR);
        assert_says(run.err, "not a ciphertext blob");
        assert_string_equal(run.out, "");
    }
    CLEANUP(tool_free) struct tool_run missing = tool(*state, "blob inspect %/nothing", NULL);
    assert_code(missing, EX_DATAERR);
    assert_says(missing.err, "nor a file");
}

static void test_too_much_is_refused(void **state)
{
    char *much = malloc(200001);

    assert_non_null(much);
    memset(much, 'A', 200000);
    much[200000] = '\0';
    CLEANUP(tool_free) struct tool_run run = tool(*state, "blob inspect", much);
    free(much);
    assert_code(run, EX_NOINPUT);
    assert_says(run.err, "longer than any blob");
}

static int setup(void **state)
{
    assert_int_equal(tool_prepare(NULL), KMS_OK);
    return tool_setup(state);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, tool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_all_ways_in_say_the_same),
        IN_FOLDER(test_other_things_are_not_blobs),
        IN_FOLDER(test_too_much_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
