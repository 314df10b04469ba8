/* ctl/audit_verify.c - `trent audit verify`. */
#include <sysexits.h>

#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "ctl/ctl.h"
#include "json/write.h"

static void say_json(const struct audit_report *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "verdict", audit_verdict_name(r->verdict));
    if (r->why[0] != '\0')
        json_put_str(&w, "why", r->why);
    if (r->first_bad_seq != 0)
        json_put_int(&w, "firstBadSequence", (int64_t)r->first_bad_seq);
    json_put_int(&w, "records", (int64_t)r->records);
    json_put_int(&w, "checkpoints", (int64_t)r->checkpoints);
    json_put_int(&w, "receipts", (int64_t)r->receipts);
    json_put_int(&w, "unsignedTail", (int64_t)r->tail);
    json_put_int(&w, "lastSequence", (int64_t)r->head_seq);
    json_put_hex(&w, "chainHead", bytes_of(r->head, sizeof r->head));
    json_put_int(&w, "lastCheckpoint", (int64_t)r->checkpoint_seq);
    if (r->checkpoint_time > 0)
        json_put_date(&w, "lastCheckpointTime", r->checkpoint_time);
    json_close_object(&w);
    buf_add_byte(out, '\n');
}

static void say_text(const struct audit_report *r, struct buf *out)
{
    buf_add_str(out, audit_verdict_name(r->verdict));
    if (r->why[0] != '\0')
        buf_addf(out, ": %s", r->why);
    buf_add_byte(out, '\n');
    if (r->verdict == AUDIT_UNUSABLE)
        return;
    buf_addf(
        out,
        "%llu records read, %llu checkpoints, %llu receipts; %llu unsigned after checkpoint %llu\n",
        (unsigned long long)r->records, (unsigned long long)r->checkpoints,
        (unsigned long long)r->receipts, (unsigned long long)r->tail,
        (unsigned long long)r->checkpoint_seq);
}

int ctl_audit_verify(struct ctl *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
    char                            dir[FILE_PATH_MAX];
    const char                     *own_dir = NULL;
    const char                     *from = NULL;
    const char                     *to = NULL;
    struct audit_verify_options     o = { .dir = dir, .to = UINT64_MAX };
    struct audit_report             report;
    const struct ctl_option         options[] = {
        { .name = "--dir", .value = &own_dir },
        { .name = "--pubkey", .value = &o.public_key_file },
        { .name = "--witness", .value = &o.witness_file },
        { .name = "--from", .value = &from },
        { .name = "--to", .value = &to },
        { .name = "--allow-tail", .flag = &o.allow_tail },
    };

    if (!ctl_arguments(c, options, ARRAY_LEN(options), NULL, 0) ||
        !ctl_audit_dir(c, own_dir, dir) ||
        (from != NULL && !ctl_number(c, "--from", from, &o.from)) ||
        (to != NULL && !ctl_number(c, "--to", to, &o.to)))
        return EX_USAGE;
    int failed = ctl_prepare(c);
    if (failed != 0)
        return failed;
    audit_verify(&o, &report);
    if (c->json)
        say_json(&report, &text);
    else
        say_text(&report, &text);
    return ctl_print(c, &text, (int)report.verdict);
}
