/* operation/asked.c - what a request asks for, in words: for the conditions of policies.
 *
 * A member that may be left out counts with the value that then holds, as recorded for the
 * rotation period (recorded-authz-multiregion 5.1 rule 2).
 */
#include "base/cleanup.h"
#include "operation/handlers.h"

static struct bytes name_of(const char *const *names, const struct op_int *v, int64_t otherwise)
{
    return bytes_str(names[v->set ? v->v : otherwise]);
}

static bool is_one_of(const struct op_call *call, const char *const names[])
{
    for (; *names != NULL; names++) {
        if (strcmp(call->op->name, *names) == 0)
            return true;
    }
    return false;
}

static bool is(const struct op_call *call, const char *name)
{
    return strcmp(call->op->name, name) == 0;
}

static const struct bytes none = { NULL, 0 };

static struct bytes encryption_algorithm(const struct op_call *call, bool destination)
{
    static const char *const others[] = { "Encrypt", "Decrypt", NULL };
    const struct op_input   *in = &call->in;

    if (is(call, "ReEncrypt"))
        return name_of(algorithm_names,
                       destination ? &in->destination_algorithm : &in->source_algorithm,
                       ALGORITHM_SYMMETRIC_DEFAULT);
    if (is_one_of(call, others) ||
        bytes_starts(bytes_str(call->op->name), BYTES_LIT("GenerateDataKey")))
        return name_of(algorithm_names, &in->encryption_algorithm, ALGORITHM_SYMMETRIC_DEFAULT);
    return none;
}

static struct bytes algorithm(const struct op_call *call, const char *const operations[])
{
    if (!call->in.algorithm.set || !is_one_of(call, operations))
        return none;
    return name_of(algorithm_names, &call->in.algorithm, 0);
}

static struct bytes created(const struct op_call *call, enum op_asked what)
{
    const struct op_input   *in = &call->in;
    const struct key_record *key = call->key;

    if (is(call, "ReplicateKey")) /* its like, in the other Region */
        return bytes_str(what == ASKED_KEY_USAGE    ? key_usage_name(key->usage)
                         : what == ASKED_KEY_ORIGIN ? key_origin_name(key->origin)
                                                    : key_spec_name(key->spec));
    if (!is(call, "CreateKey"))
        return none;
    if (what == ASKED_KEY_USAGE)
        return name_of(key_usage_names, &in->key_usage, USAGE_ENCRYPT_DECRYPT);
    if (what == ASKED_KEY_ORIGIN)
        return name_of(key_origin_names, &in->origin, ORIGIN_AWS_KMS);
    return name_of(key_spec_names, in->key_spec.set ? &in->key_spec : &in->customer_master_key_spec,
                   SPEC_SYMMETRIC_DEFAULT);
}

struct bytes op_asked_word(const struct op_call *call, enum op_asked what, bool destination)
{
    static const char *const signing[] = { "Sign", "Verify", NULL };
    static const char *const macs[] = { "GenerateMac", "VerifyMac", NULL };
    static const char *const agreement[] = { "DeriveSharedSecret", NULL };
    const struct op_input   *in = &call->in;

    switch (what) {
    case ASKED_KEY_SPEC:
    case ASKED_KEY_USAGE:
    case ASKED_KEY_ORIGIN: return created(call, what);
    case ASKED_KEY_PAIR_SPEC:
        return in->key_pair_spec.set ? name_of(key_spec_names, &in->key_pair_spec, 0) : none;
    case ASKED_ENCRYPTION_ALGORITHM:    return encryption_algorithm(call, destination);
    case ASKED_SIGNING_ALGORITHM:       return algorithm(call, signing);
    case ASKED_MAC_ALGORITHM:           return algorithm(call, macs);
    case ASKED_KEY_AGREEMENT_ALGORITHM: return algorithm(call, agreement);
    case ASKED_MESSAGE_TYPE:
        return is_one_of(call, signing)
                   ? name_of(shape_message_types, &in->message_type, MESSAGE_RAW)
                   : none;
    case ASKED_WRAPPING_ALGORITHM:
        return in->wrapping_algorithm.set
                   ? name_of(shape_wrapping_algorithms, &in->wrapping_algorithm, 0)
                   : none;
    case ASKED_WRAPPING_KEY_SPEC:
        return in->wrapping_key_spec.set ? name_of(shape_wrapping_specs, &in->wrapping_key_spec, 0)
                                         : none;
    case ASKED_EXPIRATION_MODEL:
        return is(call, "ImportKeyMaterial")
                   ? name_of(shape_expiration_models, &in->expiration_model, 0)
                   : none;
    }
    return none;
}

bool op_asked_number(const struct op_call *call, enum op_asked_number what, int64_t *ret)
{
    static const char *const with_policy[] = { "CreateKey", "PutKeyPolicy", "ReplicateKey", NULL };
    const struct op_input   *in = &call->in;

    switch (what) {
    case ASKED_PENDING_WINDOW:
        *ret = in->pending_window_days.set ? in->pending_window_days.v : OP_WINDOW_DEFAULT;
        return is(call, "ScheduleKeyDeletion");
    case ASKED_ROTATION_PERIOD:
        *ret = in->rotation_period_days.set ? in->rotation_period_days.v : OP_PERIOD_DEFAULT;
        return is(call, "EnableKeyRotation");
    case ASKED_BYPASS_LOCKOUT:
        *ret = in->bypass_lockout.set ? in->bypass_lockout.v : 0;
        return is_one_of(call, with_policy);
    case ASKED_MULTI_REGION:
        *ret = in->multi_region.set ? in->multi_region.v : is(call, "ReplicateKey");
        return is(call, "CreateKey") || is(call, "ReplicateKey");
    case ASKED_VALID_TO: *ret = in->valid_to.v; return in->valid_to.set;
    }
    return false;
}

struct json op_asked_context(const struct op_call *call, bool destination)
{
    if (!is(call, "ReEncrypt"))
        return call->in.encryption_context;
    return destination ? call->in.destination_context : call->in.source_context;
}

struct bytes op_asked_key(const struct op_call *call, bool destination)
{
    if (!is(call, "ReEncrypt"))
        return call->in.key_id;
    return destination ? call->in.destination_key_id : call->in.source_key_id;
}
