/* ctl/seed.c - `trent seed check`: files that a development server starts from. */
#include <stdlib.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "seed/seed.h"

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say(const struct seed_counts *n, bool json, struct buf *out)
{
    if (json)
        buf_addf(out,
                 "{\"accounts\":%zu,\"identities\":%zu,\"accessKeys\":%zu,\"keys\":%zu,"
                 "\"replicas\":%zu,\"aliases\":%zu,\"grants\":%zu}\n",
                 n->accounts, n->identities, n->access_keys, n->keys, n->replicas, n->aliases,
                 n->grants);
    else
        buf_addf(out,
                 "Good: %zu account%s, %zu policies, users and roles, %zu access key%s, %zu key%s, "
                 "%zu replica%s, %zu alias%s, %zu grant%s.\n",
                 n->accounts, plural(n->accounts), n->identities, n->access_keys,
                 plural(n->access_keys), n->keys, plural(n->keys), n->replicas, plural(n->replicas),
                 n->aliases, n->aliases == 1 ? "" : "es", n->grants, plural(n->grants));
}

int ctl_seed_check(struct ctl *c)
{
    CLEANUP(buf_release) struct buf  text = BUF_INIT(CTL_OUTPUT_MAX);
    CLEANUP(seed_freep) struct seed *seed = NULL;
    const char                      *file = NULL;
    struct kms_error                 err;

    if (!ctl_arguments(c, NULL, 0, &file, 1))
        return EX_USAGE;
    if (file == NULL) {
        ctl_error(c, "name the file: trent seed check FILE");
        return EX_USAGE;
    }
    int failed = ctl_prepare(c);

    if (failed != 0)
        return failed;
    if (seed_load(file, true, &seed, &err) != KMS_OK || seed_check(seed, &err) != KMS_OK) {
        ctl_error(c, "%s", err.message_len > 0 ? err.message : err.detail);
        return EX_DATAERR;
    }
    if (seed_exposed(file))
        ctl_error(c, "others may read '%s', and the keys in it: chmod 0600 it", file);
    struct seed_counts n = seed_counts(seed);

    say(&n, c->json, &text);
    return ctl_print(c, &text, EX_OK);
}
