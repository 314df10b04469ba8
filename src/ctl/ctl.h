/* ctl/ctl.h - `trent`, the operator's tool: one row and one function per command.
 *
 * A command reads its arguments with ctl_arguments, says what it has to say on `out` (text, or with
 * --json one JSON value), complains with ctl_error on `err`, and returns the exit code: 0, a code of
 * its own that its help explains, or one of sysexits.h.
 */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "instance/instance.h"
#include "json/read.h"

enum { CTL_NOT_RUNNING = 3, CTL_ARGUMENTS_MAX = 32, CTL_OUTPUT_MAX = 64 * 1024 * 1024 };

/* What a run has from outside. */
struct ctl_world {
    FILE *in, *out, *err;
    /* sets up secret memory and cryptography, for the commands that need them; once per process */
    enum kms_status (*prepare)(struct kms_error *reterr);
};

struct ctl {
    struct ctl_world          world;
    const char               *data; /* --data; "./trent-data" */
    bool                      json; /* --json                 */
    const struct ctl_command *command;
    const char
          *arguments[CTL_ARGUMENTS_MAX]; /* what follows the command, global options taken out */
    size_t n_arguments;
};

struct ctl_command {
    const char *name;     /* one or two words */
    const char *synopsis; /* of its arguments */
    const char *summary;  /* one line         */
    const char *help;     /* the rest of --help; ends with a newline */
    int (*run)(struct ctl *c);
};

extern const struct ctl_command ctl_commands[];
extern const size_t             ctl_command_count;

int ctl_init(struct ctl *c);
int ctl_status(struct ctl *c);
int ctl_audit_verify(struct ctl *c);
int ctl_receipts(struct ctl *c);
int ctl_explain(struct ctl *c);
int ctl_blob_inspect(struct ctl *c);
int ctl_restore_accept(struct ctl *c);
int ctl_clock_confirm(struct ctl *c);
int ctl_seed_check(struct ctl *c);
int ctl_seed_convert(struct ctl *c);
int ctl_account_create(struct ctl *c);
int ctl_account_list(struct ctl *c);
int ctl_account_update(struct ctl *c);
int ctl_account_access_key(struct ctl *c);

/* The whole program. */
int ctl_main(int argc, char *const *argv, const struct ctl_world *world);

/* --- arguments ----------------------------------------------------------------------------------------- */

/* An option of a command: `--name VALUE` (or --name=VALUE) if `value` is set, else `--name`. */
struct ctl_option {
    const char  *name;
    const char **value;
    bool        *flag;
};

/* Sorts the command's arguments into its options and at most `max` operands; operands that are not
 * there stay NULL. False after it has said what is wrong: then the exit code is EX_USAGE. */
KMS_MUST_CHECK bool ctl_arguments(struct ctl *c, const struct ctl_option *options, size_t n,
                                  const char **ret_operands, size_t max);
/* A whole number without sign; false after it has said what is wrong with it. */
KMS_MUST_CHECK bool ctl_number(struct ctl *c, const char *option, const char *text, uint64_t *ret);

/* --- the running server (local.c) ------------------------------------------------------------------------ */

/* Connects to the local socket: 0, or CTL_NOT_RUNNING without a word, or EX_NOPERM after it has said
 * why. *ret_fd is the caller's to close. */
int ctl_local_connect(struct ctl *c, const struct instance_paths *p, int *ret_fd);
/* Sends a request without a body; `what` is "METHOD /path". *ret_status: of the answer, 0 if it is none;
 * *ret_body is a view into `answer`, which holds all of it. */
KMS_MUST_CHECK enum kms_status ctl_local_ask(int fd, const char *what, struct buf *answer,
                                             int *ret_status, struct bytes *ret_body,
                                             struct kms_error *reterr);

/* The same with a body: a JSON object. */
KMS_MUST_CHECK enum kms_status ctl_local_send(int fd, const char *what, struct bytes json,
                                              struct buf *answer, int *ret_status,
                                              struct bytes *ret_body, struct kms_error *reterr);

/* --- saying things --------------------------------------------------------------------------------------- */

/* "trent COMMAND: text" on `err`, one line. */
__attribute__((format(printf, 2, 3))) void ctl_error(struct ctl *c, const char *fmt, ...);
/* The same from a failure, and its exit code: EX_USAGE for KMS_E_VALIDATION, else `code`. */
int ctl_failed(struct ctl *c, const struct kms_error *err, int code);
/* Writes a buffer to `out`; EX_IOERR if it does not go through, else `code`. */
int ctl_print(struct ctl *c, const struct buf *text, int code);
/* "name             value" */
void ctl_row(struct buf *out, const char *name, struct bytes value);
/* Every value of a document as a row, named by its path: "audit.sequence    12". */
void ctl_rows(struct buf *out, struct json root);
/* world.prepare; 0, or the exit code after it has said what is wrong. */
int ctl_prepare(struct ctl *c);
/* "DIR/audit", or `dir` itself if given. False after it has said that the path is too long. */
KMS_MUST_CHECK bool ctl_audit_dir(struct ctl *c, const char *dir, char ret[FILE_PATH_MAX]);
