/* request_conditions.h - shared by the files that answer condition keys: request_conditions.c has the
 * table. */
#pragma once

#include "request_internal.h"

/* One question, as the functions of the table below get it. */
struct question {
    struct asked *a;
    struct bytes  name; /* of a NAMED key */
    size_t        i;
    int   what; /* from the table: an enum op_asked, op_asked_number, asked_names, or nothing */
    char *room;
    struct bytes *ret;
};

/* Answers. */
enum condition_answer answer_absent(const struct question *q);
enum condition_answer answer_word(const struct question *q,
                                  struct bytes           text); /* ptr NULL: absent */
enum condition_answer answer_truth(const struct question *q, bool yes);
enum condition_answer answer_number(const struct question *q, int64_t v);
enum condition_answer answer_date(const struct question *q, int64_t ms);
/* The tag that the question names; unsure if there are two, since condition keys have no case. */
enum condition_answer answer_tag(const struct question *q, const struct key_tag *tags, size_t n);
bool tags_have(const struct key_tag *tags, size_t n, struct bytes name);

const struct op_call *question_call(const struct question *q);
/* By length, then without case. */
int names_compare(struct bytes a, struct bytes b);

/* request_conditions_caller.c, for the table */
enum condition_answer asked_caller_account(const struct question *q);
enum condition_answer asked_caller_arn(const struct question *q);
enum condition_answer asked_caller_type_word(const struct question *q);
enum condition_answer asked_caller_id(const struct question *q);
enum condition_answer asked_caller_organization(const struct question *q);
enum condition_answer asked_caller_user_name(const struct question *q);
enum condition_answer asked_token_issued(const struct question *q);
enum condition_answer asked_second_factor(const struct question *q);
enum condition_answer asked_provider(const struct question *q);
enum condition_answer asked_source_identity(const struct question *q);
enum condition_answer asked_caller_tag(const struct question *q);
enum condition_answer asked_no_service(const struct question *q);
enum condition_answer asked_source_ip(const struct question *q);
enum condition_answer asked_secure_transport(const struct question *q);
enum condition_answer asked_requested_region(const struct question *q);
enum condition_answer asked_current_time(const struct question *q);
enum condition_answer asked_epoch_time(const struct question *q);
enum condition_answer asked_user_agent(const struct question *q);
