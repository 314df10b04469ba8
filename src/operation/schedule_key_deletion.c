/* operation/schedule_key_deletion.c - ScheduleKeyDeletion. */
#include "operation/handlers.h"

enum { WINDOW_MIN = 7, WINDOW_MAX = 30 };

/* The shape says 1..365; the service itself is narrower, in its own words (kms-behaviour 9.2). */
const struct shape_member op_schedule_key_deletion_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    { .name = "PendingWindowInDays",
      .type = SHAPE_INT,
      .min = 1,
      .max = 365,
      SHAPE_AT(pending_window_days) },
    SHAPE_END,
};

enum kms_status op_schedule_key_deletion_prepare(struct op_call *call, struct kms_error *reterr)
{
    const struct op_int *days = &call->in.pending_window_days;

    if (days->set && (days->v < WINDOW_MIN || days->v > WINDOW_MAX))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "PendingWindowInDays must be between %d and %d",
                          WINDOW_MIN, WINDOW_MAX);
    return KMS_OK;
}

enum kms_status op_schedule_key_deletion_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct op_int *asked = &call->in.pending_window_days;
    uint32_t             days = asked->set ? (uint32_t)asked->v : OP_WINDOW_DEFAULT;
    struct key_record   *edit = op_edit_key(call);
    struct json_writer  *w = call->answer;

    (void)reterr;
    key_schedule_deletion(edit, call->now, days);
    json_put_string(w, "KeyId", edit->name.arn);
    if (edit->state == KEY_PENDING_DELETION) /* not while replicas are waited for */
        json_put_time(w, "DeletionDate", edit->deletion_date);
    json_put_str(w, "KeyState", key_state_name(edit->state));
    json_put_int(w, "PendingWindowInDays", days);
    return KMS_OK;
}
