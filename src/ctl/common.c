/* ctl/common.c - arguments, tables and complaints, for all commands. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "ctl/ctl.h"

/* --- complaints ----------------------------------------------------------------------------------------- */

void ctl_error(struct ctl *c, const char *fmt, ...)
{
    CLEANUP(buf_release) struct buf line = BUF_INIT(8192);
    char                            text[4096];
    va_list                         args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_addf(&line, "trent%s%s: ", c->command != NULL ? " " : "",
             c->command != NULL ? c->command->name : "");
    for (const char *p = text; *p != '\0'; p++) /* file names and the like may hold anything */
        buf_add_byte(&line, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : (uint8_t)*p);
    buf_add_byte(&line, '\n');
    (void)fwrite(line.ptr, 1, line.len, c->world.err);
    (void)fflush(c->world.err);
}

int ctl_failed(struct ctl *c, const struct kms_error *err, int code)
{
    ctl_error(c, "%s", err->detail[0] != '\0' ? err->detail : err->message);
    return err->status == KMS_E_VALIDATION ? EX_USAGE : code;
}

int ctl_print(struct ctl *c, const struct buf *text, int code)
{
    if (!buf_ok(text)) {
        ctl_error(c, "out of memory");
        return EX_OSERR;
    }
    if ((text->len > 0 && fwrite(text->ptr, 1, text->len, c->world.out) != text->len) ||
        fflush(c->world.out) != 0) {
        ctl_error(c, "cannot write the answer: %s", strerror(errno));
        return EX_IOERR;
    }
    return code;
}

/* --- arguments ------------------------------------------------------------------------------------------- */

static const struct ctl_option *find_option(const struct ctl_option *options, size_t n,
                                            const char *arg, const char **ret_value)
{
    const char *equals = strchr(arg, '=');
    size_t      len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);

    for (size_t i = 0; i < n; i++) {
        if (strlen(options[i].name) == len && strncmp(options[i].name, arg, len) == 0) {
            *ret_value = equals != NULL ? equals + 1 : NULL;
            return &options[i];
        }
    }
    return NULL;
}

/* Takes the option at *i, and its value. */
static bool take_option(struct ctl *c, const struct ctl_option *options, size_t n, size_t *i)
{
    const char              *arg = c->arguments[*i];
    const char              *value = NULL;
    const struct ctl_option *option = find_option(options, n, arg, &value);

    if (option == NULL) {
        ctl_error(c, "there is no option '%.60s'; see 'trent %s --help'", arg, c->command->name);
        return false;
    }
    if (option->flag != NULL) {
        if (value != NULL)
            ctl_error(c, "%s takes no value", option->name);
        *option->flag = true;
        return value == NULL;
    }
    if (value == NULL && *i + 1 < c->n_arguments)
        value = c->arguments[++*i];
    if (value == NULL || value[0] == '\0') {
        ctl_error(c, "%s needs a value; see 'trent %s --help'", option->name, c->command->name);
        return false;
    }
    *option->value = value;
    return true;
}

bool ctl_arguments(struct ctl *c, const struct ctl_option *options, size_t n,
                   const char **ret_operands, size_t max)
{
    size_t operands = 0;

    for (size_t i = 0; i < max; i++)
        ret_operands[i] = NULL;
    for (size_t i = 0; i < c->n_arguments; i++) {
        const char *arg = c->arguments[i];
        if (arg[0] == '-' && arg[1] != '\0') {
            if (!take_option(c, options, n, &i))
                return false;
        } else if (operands == max) {
            ctl_error(c, "'%.60s' is one argument too many; see 'trent %s --help'", arg,
                      c->command->name);
            return false;
        } else {
            ret_operands[operands++] = arg;
        }
    }
    return true;
}

bool ctl_number(struct ctl *c, const char *option, const char *text, uint64_t *ret)
{
    char *end = NULL;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        ctl_error(c, "%s needs a whole number, not '%.60s'", option, text);
        return false;
    }
    *ret = value;
    return true;
}

bool ctl_audit_dir(struct ctl *c, const char *dir, char ret[FILE_PATH_MAX])
{
    int n = dir != NULL ? snprintf(ret, FILE_PATH_MAX, "%s", dir)
                        : snprintf(ret, FILE_PATH_MAX, "%s/audit", c->data);

    if (n > 0 && n < FILE_PATH_MAX)
        return true;
    ctl_error(c, "the path '%.80s' is too long", dir != NULL ? dir : c->data);
    return false;
}

int ctl_prepare(struct ctl *c)
{
    struct kms_error err;

    if (c->world.prepare(&err) != KMS_OK)
        return ctl_failed(c, &err, EX_OSERR);
    return 0;
}

/* --- tables ------------------------------------------------------------------------------------------------ */

enum { NAME_WIDTH = 32, PATH_BYTES = 256 };

void ctl_row(struct buf *out, const char *name, struct bytes value)
{
    buf_add_str(out, name);
    for (size_t n = strlen(name); n < NAME_WIDTH; n++)
        buf_add_byte(out, ' ');
    buf_add_byte(out, ' ');
    for (size_t i = 0; i < value.len; i++) /* what comes out of files may hold anything */
        buf_add_byte(out, value.ptr[i] < 0x20 || value.ptr[i] == 0x7f ? '?' : value.ptr[i]);
    buf_add_byte(out, '\n');
}

static void scalar_row(struct buf *out, const char *path, struct json value)
{
    char    text[64];
    int64_t n = 0;
    int     len = 0;

    switch (json_type(value)) {
    case JSON_STRING: ctl_row(out, path, json_string(value)); return;
    case JSON_BOOL:   len = snprintf(text, sizeof text, "%s", json_bool(value) ? "yes" : "no"); break;
    case JSON_NULL:   len = snprintf(text, sizeof text, "-"); break;
    case JSON_INT:
    case JSON_REAL:
        len = json_int(value, &n) ? snprintf(text, sizeof text, "%lld", (long long)n)
                                  : snprintf(text, sizeof text, "%g", json_number(value));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT: return;
    }
    ctl_row(out, path, bytes_of(text, (size_t)len));
}

struct level {
    struct json_iter it;
    size_t           prefix; /* length of the path of this container */
    unsigned         index;
};

/* Appends a step to the path; what does not fit is left out. */
static void path_step(char path[PATH_BYTES], size_t prefix, struct bytes name, unsigned index)
{
    const char *dot = prefix > 0 ? "." : "";

    if (name.ptr != NULL)
        (void)snprintf(path + prefix, PATH_BYTES - prefix, "%s%.*s", dot, BYTES_FMT(name));
    else
        (void)snprintf(path + prefix, PATH_BYTES - prefix, "%s%u", dot, index);
}

void ctl_rows(struct buf *out, struct json root)
{
    enum { DEPTH = 8 };
    struct level levels[DEPTH] = { { .it = json_iterate(root) } };
    size_t       depth = 0;
    char         path[PATH_BYTES] = "";

    for (;;) {
        struct level *top = &levels[depth];
        struct bytes  name = { NULL, 0 };
        struct json   value;
        if (!json_next(&top->it, &name, &value)) {
            if (depth-- == 0)
                return;
            continue;
        }
        path_step(path, top->prefix, top->it.object ? name : bytes_of(NULL, 0), top->index++);
        enum json_type type = json_type(value);
        if ((type == JSON_OBJECT || type == JSON_ARRAY) && depth + 1 < DEPTH)
            levels[++depth] = (struct level){ .it = json_iterate(value), .prefix = strlen(path) };
        else
            scalar_row(out, path, value);
    }
}
