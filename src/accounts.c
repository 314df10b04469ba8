/* accounts.c - see accounts.h. */
#include "accounts.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "commit/event.h"
#include "identity/book.h"
#include "instance/instance.h"
#include "json/write.h"
#include "request_internal.h"

#define PATH "/_trent/accounts/"

enum {
    ANSWER_ROOM = 4 * 1024 * 1024,
    LISTED_MAX = 10000,   /* accounts of one answer */
    ROOT_ACCESS_KEYS = 2, /* of one account, as IAM has it */
    TRIES = 100,          /* against others that change the same account */
};

struct parameters {
    struct account_record account; /* id, name, organization; what is not named is empty */
    bool                  has_name, has_organization;
    bool                  replace; /* access-key: the others go */
};

struct accounts {
    struct server       *server;
    _Atomic bool         busy; /* everything below belongs to whoever works on it */
    struct exchange     *ex;
    struct pool_task     task;
    struct listener_task wake;
    int                  reader; /* of the pool thread */
    const struct action *action;
    struct parameters    in;
    int                  status;
    struct buf           answer;
};

struct action {
    const char *name;
    enum kms_status (*run)(struct accounts *a, struct kms_error *reterr);
};

/* --- parameters ------------------------------------------------------------------------------- */

static bool all_of(struct bytes text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(allowed, text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static bool printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

/* A member that may be absent; `room` has a NUL after it. */
static enum kms_status read_text(struct json root, const char *name, char *room, size_t size,
                                 bool *ret_has, struct kms_error *reterr)
{
    struct json  v = json_member(root, name);
    struct bytes text = { NULL, 0 };

    *ret_has = v.node != NULL;
    if (v.node == NULL)
        return KMS_OK;
    if (json_type(v) == JSON_STRING)
        text = json_string(v);
    if (json_type(v) != JSON_STRING || text.len >= size || !printable(text))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%s is not a text of at most %zu bytes", name,
                          size - 1);
    if (text.len > 0)
        memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    return KMS_OK;
}

static enum kms_status read_parameters(struct json root, struct parameters *ret,
                                       struct kms_error *reterr)
{
    struct account_record *a = &ret->account;
    bool                   has_id = false;

    if (json_type(root) != JSON_OBJECT)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "expected a JSON object");
    TRY(read_text(root, "id", a->id, sizeof a->id, &has_id, reterr));
    TRY(read_text(root, "name", a->name, sizeof a->name, &ret->has_name, reterr));
    TRY(read_text(root, "organization", a->organization, sizeof a->organization,
                  &ret->has_organization, reterr));
    struct json replace = json_member(root, "replace");
    ret->replace = json_type(replace) == JSON_BOOL && json_bool(replace);
    struct bytes id = bytes_str(a->id);
    if (has_id && (id.len != ACCOUNT_LEN || !all_of(id, "0123456789")))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "'%s' is not an account id: 12 digits", a->id);
    struct bytes org = bytes_str(a->organization);
    if (org.len > 0 && (!bytes_starts(org, BYTES_LIT("o-")) || org.len < 12 ||
                        !all_of(org, "abcdefghijklmnopqrstuvwxyz0123456789-")))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "'%s' is not an organization: o- and 10 to 30 of a-z0-9",
                          a->organization);
    return KMS_OK;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void look(struct accounts *a)
{
    epoch_enter(a->server->parts.epoch, a->reader);
}

static void look_away(struct accounts *a)
{
    epoch_leave(a->server->parts.epoch, a->reader);
}

static enum kms_status unknown(const struct accounts *a, struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "there is no account '%s'", a->in.account.id);
}

/* A copy of the account's record, with the next version; NULL if there is none. */
static struct account_record *next_version(struct accounts *a)
{
    struct account_record *copy = calloc(1, sizeof *copy);

    if (copy == NULL)
        abort();
    look(a);
    const struct account_record *r = book_account(a->server->parts.identities,
                                                  bytes_str(a->in.account.id));
    if (r != NULL)
        *copy = *r;
    look_away(a);
    if (r == NULL) {
        free(copy);
        return NULL;
    }
    copy->version++;
    return copy;
}

/* --- saying ----------------------------------------------------------------------------------- */

static void put_account(struct json_writer *w, const struct account_record *r)
{
    json_put_str(w, "accountId", r->id);
    json_put_str(w, "name", r->name);
    json_put_str(w, "organization", r->organization);
}

/* The event of a change, which names the account and, unless NULL, the new access key. */
static enum kms_status write_event(struct accounts *a, const char *name,
                                   const struct account_record *r, const char *access_key_id,
                                   struct buf *out, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf details = BUF_INIT(4096);
    struct audit_event              e = { .time = clock_now(a->server->parts.clock),
                                          .event_type = "AwsServiceEvent",
                                          .event_name = name,
                                          .account = bytes_str(r->id) };
    struct json_writer              w;

    json_writer_init(&w, &details);
    json_open_object(&w, NULL);
    put_account(&w, r);
    if (access_key_id != NULL)
        json_put_str(&w, "accessKeyId", access_key_id);
    json_close_object(&w);
    e.additional = buf_bytes(&details);
    uuid_text_new(e.event_id);
    audit_event_write(out, &e);
    if (!buf_ok(&details) || !buf_ok(out))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an audit event");
    return KMS_OK;
}

