/* iam/iam.h - the part of IAM and STS that a key manager needs: rows of operations like those of KMS,
 * asked for through the Query protocol.
 *
 * Names, limits, forms and texts are those of the services. Trent is not IAM: docs/identities.md says
 * what is there and what is not. Handlers are those of operation/operation.h; a row says besides which
 * parameters there are, and whom the request is about, so that a handler cannot forget either.
 */
#pragma once

#include "operation/operation.h"
#include "query/form.h"
#include "query/xml.h"

/* The row for an action of "iam" or "sts"; NULL if there is none. */
const struct operation *iam_find(struct bytes service, struct bytes action);
/* Row number `i`, sorted by service and action; NULL from the number of rows on. */
const struct operation *iam_row(size_t i);

/* Does the action have a parameter or list of this name? A request may bring others, which nothing may
 * listen to: least of all a condition. */
bool iam_takes(const struct operation *op, const char *name);

/* The parameters that may be audited, as a JSON object in CloudTrail's spelling ("userName"). Documents,
 * tokens and parameters that the action does not have are left out. */
void iam_audit_parameters(const struct operation *op, const struct form *form, struct buf *out);
