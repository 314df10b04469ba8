/* ctl/main.c - the program `trent`; everything else is in run.c, where tests can call it. */
#include "base/secret.h"
#include "crypto/crypto.h"
#include "ctl/ctl.h"

static enum kms_status prepare(struct kms_error *reterr)
{
    TRY(secret_memory_init(false, reterr));
    return crypto_init(reterr);
}

int main(int argc, char **argv)
{
    const struct ctl_world world = {
        .in = stdin, .out = stdout, .err = stderr, .prepare = prepare
    };

    return ctl_main(argc, argv, &world);
}
