/* The table of the actions of IAM and STS: its order, and that every row says what request.c needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iam/internal.h"

static void rows_are_sorted_and_found(void **state)
{
    const struct operation *before = NULL;
    size_t                  n = 0;

    (void)state;
    for (const struct operation *op; (op = iam_row(n)) != NULL; n++) {
        if (before != NULL) {
            int c = strcmp(before->service, op->service);
            if (c > 0 || (c == 0 && strcmp(before->name, op->name) >= 0))
                fail_msg("%s comes after %s", op->name, before->name);
        }
        assert_ptr_equal(iam_find(bytes_str(op->service), bytes_str(op->name)), op);
        before = op;
    }
    assert_true(n >= 56);
}

static void other_names_are_not_found(void **state)
{
    (void)state;
    assert_null(iam_find(BYTES_LIT("iam"), BYTES_LIT("CreateGroup")));
    assert_null(iam_find(BYTES_LIT("iam"), BYTES_LIT("createuser")));
    assert_null(iam_find(BYTES_LIT("iam"), BYTES_LIT("CreateUserx")));
    assert_null(iam_find(BYTES_LIT("iam"), BYTES_LIT("")));
    assert_null(iam_find(BYTES_LIT("kms"), BYTES_LIT("CreateUser")));
    assert_null(iam_find(BYTES_LIT("zzz"), BYTES_LIT("CreateUser")));
    assert_null(iam_find((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }));
}

static bool starts(const struct operation *op, const char *word)
{
    return bytes_starts(bytes_str(op->name), bytes_str(word));
}

static bool has_required(const struct operation *op, const char *name)
{
    for (const struct iam_param *p = iam_row_of(op)->params; p != NULL && p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0)
            return (p->flags & IAM_REQUIRED) != 0;
    }
    return false;
}

/* The parameter that names the target is one that has to be there, and is looked up. */
static void targets_have_their_parameters(void **state)
{
    static const struct {
        enum iam_target target;
        const char     *param;
    } named[] = {
        { IAM_USER, "UserName" },         { IAM_ROLE, "RoleName" },
        { IAM_POLICY, "PolicyArn" },      { IAM_OWN_POLICY, "PolicyArn" },
        { IAM_NEW_USER, "UserName" },     { IAM_NEW_ROLE, "RoleName" },
        { IAM_NEW_POLICY, "PolicyName" }, { IAM_SOURCE, "PolicySourceArn" },
        { IAM_KEY_OWNER, "AccessKeyId" },
    };
    const struct operation *op;

    (void)state;
    for (size_t i = 0; (op = iam_row(i)) != NULL; i++) {
        for (size_t k = 0; strcmp(op->service, "iam") == 0 && k < ARRAY_LEN(named); k++) {
            if (iam_row_of(op)->target == named[k].target && !has_required(op, named[k].param))
                fail_msg("%s does not require %s", op->name, named[k].param);
        }
    }
}

static void flags_follow_the_names(void **state)
{
    const struct operation *op;

    (void)state;
    for (size_t i = 0; (op = iam_row(i)) != NULL; i++) {
        if (strcmp(op->service, "iam") != 0)
            continue;
        bool reads = starts(op, "Get") || starts(op, "List") || starts(op, "Simulate");
        bool takes = (starts(op, "Delete") && strstr(op->name, "Boundary") == NULL) ||
                     starts(op, "Detach") || strcmp(op->name, "UpdateAccessKey") == 0;
        if (((op->flags & OP_READ_ONLY) != 0) != reads || ((op->flags & OP_CHANGES) != 0) == reads)
            fail_msg("%s is not a %s", op->name, reads ? "read" : "change");
        if (((op->flags & OP_TAKES_AWAY) != 0) != takes)
            fail_msg("OP_TAKES_AWAY of %s", op->name);
        assert_int_equal((op->flags & OP_SECRET_REPLY) != 0,
                         strcmp(op->name, "CreateAccessKey") == 0);
        assert_int_equal(op->lane, LANE_SLOW);
        assert_non_null(op->prepare);
        assert_non_null(op->resolve);
        assert_non_null(op->begin);
        assert_non_null(op->finish);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_found),
        cmocka_unit_test(other_names_are_not_found),
        cmocka_unit_test(targets_have_their_parameters),
        cmocka_unit_test(flags_follow_the_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
