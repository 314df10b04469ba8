/* request_internal.h - shared by request.c, server.c (loops, batches) and endpoint.c. */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include "accounts.h"
#include "authz/authz.h"
#include "base/encode.h"
#include "base/limits.h"
#include "json/read.h"
#include "identity/caller.h"
#include "key/last_use.h"
#include "query/answer.h"
#include "query/form.h"
#include "request.h"

// clang-format off
enum {
    ANSWER_BYTES   = 256 * 1024, /* longest answer body: a page of 1,000 materials               */
    EVENT_BYTES    = 256 * 1024, /* longest audit event: it may quote a whole request              */
    LOADS_MAX      = 100,        /* keys that are loaded for one request: those it names, and again if they go */
    CHANGED_TRIES  = 1000,       /* against others that change the same key: one of them wins each time */
    BATCH_MAX      = 1024,       /* finished requests of one loop turn                             */
    GROUP_MAX      = 64,         /* requests that take their steps side by side                    */
    REQUESTS_KEPT  = 128,        /* of one loop, for reuse                                          */
    KEPT_BYTES     = OP_SCRATCH_BYTES, /* ... if their buffers have not grown beyond this           */
    KEPT_BODY      = 8 * 1024,   /* ... and nothing larger was parsed: a value takes 16 bytes       */
    OPERATIONS_MAX = 192,
    EXPLANATION_HEADER_BYTES = 20 * 1024,
    NOISE_SOURCES  = 64,         /* sources with failed authentication that are told apart          */
    REGIONS_TOLD   = 8,          /* not answered for: logged once a minute, no more of them          */
    CACHE_LINE     = 64,
    NOISE_RECORDED = 20,         /* per source and minute; then they are only counted (TM 5.5)       */
};
// clang-format on

#define GLOBAL_REGION      "us-east-1" /* of IAM and STS */
#define EXPLAIN_HEADER     "x-trent-explain"
#define EXPLANATION_HEADER "x-trent-explanation"

/* What a step says: see request.c. */
enum step_result { DONE, PENDING, REFUSED, COLD };

/* Laid out for the processor's cache, through which the requests of a turn pass side by side at every step: what
 * all steps look at comes first and fills two lines, then what comes before and after the steps, and what is large
 * and seldom used stands last. */
struct request {
    alignas(CACHE_LINE) struct request *next; /* free or busy list of its loop */
    struct request             *prev;         /* busy list */
    struct server              *server;
    struct exchange            *ex;
    const struct operation     *op;
    const struct query_service *service; /* NULL: kms, in JSON */
    struct bytes                region;

    unsigned         loop;
    unsigned         step;   /* index into the list of steps: where it goes on */
    enum step_result result; /* of the last step */
    int              reader; /* epoch reader of the thread that runs it now */
    enum kms_status  status;
    unsigned         tries;
    unsigned         loads; /* keys that it has waited for */
    bool             on_pool;
    bool             committed; /* its audit event went with its change */
    bool             authenticated;
    bool             caller_fresh; /* the caller was looked up in this epoch section */
    bool             has_policies; /* and its documents, too */
    bool             has_time;     /* call.now was read in this epoch section */
    bool             tells_why;    /* `explanation` goes to the client, as a header */
    struct key_wants wants;        /* keys that have to be loaded first */

    struct bytes target;     /* X-Amz-Target, as it was signed */
    int64_t      time;       /* call.now, when the call is over */
    struct buf   body;       /* the answer */
    struct buf   event;      /* the audit record */
    struct buf   parameters; /* requestParameters for the audit */
    struct buf   scratch;    /* of sigv4, then of the call */
    char         id[UUID_TEXT + 1];
    uint8_t      id_bytes[16]; /* the same */
    uint8_t      event_id[16]; /* eventID of its audit record, the last that was written */
    struct key_name
         keys[2]; /* for what comes after the step `run`: copies, the snapshot may be gone */
    char arn_text[2][KEY_ARN_MAX + 1];

