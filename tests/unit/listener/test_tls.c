/* TLS: versions and suites, requests over it, certificates that change, clients that do not speak it. */
#include "toy_tls.h"

#include <string.h>

struct site {
    char        dir[64];
    char        cert[96], key[96];
    struct toy *toy;
};

static int setup(void **state)
{
    struct site *s = calloc(1, sizeof *s);

    assert_non_null(s);
    toy_dir_make(s->dir);
    (void)snprintf(s->cert, sizeof s->cert, "%s/cert.pem", s->dir);
    (void)snprintf(s->key, sizeof s->key, "%s/cert.key", s->dir);
    toy_certificate(s->dir, "first.example");
    s->toy = toy_start(
        &(struct listener_config){ .tls_cert = s->cert,
                                   .tls_key = s->key,
                                   .limits = { .handshake_ms = 60000, .linger_ms = 5000 } });
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;

    toy_stop(s->toy, 0);
    toy_dir_remove(s->dir);
    free(s);
    return 0;
}

static const struct tls_wish tls12 = { TLS1_2_VERSION, TLS1_2_VERSION, NULL, NULL };
static const struct tls_wish tls13 = { TLS1_3_VERSION, TLS1_3_VERSION, NULL, "http/1.1" };

static struct client *must(struct client *c)
{
    if (c == NULL)
        fail_msg("no handshake");
    return c;
}

