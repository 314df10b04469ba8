/* tests/unit/vault/fixture.h - a vault in a folder of its own, and records to use it with. */
#pragma once

#include "vault/command.h"
#include "vault/vault.h"

struct fixture {
    char                dir[64];
    char                root_key[96];
    struct vault_config config;
    struct clock       *clock;
    struct epoch       *epoch;
    int                 reader; /* of the test's main thread */
    struct vault       *v;
};

/* Once in a program, before anything else: secret memory (unlocked, so that it can be scanned) and
 * OpenSSL. For cmocka's group setup. */
int fixture_start(void **state);
int fixture_stop(void **state);
/* Secrets that live on without a vault: this thread's MAC key and the test's RSA key. */
size_t fixture_own_secrets(void);

/* A new instance in a new folder, opened, with domain keys for account 111122223333 in us-east-1 and
 * us-west-2. No RSA keys are made. */
void fixture_open(struct fixture *f);
/* Closes the vault and opens it again, domain keys included; what a restart does. */
void fixture_reopen(struct fixture *f);
/* Closes it and removes the folder. */
void fixture_close(struct fixture *f);
/* "dir/name". */
const char *fixture_path(const struct fixture *f, const char *name, char room[128]);

/* A key of that account; `serial` makes its id. */
struct key_record *fixture_key(const char *region, unsigned serial, enum key_origin origin);
/* A generated material, appended to the key. */
struct key_material *fixture_generate(struct fixture *f, struct key_record *key);
/* The material that encrypts. */
struct vault_material fixture_current(const struct key_record *key);

/* GetParametersForImport with a key of the test's own (2048 bits), instead of the pool. */
void fixture_parameters(struct fixture *f, const struct key_record *key,
                        enum wrapping_algorithm algorithm, int64_t now,
                        struct vault_import_parameters *ret);
/* Wraps as a customer would. */
void fixture_wrap(struct bytes spki, enum wrapping_algorithm algorithm, struct bytes material,
                  struct buf *out);
/* The whole import of a material that does not expire, appended to the key as current. */
struct key_material *fixture_import(struct fixture *f, struct key_record *key,
                                    struct bytes material);
/* The same with an expiry. */
struct key_material *fixture_import_until(struct fixture *f, struct key_record *key,
                                          struct bytes material, int64_t valid_to);

/* Takes the material away as the committer does: forget, barrier, reclaim, erase. */
void fixture_delete(struct fixture *f, struct key_material *m, struct erase_proof *ret_proof);

/* Encrypts inside an epoch section. */
enum kms_status fixture_encrypt(struct fixture *f, struct vault_material m, struct bytes context,
                                struct bytes plain, struct buf *out);
enum kms_status fixture_decrypt(struct fixture *f, struct vault_material m, struct bytes context,
                                struct bytes blob, struct buf *out);
/* ReEncrypt between symmetric materials, as a command; appends the new blob. */
struct fixture_reencryption {
    struct vault_material from, to;
    struct bytes          from_context, to_context, blob;
};
enum kms_status fixture_reencrypt(struct vault *v, const struct fixture_reencryption *r,
                                  struct buf *out);