    /* what few requests have */
    struct change    change;
    struct buf       explanation; /* of a denial, JSON */
    struct form      form;        /* Query protocol */
    struct key_page *page;        /* of a listing; its own, NULL as a rule */
    struct pool_task pool_task;
    int64_t          ready_until_ms; /* how long it waits for an RSA key, monotonic; 0: not yet */
    uint64_t         generation;     /* commit_generation when its records were looked up */

    struct json_doc   *doc;
    struct json_writer writer;
    struct op_call     call;
    struct caller      caller; /* valid if call.caller is set: the request was signed */

    struct xml           xml;
    struct key_load      load; /* of `job`, while one is being loaded */
    struct listener_task wake;
    struct commit_job    job;
    struct kms_error     error;
};

/* The steps of a request: request.c. */
enum step {
    STEP_SIGV4,
    STEP_OPERATION,
    STEP_LANE,
    STEP_RECIPIENT,
    STEP_KEY, /* where a request goes on that changed threads, and begins again after a conflict */
    STEP_AUTHZ,
    STEP_STATE,
    STEP_RUN,
    STEP_COMMIT,
    STEP_COMMITTED,
    STEPS
};
/* What is measured beside them (setting step-times), numbered after them. */
enum timed {
    TIMED_HTTP = STEPS, /* from its first byte until it is complete and has its place */
    TIMED_RECORD,       /* its audit record is written */
    TIMED_AUDIT,        /* ... and appended, with those of its turn */
    TIMED_USE,          /* what was used is noted */
    TIMED_ANSWER,       /* head and body of the answer */
    TIMED_COUNT
};
struct step_times {
    _Atomic uint64_t ns[TIMED_COUNT];
    _Atomic uint64_t calls[TIMED_COUNT];
};
const char *step_name(unsigned step); /* of any below TIMED_COUNT */

struct noise {
    char     source[46];
    uint32_t count;
};

/* Regions that this server does not answer for and that the log has named in this minute. */
struct strange_regions {
    int64_t minute;
    size_t  n;
    char    names[REGIONS_TOLD][REGION_MAX + 1];
};

struct waiting;

struct loop {
    int             reader; /* epoch reader */
    struct request *free;
    struct request *busy; /* not answered yet: a stop may leave some behind */
    size_t          n_free;
    struct request
          *group[GROUP_MAX]; /* have come in this turn, and take their first steps at its end */
    size_t n_group;
    struct request *batch[BATCH_MAX]; /* finished, waiting for the audit at the end of the turn */
    size_t          n_batch;
    struct bytes    events[BATCH_MAX + 1]; /* their records, for one append */
    struct waiting *waiting_free;          /* groups that wait for the disk: server_waiting.c */
    struct waiting *waiting_all;
    char            date[29];
    int64_t         date_second;
    struct noise    noise[NOISE_SOURCES];
    int64_t         noise_minute;
    uint64_t        noise_dropped; /* in noise_minute */
    uint64_t        noise_due;     /* before it: to be recorded */
    struct strange_regions strange;
    /* counters: written by this loop only, read by the metrics endpoint */
    _Atomic uint64_t requests[OPERATIONS_MAX][KMS_STATUS_COUNT];
    _Atomic uint64_t microseconds[OPERATIONS_MAX];
    /* of its requests, wherever they run; nothing without the setting step-times */
    struct step_times times;
};

struct server {
    struct server_parts parts;
    struct op_env       env;
    struct listener    *listener;
    struct accounts    *accounts;
    struct clock_moves *clock_moves; /* NULL: not in development mode */
    struct resets      *resets;      /* likewise */
    unsigned            n_loops;
    struct loop        *loops;
    int                *pool_readers;
    _Atomic bool        ready;
    bool                step_times; /* the setting */
    int64_t             started_ms;
    /* per row of the registry: what it counts as in key/last_use.h */
    enum tracked_operation tracked[OPERATIONS_MAX];
};

