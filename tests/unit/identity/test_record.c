/* tests/unit/identity/test_record.c - copies stand alone and fit exactly; names. */
#include "fixture.h"

static char scratch[2048]; /* what the originals' texts lie in, to be overwritten */

static struct bytes in_scratch(size_t at, const char *text)
{
    memcpy(scratch + at, text, strlen(text));
    return bytes_of(scratch + at, strlen(text));
}

static void test_identity_clone(void **state)
{
    struct identity_record *r = identity_record_new();
    struct bytes   attached[2] = { in_scratch(100, "arn:one"), in_scratch(120, "arn:two") };
    struct key_tag tag = { in_scratch(140, "key"), in_scratch(150, "value") };
    const struct key_rights *published = (const void *)scratch;
    struct identity_document doc = { .name = in_scratch(160, "inline"),
                                     .text = in_scratch(170, "{...}"),
                                     .created = 5,
                                     .is_default = true,
                                     .rights = published };

    (void)state;
    assert_non_null(r);
    r->kind = IDENTITY_ROLE;
    r->account = in_scratch(0, "111122223333");
    r->path = in_scratch(20, "/team/");
    r->name = in_scratch(30, "ops");
    r->arn = in_scratch(40, "arn");
    r->unique_id = in_scratch(50, "AROAX");
    r->description = in_scratch(60, "text");
    r->trust = in_scratch(70, "trust");
    r->trust_principals = in_scratch(80, "lines");
    r->trust_rights = published;
    r->boundary = in_scratch(90, "bound");
    r->attached = attached;
    r->n_attached = 2;
    r->documents = &doc;
    r->n_documents = 1;
    r->tags = &tag;
    r->n_tags = 1;
    r->serial = 8;
    r->version = 9;

    struct identity_record *c = identity_record_clone(r);
    assert_non_null(c);
    identity_record_free(r);
    memset(scratch, 'x', sizeof scratch);
    assert_true(bytes_eq_str(c->account, "111122223333") && bytes_eq_str(c->path, "/team/"));
    assert_true(bytes_eq_str(c->name, "ops") && bytes_eq_str(c->arn, "arn"));
    assert_true(bytes_eq_str(c->unique_id, "AROAX") && bytes_eq_str(c->description, "text"));
    assert_true(bytes_eq_str(c->trust, "trust") && bytes_eq_str(c->trust_principals, "lines"));
    assert_true(bytes_eq_str(c->boundary, "bound") && c->trust_rights == NULL);
    assert_true(bytes_eq_str(c->attached[0], "arn:one") && bytes_eq_str(c->attached[1], "arn:two"));
    assert_true(bytes_eq_str(c->documents[0].name, "inline") &&
                bytes_eq_str(c->documents[0].text, "{...}"));
    assert_true(c->documents[0].created == 5 && c->documents[0].is_default &&
                c->documents[0].rights == NULL);
    assert_true(bytes_eq_str(c->tags[0].key, "key") && bytes_eq_str(c->tags[0].value, "value"));
    assert_true(c->serial == 8 && c->version == 9 && c->kind == IDENTITY_ROLE);

    struct identity_record *again = identity_record_clone(c);
    assert_int_equal(arena_size(again->arena), arena_size(c->arena)); /* measured exactly */
    identity_record_free(c);
    identity_record_free(again);
}

static void test_access_key_clone(void **state)
{
    struct access_key_record *k = access_key_record_new();
    struct key_tag            tag = { in_scratch(0, "key"), in_scratch(10, "value") };
    struct identity_document  doc = { .text = in_scratch(20, "{...}") };

    (void)state;
    assert_non_null(k);
    k->id = in_scratch(30, "ASIAX");
    k->account = in_scratch(40, "111122223333");
    k->principal_id = in_scratch(60, "AROAX");
    k->wrapped_secret = in_scratch(70, "wrapped");
    k->session = (struct session){ .kind = SESSION_ROLE,
                                   .name = in_scratch(80, "me"),
                                   .expires = 77,
                                   .source_identity = in_scratch(90, "source"),
                                   .provider = in_scratch(100, "issuer"),
                                   .policies = &doc,
                                   .n_policies = 1,
                                   .tags = &tag,
                                   .n_tags = 1 };
    k->session.token_hash[31] = 9;
    struct access_key_record *c = access_key_record_clone(k);
    assert_non_null(c);
    access_key_record_free(k);
    memset(scratch, 'x', sizeof scratch);
    assert_true(bytes_eq_str(c->id, "ASIAX") && bytes_eq_str(c->account, "111122223333"));
    assert_true(bytes_eq_str(c->principal_id, "AROAX"));
    assert_true(bytes_eq_str(c->wrapped_secret, "wrapped"));
    const struct session *s = &c->session;
    assert_true(bytes_eq_str(s->name, "me") && bytes_eq_str(s->source_identity, "source"));
    assert_true(bytes_eq_str(s->provider, "issuer") && s->expires == 77 && s->token_hash[31] == 9);
    assert_true(s->policies[0].name.len == 0 && bytes_eq_str(s->policies[0].text, "{...}"));
    assert_true(bytes_eq_str(s->tags[0].key, "key") && bytes_eq_str(s->tags[0].value, "value"));
    struct access_key_record *again = access_key_record_clone(c);
    assert_int_equal(arena_size(again->arena), arena_size(c->arena));
    access_key_record_free(c);
    access_key_record_freep(&again);
    assert_null(again);
    access_key_record_freep(&again); /* NULL is fine */
}

static void test_names(void **state)
{
    static const char *const        want[] = { "arn:aws:iam::111122223333:user/ann",
                                               "arn:aws:iam::111122223333:role/a/b/ann",
                                               "arn:aws:iam::111122223333:policy/ann" };
    static const char *const        paths[] = { "/", "/a/b/", "/" };
    CLEANUP(buf_release) struct buf out = BUF_INIT(200);

    (void)state;
    for (unsigned kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        buf_reset(&out);
        identity_arn_add(&out, (enum identity_kind)kind, ACCOUNT, bytes_str(paths[kind]),
                         BYTES_LIT("ann"));
        assert_true(bytes_eq_str(buf_bytes(&out), want[kind]));
    }
    buf_reset(&out);
    root_arn_add(&out, ACCOUNT);
    assert_true(bytes_eq_str(buf_bytes(&out), "arn:aws:iam::111122223333:root"));
    assert_string_equal(identity_id_prefix(IDENTITY_USER), "AIDA");
    assert_string_equal(identity_id_prefix(IDENTITY_ROLE), "AROA");
    assert_string_equal(identity_id_prefix(IDENTITY_POLICY), "ANPA");
    /* numbers in databases */
    assert_int_equal(IDENTITY_POLICY, 2);
    assert_int_equal(SESSION_ROOT, 3);
}

static void test_documents(void **state)
{
    struct identity_document docs[] = { { .name = BYTES_LIT("v1") },
                                        { .name = BYTES_LIT("v2"), .is_default = true } };
    struct identity_record   r = { .documents = docs, .n_documents = 2 };

    (void)state;
    assert_ptr_equal(identity_document_find(&r, BYTES_LIT("v1")), &docs[0]);
    assert_null(identity_document_find(&r, BYTES_LIT("v3")));
    assert_ptr_equal(identity_default_version(&r), &docs[1]);
    docs[1].is_default = false;
    assert_null(identity_default_version(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_clone),
        cmocka_unit_test(test_access_key_clone),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