static void requests_over_tls(void **state)
{
    struct site           *s = *state;
    const struct tls_wish *wishes[] = { &tls12, &tls13 };
    const char            *told[] = {
        "local=0 secure=1 source=127.0.0.1 tls=TLSv1.2 cipher=ECDHE-ECDSA-AES128-GCM-SHA256",
        "local=0 secure=1 source=127.0.0.1 tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384",
    };

    assert_true(strncmp(listener_url(toy_listener(s->toy)), "https://127.0.0.1:", 18) == 0);
    for (size_t i = 0; i < 2; i++) {
        struct client *c = must(client_tls(s->toy, wishes[i]));
        client_send(c, GET("/info"));
        client_expect(c, 200, told[i]);
        for (int round = 0; round < 20; round++) {
            client_send(c, GET("/echo?1") GET("/turn") GET("/thread?n=3") GET("/echo?2"));
            client_expect(c, 200, "/echo?1");
            client_expect(c, 200, "/turn");
            client_expect(c, 200, "/thread?n=3");
            client_expect(c, 200, "/echo?2");
        }
        client_send(c, "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        client_expect(c, 200, "/echo");
        client_expect_end(c, false); /* close_notify, not just the end */
        client_free(c);
    }
    toy_wait_open(s->toy, 0);
}

/* Each byte a record of its own; then many requests in one record. */
static void records_of_any_size(void **state)
{
    static const char text[] = "POST /turn HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}";
    struct site      *s = *state;
    struct client    *c = must(client_tls(s->toy, &tls13));
    struct buf        many = BUF_INIT(64 * 1024);

    for (size_t i = 0; i < sizeof text - 1; i++)
        client_send_bytes(c, bytes_of(text + i, 1));
    client_expect(c, 200, "{}");
    for (int i = 0; i < 400; i++)
        buf_add_str(&many, GET("/echo"));
    client_send_bytes(c, buf_bytes(&many));
    for (int i = 0; i < 400; i++)
        client_expect(c, 200, "/echo");
    buf_release(&many);
    client_free(c);
}

static void large_bodies_and_answers(void **state)
{
    struct site   *s = *state;
    struct client *c = must(client_tls(s->toy, &tls13));
    char          *body = malloc(128 * 1024 + 1);
    struct buf     text = BUF_INIT(256 * 1024);

    memset(body, 'x', 128 * 1024);
    body[128 * 1024] = '\0';
    buf_addf(&text, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 131072\r\n\r\n%s", body);
    for (int i = 0; i < 3; i++) {
        client_send_bytes(c, buf_bytes(&text));
        client_expect(c, 200, body);
        client_send(c, GET("/big?n=4000000") GET("/turn"));
        toy_sleep_ms(30);
        client_expect_big(c, 4000000);
        client_expect(c, 200, "/turn");
    }
    free(body);
    buf_release(&text);
    client_free(c);
}

/* The client changes its keys in the middle and asks the server to do so too. */
static void key_updates(void **state)
{
    struct site   *s = *state;
    struct client *c = must(client_tls(s->toy, &tls13));

    for (int i = 0; i < 10; i++) {
        assert_int_equal(SSL_key_update(client_ssl(c), SSL_KEY_UPDATE_REQUESTED), 1);
        client_send(c, GET("/turn"));
        client_expect(c, 200, "/turn");
    }
    client_free(c);
}

static void refused(struct toy *t, const struct tls_wish *wish)
{
    uint64_t before = toy_counts(t).tls_errors;

    assert_null(client_tls(t, wish));
    toy_wait_open(t, 0);
    assert_int_equal(toy_counts(t).tls_errors, before + 1);
}

static void old_versions_and_suites_are_refused(void **state)
{
    static const char *const weak[] = {
        "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA",    "AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-CCM8",   "DHE-RSA-AES128-GCM-SHA256",
    };
    struct site *s = *state;

    refused(s->toy, &(struct tls_wish){ TLS1_1_VERSION, TLS1_1_VERSION, "ALL:@SECLEVEL=0", NULL });
    refused(s->toy, &(struct tls_wish){ TLS1_VERSION, TLS1_VERSION, "ALL:@SECLEVEL=0", NULL });
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
        refused(s->toy, &(struct tls_wish){ TLS1_2_VERSION, TLS1_2_VERSION, weak[i], NULL });
    refused(s->toy, &(struct tls_wish){ 0, 0, NULL, "h2" });
    struct client *c = must(client_tls(s->toy, &tls13)); /* and the others still get in */
    client_free(c);
}

static void no_renegotiation(void **state)
{
    struct site   *s = *state;
    struct client *c = must(client_tls(s->toy, &tls12));

    client_send(c, GET("/echo"));
    client_expect(c, 200, "/echo");
    assert_int_equal(SSL_renegotiate(client_ssl(c)), 1);
    assert_int_not_equal(SSL_do_handshake(client_ssl(c)), 1);
    client_free(c);
    toy_wait_open(s->toy, 0);
}

static void plain_http_is_told_in_plain_http(void **state)
{
    struct site   *s = *state;
    struct client *c = client_new(s->toy);

    client_send(c, GET("/echo"));
    client_expect(c, 400, "This port speaks TLS: use https://\n");
    client_expect_end(c, false);
    client_free(c);
    assert_int_equal(toy_counts(s->toy).tls_errors, 1);
    assert_int_equal(toy_requests(s->toy), 0);
}

static void a_slow_handshake_is_cut_off(void **state)
{
    struct site   *s = *state;
    struct toy    *t = toy_start(&(struct listener_config){
           .tls_cert = s->cert, .tls_key = s->key, .limits = { .handshake_ms = 300 } });
    int64_t        began = toy_now_ms();
    struct client *silent = client_new(t);
    struct client *slow = client_new(t);

    client_send_bytes(slow, BYTES_LIT("\x16\x03\x01\x02\x00\x01"));
    client_expect_end(silent, true);
    client_expect_end(slow, true);
    assert_true(toy_now_ms() - began >= 250);
    assert_int_equal(toy_counts(t).timeouts, 2);
    client_free(silent);
    client_free(slow);
    toy_stop(t, 0);
}

static void garbage_is_refused(void **state)
{
    const struct bytes garbage[] = {
        BYTES_LIT("\x16\x03\x01\x00\x05hello"),
        BYTES_LIT("\x80\x01\x02\x03\x04\x05\x06"),
        BYTES_LIT("\x15\x03\x03\x00\x02\x02\x28"),
        BYTES_LIT("SSH-2.0-x\r\n"),
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct client *c = client_new(s->toy);
        client_send_bytes(c, garbage[i]);
        client_finish_sending(c);
        for (int64_t until = toy_now_ms() + PATIENCE_MS; toy_counts(s->toy).tls_errors == i;) {
            assert_true(toy_now_ms() < until);
            toy_sleep_ms(1);
        }
        client_free(c);
    }
    toy_wait_open(s->toy, 0);
    assert_int_equal(toy_counts(s->toy).tls_errors, sizeof garbage / sizeof *garbage);
}

/* A new certificate is for new connections; those that are open go on with theirs. */
static void certificates_change_while_connections_are_open(void **state)
{
    struct site     *s = *state;
    struct client   *old = must(client_tls(s->toy, &tls13));
    struct client   *old12 = must(client_tls(s->toy, &tls12));
    struct kms_error err = { 0 };
    char             name[64];

    toy_certificate(s->dir, "second.example");
    assert_int_equal(listener_reload(toy_listener(s->toy), &err), KMS_OK);
    struct client *fresh = must(client_tls(s->toy, &tls13));
    client_server_name(fresh, name, sizeof name);
    assert_string_equal(name, "second.example");
    client_server_name(old, name, sizeof name);
    assert_string_equal(name, "first.example");
    struct client *all[] = { old, old12, fresh };
    for (size_t i = 0; i < 3; i++) {
        client_send(all[i], GET("/turn"));
        client_expect(all[i], 200, "/turn");
    }

    FILE *file = fopen(s->key, "w"); /* what cannot be used changes nothing */
    assert_true(file != NULL && fputs("rubbish\n", file) >= 0 && fclose(file) == 0);
    assert_int_equal(listener_reload(toy_listener(s->toy), &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, s->key));
    struct client *after = must(client_tls(s->toy, &tls13));
    client_server_name(after, name, sizeof name);
    assert_string_equal(name, "second.example");
    client_free(after);
    for (size_t i = 0; i < 3; i++)
        client_free(all[i]);
}

static void unusable_files_are_named(void **state)
{
    struct site           *s = *state;
    struct listener       *l = NULL;
    struct kms_error       err = { 0 };
    char                   other[64];
    char                   other_key[96];
    struct listener_config config = { .address = "127.0.0.1:0",
                                      .tls_cert = s->cert,
                                      .tls_key = s->key };

    toy_dir_make(other);
    toy_certificate(other, "other.example");
    (void)snprintf(other_key, sizeof other_key, "%s/cert.key", other);
    const struct {
        const char *cert, *key, *says;
    } cases[] = {
        { "/no/such/cert.pem", s->key, "'/no/such/cert.pem' cannot be used: No such file" },
        { s->cert, "/no/such/cert.key", "'/no/such/cert.key' cannot be used: No such file" },
        { s->key, s->key, "TLS certificate '" },
        { s->cert, s->cert, "TLS key '" },
        { s->cert, other_key, "mismatch" },
        { s->cert, NULL, "without a key" },
    };
    config.hooks.request = (void (*)(void *, struct exchange *))abort;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.tls_cert = cases[i].cert;
        config.tls_key = cases[i].key;
        assert_int_equal(listener_open(&config, &l, &err), KMS_E_INTERNAL);
        if (strstr(err.detail, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.detail, cases[i].says);
    }
    toy_dir_remove(other);
}

static void clients_may_go_in_the_middle_of_tls(void **state)
{
    struct site *s = *state;

    for (int i = 0; i < 40; i++) {
        struct client *c = must(client_tls(s->toy, i % 2 == 0 ? &tls12 : &tls13));
        if (i % 5 > 0)
            client_send(c, i % 3 == 0 ? GET("/thread?n=5") : GET("/big?n=300000"));
        if (i % 4 == 0)
            client_reset(c);
        else if (i % 4 == 1)
            client_finish_sending(c);
        client_free(c);
    }
    toy_wait_open(s->toy, 0);
}

static void sessions_resume(void **state)
{
    struct site   *s = *state;
    struct client *c = must(client_tls(s->toy, &tls12));
    SSL_SESSION   *session = SSL_get1_session(client_ssl(c));
    struct client *d = client_new(s->toy);
    SSL_CTX       *ctx = SSL_CTX_new(TLS_client_method());

    assert_true(session != NULL && ctx != NULL);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION), 1);
    d->ssl = SSL_new(ctx);
    assert_true(d->ssl != NULL && SSL_set_session(d->ssl, session) == 1 &&
                SSL_set_fd(d->ssl, d->fd) == 1);
    assert_int_equal(SSL_connect(d->ssl), 1);
    assert_int_equal(SSL_session_reused(d->ssl), 1);
    client_send(d, GET("/echo"));
    client_expect(d, 200, "/echo");
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    client_free(c);
    client_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_over_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_any_size, setup, teardown),
        cmocka_unit_test_setup_teardown(large_bodies_and_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(key_updates, setup, teardown),
        cmocka_unit_test_setup_teardown(old_versions_and_suites_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(no_renegotiation, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_http_is_told_in_plain_http, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_handshake_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(certificates_change_while_connections_are_open, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(unusable_files_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_may_go_in_the_middle_of_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_resume, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