/* Around what is measured; of a server that does not measure a branch each. `n` requests had it. */
void step_add(struct loop *l, unsigned step, size_t n, int64_t began_ns);
static inline int64_t step_begins(const struct server *s)
{
    return s->step_times ? (int64_t)clock_monotonic_ns() : 0;
}
static inline void step_ends(struct server *s, unsigned loop, unsigned step, size_t n,
                             int64_t began_ns)
{
    if (s->step_times)
        step_add(&s->loops[loop], step, n, began_ns);
}

/* server.c: what comes before an answer, and the answers of finished requests; on their loop. */
void server_answer(struct server *s, struct loop *l, struct request *const *list, size_t n);
/* Turns the answers of requests that are not on record into an error. */
void server_refuse(struct request *const *list, size_t n, const struct kms_error *why);

/* server_waiting.c: a group for at most `n` requests; NULL when out of memory. */
struct waiting *waiting_take(struct server *s, unsigned loop, size_t n);
void waiting_add(struct waiting *g, struct request *rq);
/* What the audit is to tell: the requests of the group, which must be complete when this turn of the loop
 * ends, are answered after that. */
struct audit_waiter *waiting_waiter(struct waiting *g);
/* Gives back one that will not be told; NULL is fine. */
void waiting_put(struct waiting *g);
void waiting_free_all(struct loop *l);

/* request.c: takes each from where it stands; it ends in request_finished or comes back later. All of a group
 * are of one thread, and take a step before any takes the next. The list is read before the first is handed
 * over: 1 <= n <= GROUP_MAX. */
void request_run(struct request *const *list, size_t n);
/* The same for one whose key has been loaded (rq->job.load). */
void request_loaded(struct request *rq);
/* The value of a header that is there once; empty otherwise. */
struct bytes request_header(const struct http_request *in, struct bytes name);

/* call.now, read once in an epoch section: what falls due within it is due for the next. */
void request_time(struct request *rq, int64_t wall_ms);

/* request_caller.c: who signed the request, and does its address guess? Fills rq->caller, call.caller
 * (NULL: unsigned, of the Query protocol), region and service. */
KMS_MUST_CHECK enum kms_status request_signature(struct request *rq);
/* Has the caller used up its rate? */
KMS_MUST_CHECK enum kms_status request_rate(struct request *rq);
/* The same of an unsigned request that may do what it asks for: of the role that it is about, since before
 * that anybody could use up another's rate. KMS_OK for one that is signed. Inside an epoch section. */
KMS_MUST_CHECK enum kms_status request_rate_unsigned(struct request *rq);
KMS_MUST_CHECK enum kms_status request_too_often(struct kms_error *reterr);
/* Looks the caller up again, if that has not been done in this epoch section. */
KMS_MUST_CHECK enum kms_status request_caller_again(struct request *rq);
/* The caller with what its own side says, in this epoch section. */
const struct authz_caller *request_rights(struct request *rq);

/* request_query.c: reads a form, finds its row; writes the answer around the row's `finish`. */
KMS_MUST_CHECK enum kms_status request_query_read(struct request *rq);
KMS_MUST_CHECK enum kms_status request_query_finish(struct request *rq);

/* request_authz.c: may the caller do this? Of a denial rq->explanation says why. */
KMS_MUST_CHECK enum kms_status request_authorize(struct request *rq);
/* The row's `begin`; one that decides about rights itself gets what it needs for that. */
KMS_MUST_CHECK enum kms_status request_begin(struct request *rq);

/* request_conditions.c: what the conditions of policies ask about a request; `ctx` is a struct
 * asked. */
