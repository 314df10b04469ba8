/* iam/page.c - listings, page by page. */
#include "iam/internal.h"

enum { PAGE_DEFAULT = 100, CHUNK = 128, ACCOUNT_SHIFT = 62 };

/* What a marker is bound to: one made by another account, for another operation or another question is
 * none. */
static enum kms_status marker_purpose(struct op_call *call, struct bytes *ret,
                                      struct kms_error *reterr)
{
    static const char *const questions[] = { "PathPrefix", "Scope", "OnlyAttached", "EntityFilter",
                                             "PolicyUsageFilter" };
    struct buf              *s = op_scratch(call);
    size_t                   start = s->len;

    buf_add_field(s, BYTES_LIT("iam"));
    buf_add_field(s, call->account);
    buf_add_field(s, bytes_str(call->op->name));
    buf_add_field(s, call->resource);
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        buf_add_field(s, iam_arg(call, questions[i]));
    return op_scratch_since(call, start, ret, reterr);
}

enum kms_status iam_page_read(struct op_call *call, struct iam_page *ret, struct kms_error *reterr)
{
    struct bytes    marker = iam_arg(call, "Marker");
    struct iam_page page = { .max = (size_t)iam_int(call, "MaxItems", PAGE_DEFAULT) };

    if (marker.ptr != NULL) {
        struct bytes purpose;
        TRY(marker_purpose(call, &purpose, reterr));
        if (op_position_open(call, purpose, marker, &page.after, reterr) != KMS_OK)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION, "Invalid Marker.");
    }
    *ret = page;
    return KMS_OK;
}

enum kms_status iam_page_end(struct op_call *call, bool more, uint64_t position,
                             struct kms_error *reterr)
{
    struct bytes purpose;
    struct bytes text;

    xml_put_bool(call->xml, "IsTruncated", more);
    if (more) {
        TRY(marker_purpose(call, &purpose, reterr));
        TRY(op_position_seal(call, purpose, position, &text, reterr));
        xml_put(call->xml, "Marker", text);
    }
    return KMS_OK;
}

enum kms_status iam_slice(struct op_call *call, size_t n, size_t *ret_from, size_t *ret_to,
                          struct kms_error *reterr)
{
    struct iam_page page;

    TRY(iam_page_read(call, &page, reterr));
    *ret_from = page.after < n ? (size_t)page.after : n;
    *ret_to = n - *ret_from > page.max ? *ret_from + page.max : n;
    return KMS_OK;
}

enum kms_status iam_slice_end(struct op_call *call, size_t n, size_t to, struct kms_error *reterr)
{
    return iam_page_end(call, to < n, to, reterr);
}

bool iam_page_full(const struct op_call *call)
{
    return call->xml->out->len > PAGE_BYTES;
}

/* --- identities ------------------------------------------------------------------------------- */

struct progress {
    struct op_call           *call;
    const struct iam_listing *listing;
    size_t                    left;     /* room on the page */
    uint64_t                  position; /* of the last item: number of the account, and serial */
};

static bool is_wanted(const struct progress *p, const struct identity_record *r)
{
    return bytes_starts(r->path, iam_arg(p->call, "PathPrefix")) &&
           (p->listing->wanted == NULL || p->listing->wanted(p->call, r, p->listing->ctx));
}

static void put(struct progress *p, const struct identity_record *r, uint64_t number)
{
    xml_open(p->call->xml, "member");
    p->listing->put(p->call, r, p->listing->ctx);
    xml_close(p->call->xml);
    p->left--;
    p->position = number << ACCOUNT_SHIFT | r->serial;
}

static bool page_full(const struct progress *p)
{
    return p->left == 0 || iam_page_full(p->call);
}

/* True if there are more than fit on the page. */
static bool list_account(struct progress *p, uint64_t number, uint64_t after)
{
    const struct identity_record *chunk[CHUNK];
    size_t                        n = CHUNK;

    while (n == CHUNK) {
        n = book_list_identities(p->call->env->identities, p->listing->accounts[number],
                                 p->listing->kind, after, chunk, CHUNK);
        for (size_t i = 0; i < n; i++) {
            after = chunk[i]->serial;
            if (!is_wanted(p, chunk[i]))
                continue;
            if (page_full(p))
                return true;
            put(p, chunk[i], number);
        }
    }
    return false;
}

enum kms_status iam_list(struct op_call *call, const struct iam_listing *listing,
                         struct kms_error *reterr)
{
    const uint64_t  serial_bits = (UINT64_C(1) << ACCOUNT_SHIFT) - 1;
    struct iam_page page;
    bool            more = false;

    TRY(iam_page_read(call, &page, reterr));
    struct progress p = { call, listing, page.max, page.after };
    uint64_t        number = page.after >> ACCOUNT_SHIFT;
    uint64_t        after = page.after & serial_bits;

    xml_open(call->xml, listing->name);
    for (; !more && number < ARRAY_LEN(listing->accounts); number++) {
        if (listing->accounts[number].len > 0)
            more = list_account(&p, number, after);
        after = 0;
    }
    xml_close(call->xml);
    return iam_page_end(call, more, p.position, reterr);
}