static void answer_account(struct accounts *a, const struct account_record *r,
                           const struct instance_result *key)
{
    struct json_writer w;

    json_writer_init(&w, &a->answer);
    json_open_object(&w, NULL);
    put_account(&w, r);
    if (key != NULL) {
        json_put_str(&w, "accessKeyId", key->access_key_id);
        json_put_str(&w, "secretAccessKey", key->secret_access_key);
    }
    json_close_object(&w);
}

/* --- changing --------------------------------------------------------------------------------- */

static enum kms_status commit(struct accounts *a, struct change *change, bool takes_away,
                              struct kms_error *reterr)
{
    return commit_wait(a->server->parts.committer, change, takes_away, NULL, reterr);
}

static bool is_taken(struct accounts *a, const char *id)
{
    look(a);
    bool taken = book_account(a->server->parts.identities, bytes_str(id)) != NULL;
    look_away(a);
    return taken;
}

static enum kms_status create_once(struct accounts *a, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(16 * 1024) };
    struct account_record                 r = a->in.account;
    struct instance_result                key;

    if (r.id[0] == '\0')
        instance_new_account_id(r.id);
    else if (is_taken(a, r.id))
        return KMS_REFUSE(reterr, KMS_E_ALREADY_EXISTS, "there is an account '%s' already", r.id);
    r.created = clock_now(a->server->parts.clock);
    r.version = 1;
    instance_new_access_key(&key);
    enum kms_status status = instance_add_account(a->server->parts.vault, &change, &r, &key,
                                                  reterr);
    if (status == KMS_OK)
        status = write_event(a, "TrentAccountCreated", &r, key.access_key_id, &change.event,
                             reterr);
    if (status == KMS_OK)
        status = commit(a, &change, false, reterr);
    if (status == KMS_OK)
        answer_account(a, &r, &key);
    instance_result_wipe(&key);
    return status;
}

static enum kms_status update_once(struct accounts *a, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(16 * 1024) };
    CLEANUP(freep) struct account_record *edit = next_version(a);
    const struct parameters              *in = &a->in;
    struct account_record                 now;

    if (edit == NULL)
        return unknown(a, reterr);
    if (in->has_name)
        memcpy(edit->name, in->account.name, sizeof edit->name);
    if (in->has_organization)
        memcpy(edit->organization, in->account.organization, sizeof edit->organization);
    now = *edit;
    change_add(&change, ROW_ACCOUNT_UPDATE)->account = TAKE(edit);
    TRY(write_event(a, "TrentAccountUpdated", &now, NULL, &change.event, reterr));
    TRY(commit(a, &change, true, reterr));
    answer_account(a, &now, NULL);
    return KMS_OK;
}

/* The access keys that the root user has: counted, or as rows that delete them. */
static enum kms_status make_room(struct accounts *a, struct change *change,
                                 struct kms_error *reterr)
{
    const struct access_key_record *list[ROOT_ACCESS_KEYS + 1];
    struct bytes                    account = bytes_str(a->in.account.id);
    bool                            copied = true;

    look(a);
    size_t n = book_list_access_keys(a->server->parts.identities, account, list, ARRAY_LEN(list));
    for (size_t i = 0; i < n && i < ARRAY_LEN(list) && a->in.replace; i++) {
        struct row *gone = change_add(change, ROW_ACCESS_KEY_DELETE);
        gone->access_key = access_key_record_clone(list[i]);
        gone->expected_version = list[i]->version;
        copied = copied && gone->access_key != NULL;
    }
    look_away(a);
    if (!copied)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for an access key");
    if (n >= ROOT_ACCESS_KEYS && !a->in.replace)
        return KMS_REFUSE(reterr, KMS_E_LIMIT,
                          "the root user of '%s' has %d access keys already: delete one with "
                          "DeleteAccessKey, or all of them with --replace",
                          a->in.account.id, ROOT_ACCESS_KEYS);
    return KMS_OK;
}

static enum kms_status access_key_once(struct accounts *a, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(16 * 1024) };
    CLEANUP(freep) struct account_record *edit = next_version(a);
    struct instance_result                key;

    if (edit == NULL)
        return unknown(a, reterr);
    struct account_record now = *edit;
    /* its version makes two of these at once notice each other */
    change_add(&change, ROW_ACCOUNT_UPDATE)->account = TAKE(edit);
    TRY(make_room(a, &change, reterr));
    instance_new_access_key(&key);
    enum kms_status status = instance_add_root_key(a->server->parts.vault, &change, now.id,
                                                   clock_now(a->server->parts.clock), &key, reterr);
    if (status == KMS_OK)
        status = write_event(a, "TrentRootAccessKeyCreated", &now, key.access_key_id, &change.event,
                             reterr);
    if (status == KMS_OK)
        status = commit(a, &change, a->in.replace, reterr);
    if (status == KMS_OK)
        answer_account(a, &now, &key);
    instance_result_wipe(&key);
    return status;
}