enum asked_names { NAMES_CONTEXT, NAMES_REQUEST_TAGS, NAMES_RESOURCE_TAGS };
enum { NAME_INDEXES = 2 /* one of the request's names, one of the key's */, ACTION_ROOM = 96 };
struct name_index { /* sorted, so that a policy with many conditions costs little */
    size_t       n;
    struct bytes name[LIMIT_LIST_ITEMS];
    const void  *value[LIMIT_LIST_ITEMS]; /* of a JSON text its node, else the struct key_tag */
    uint8_t      order[LIMIT_LIST_ITEMS];
};
struct asked {
    struct request          *rq;
    char                     action[ACTION_ROOM]; /* "kms:Encrypt" */
    const struct key_record *key;                 /* the resource; may be NULL */
    /* the second key of ReEncrypt and UpdatePrimaryRegion; what ReplicateKey does in the other Region */
    bool destination;
    /* where the listing of a key's values stands: they are asked for one after the other */
    const void                *listing;
    struct json_iter           at;
    size_t                     next;
    const struct alias_record *aliases[LIMIT_ALIASES_PER_KEY];
    size_t                     n_aliases;
    struct name_index          names[NAME_INDEXES]; /* filled when first asked for */
    bool                       indexed[NAME_INDEXES];
    int                        what[NAME_INDEXES];       /* enum asked_names */
    uint8_t                    text[CALLER_ARN_MAX + 1]; /* of an answer that is made up here */
};
/* Nothing has been asked yet. Most of these 15 KB are written when something is, and left alone otherwise:
 * declare them UNINITIALIZED. */
static inline void asked_init(struct asked *a, struct request *rq, const struct key_record *key,
                              bool destination)
{
    a->rq = rq;
    a->key = key;
    a->destination = destination;
    a->listing = NULL;
    a->at = (struct json_iter){ .object = false };
    a->next = 0;
    a->n_aliases = 0;
    for (size_t i = 0; i < NAME_INDEXES; i++)
        a->indexed[i] = false;
}
enum condition_answer request_condition(void *ctx, const struct condition_key *key, size_t i,
                                        char room[CONDITION_ROOM], struct bytes *ret);
/* server.c: on the request's loop: into the batch that the end of the turn settles. */
void request_finished(struct request *rq);
/* server.c: from any thread: request_run of this one on the loop, or on the pool. */
void request_to_loop(struct request *rq);
void request_to_pool(struct request *rq);
/* server.c: appends the audit event of a request: as it stands now, refused if rq->status says
 * so. */
void request_event_write(struct request *rq, struct buf *out);
/* Which row of the counters; the last for requests without an operation. */
size_t operation_number(const struct operation *op);
/* The row of a number; NULL from the last on. */
const struct operation *operation_numbered(size_t i);

/* regions.c: on the loop's thread. Logs a Region that it does not answer for. */
bool server_answers_for(struct server *s, unsigned loop, struct bytes region);

/* clock_moves.c: moves the development clock. */
struct clock_moves *clock_moves_new(struct server *s); /* NULL when out of memory */
void clock_moves_free(struct clock_moves *m); /* after the loops have ended; NULL is fine */
/* On the loop's thread. True if the path is /_trent/clock and the method POST: then it has been, or will be,
 * answered. */
bool clock_moves_run(struct clock_moves *m, struct exchange *ex);
/* resets.c: POST /_trent/reset; as those of clock_moves.c. */
struct resets *resets_new(struct server *s);
void resets_free(struct resets *r);
bool resets_run(struct resets *r, struct exchange *ex);
/* The body of an answer about the time; `error` may be NULL. */
void clock_write(struct server *s, const char *error, struct buf *out);

/* Nobody signs requests to /_trent/, and a web page of anywhere may send requests to this machine. NULL, or
 * why this one is refused, and with which status. */
const char *endpoint_not_from_a_page(const struct http_request *in, int *ret_status);
/* For those that answer later than endpoint_run, or never pass through it: JSON, on the loop's thread. The
 * second says why it is refused, and what the time is. */
void endpoint_answer(struct server *s, struct exchange *ex, int status, struct buf *body);
void endpoint_refuse(struct server *s, struct exchange *ex, int status, const char *error);
/* endpoint.c: answers GET/POST /_trent/...; true if the path is one of them. */
bool endpoint_run(struct server *s, struct exchange *ex, const char date[29]);
const char *server_date(struct loop *l);