static enum kms_status list_all(struct accounts *a, struct kms_error *reterr)
{
    CLEANUP(freep) const struct account_record **list = calloc(LISTED_MAX, sizeof *list);
    struct json_writer                           w;

    if (list == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to list accounts");
    json_writer_init(&w, &a->answer);
    json_open_array(&w, NULL);
    look(a);
    size_t n = book_list_accounts(a->server->parts.identities, list, LISTED_MAX);
    for (size_t i = 0; i < n; i++) {
        json_open_object(&w, NULL);
        put_account(&w, list[i]);
        json_put_date(&w, "created", list[i]->created);
        json_close_object(&w);
    }
    look_away(a);
    json_close_array(&w);
    return KMS_OK;
}

static const struct action actions[] = {
    { "list", list_all },
    { "create", create_once },
    { "update", update_once },
    { "access-key", access_key_once },
};

/* --- running ---------------------------------------------------------------------------------- */

static void answer_error(struct accounts *a, enum kms_status status, const struct kms_error *err)
{
    struct json_writer w;

    buf_wipe(&a->answer);
    a->status = status == KMS_E_VALIDATION ? 400 : status == KMS_E_NOT_FOUND ? 404 : 500;
    if (status == KMS_E_ALREADY_EXISTS || status == KMS_E_LIMIT)
        a->status = 409;
    json_writer_init(&w, &a->answer);
    json_open_object(&w, NULL);
    json_put_str(&w, "error", err->message[0] != '\0' ? err->message : err->detail);
    json_close_object(&w);
}

/* On the loop's thread. */
static void give(void *arg)
{
    struct accounts   *a = arg;
    struct exchange   *ex = a->ex;
    struct http_answer answer = { .status = a->status,
                                  .content_type = "application/json",
                                  .close = ex->close };

    buf_add_str(&a->answer, "\n");
    answer.body = buf_bytes(&a->answer);
    ex->secret = true; /* it may hold a secret access key */
    http_answer_add(ex->out, &answer, server_date(&a->server->loops[ex->loop]));
    buf_wipe(&a->answer);
    atomic_store(&a->busy, false);
    listener_answer(ex);
}

static void run_on_pool(struct pool_task *task, unsigned worker)
{
    struct accounts *a = (void *)((char *)task - offsetof(struct accounts, task));
    enum kms_status  status = KMS_E_CHANGED;
    struct kms_error err = { 0 };

    a->reader = a->server->pool_readers[worker];
    a->status = 200;
    for (unsigned i = 0; i < TRIES && status == KMS_E_CHANGED; i++) {
        buf_wipe(&a->answer);
        status = a->action->run(a, &err);
    }
    if (status == KMS_OK && !buf_ok(&a->answer))
        status = KMS_FAIL(&err, KMS_E_INTERNAL, "the answer is too long");
    if (status != KMS_OK)
        answer_error(a, status, &err);
    a->wake = (struct listener_task){ .fn = give, .arg = a };
    listener_post(a->server->listener, a->ex->loop, &a->wake);
}

static enum kms_status read_body(struct accounts *a, struct exchange *ex, struct kms_error *reterr)
{
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct json                              root;

    a->in = (struct parameters){ .replace = false };
    if (doc == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read JSON");
    if (ex->in.body_len == 0)
        return KMS_OK;
    if (json_parse(doc, ex->in.body, ex->in.body_len, &root, reterr) != KMS_OK)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "expected a JSON object");
    return read_parameters(root, &a->in, reterr);
}

static const struct action *action_of(const struct exchange *ex)
{
    struct bytes name = ex->in.path;
    struct bytes prefix;

    if (!ex->local || ex->in.method != HTTP_POST || !bytes_starts(name, BYTES_LIT(PATH)) ||
        !bytes_take(&name, sizeof PATH - 1, &prefix))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (bytes_eq_str(name, actions[i].name))
            return &actions[i];
    }
    return NULL;
}

bool accounts_run(struct accounts *a, struct exchange *ex)
{
    const struct action *action = action_of(ex);
    struct kms_error     err = { 0 };

    if (action == NULL)
        return false;
    if (atomic_exchange(&a->busy, true)) {
        ex->close = true;
        http_refusal_add(ex->out, 503, server_date(&a->server->loops[ex->loop]));
        listener_answer(ex);
        return true;
    }
    a->ex = ex;
    a->action = action;
    enum kms_status status = read_body(a, ex, &err);
    if (status != KMS_OK) {
        answer_error(a, status, &err);
        give(a);
        return true;
    }
    a->task = (struct pool_task){ .run = run_on_pool };
    pool_submit(a->server->parts.pool, &a->task);
    return true;
}

struct accounts *accounts_new(struct server *s)
{
    struct accounts *a = calloc(1, sizeof *a);

    if (a == NULL)
        return NULL;
    a->server = s;
    buf_init(&a->answer, ANSWER_ROOM);
    return a;
}

void accounts_free(struct accounts *a)
{
    if (a == NULL)
        return;
    buf_release(&a->answer);
    free(a);
}
