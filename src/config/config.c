/* config/config.c - the table of settings and everything derived from it (see config.h). */
#include "config/config.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

enum setting_type { SET_TEXT, SET_BOOL, SET_INT, SET_CHOICE };

struct setting {
    const char       *name;
    enum setting_type type;
    size_t            offset;
    const char       *initial;
    int64_t           min, max;   /* SET_INT */
    const char       *choices[5]; /* SET_CHOICE: index is the value */
    const char       *help;
};

#define AT(field) offsetof(struct config, field)

enum { FILE_MAX_BYTES = 64 * 1024, NAME_MAX_CHARS = 64, DAYS_LAST = 365 };

// clang-format off
static const struct setting settings[] = {
    { "dev", SET_BOOL, AT(dev), "false", 0, 0, { 0 },
      "development mode: data directory made when missing, access key test/test, any Region" },
    { "listen", SET_TEXT, AT(listen), "127.0.0.1:8080", 0, 0, { 0 },
      "address and port; port 0 picks a free one" },
    { "data", SET_TEXT, AT(data), "./trent-data", 0, 0, { 0 }, "data directory" },
    { "root-key-file", SET_TEXT, AT(root_key_file), "", 0, 0, { 0 },
      "file with the 32-byte root key; empty: root.key in the data directory" },
    { "regions", SET_TEXT, AT(regions), "", 0, 0, { 0 },
      "Regions to answer for, separated by commas; empty: any (development mode only)" },
    { "tls-cert", SET_TEXT, AT(tls_cert), "", 0, 0, { 0 },
      "PEM certificate chain; empty: plain HTTP. Read again on SIGHUP" },
    { "tls-key", SET_TEXT, AT(tls_key), "", 0, 0, { 0 }, "PEM private key of the certificate" },
    { "attestation-root", SET_TEXT, AT(attestation_root), "", 0, 0, { 0 },
      "PEM file with the root certificate of attestation documents (Recipient); empty: none is believed" },
    { "oidc-providers", SET_TEXT, AT(oidc_providers), "", 0, 0, { 0 },
      "JSON file with the OIDC issuers whose tokens are believed; empty: none. Read again on SIGHUP" },
    { "webhook-url", SET_TEXT, AT(webhook_url), "", 0, 0, { 0 },
      "https URL that is told of expiry, rotation and deletion of keys (http: to this machine, or in development mode); empty: none" },
    { "webhook-secret-file", SET_TEXT, AT(webhook_secret_file), "", 0, 0, { 0 },
      "file with the secret, 24 bytes or more, that signs what webhook-url gets. Read again on SIGHUP" },
    { "webhook-ca-file", SET_TEXT, AT(webhook_ca_file), "", 0, 0, { 0 },
      "PEM file with the certificate authorities of webhook-url; empty: those of the system" },
    { "seed", SET_TEXT, AT(seed), "", 0, 0, { 0 },
      "JSON file with accounts, identities and keys that a development server begins with (trent-seed(5)); empty: none" },
    { "metrics-keys", SET_CHOICE, AT(metrics_keys), "development", 0, 0, { "development", "never", "always" },
      "when the metrics, which anybody may read, name the 1,000 keys that expire soonest" },
    { "step-times", SET_BOOL, AT(step_times), "false", 0, 0, { 0 },
      "measure what each step of a request takes, for /_trent/metrics" },
    { "audit-sync", SET_CHOICE, AT(audit_sync), "written", 0, 0, { "written", "always" },
      "written: reads are on disk within a second, changes at once; always: every record before its answer" },
    { "audit-reserve-mib", SET_INT, AT(audit_reserve_mib), "64", 1, 4096, { 0 },
      "disk space kept back for audit records of calls that take rights away" },
    { "rotation-delay", SET_INT, AT(rotation_delay_s), "0", 0, 86400, { 0 },
      "seconds an on-demand rotation takes; 0: at once. The real service takes 40 to 160" },
    { "region-delay", SET_INT, AT(region_delay_s), "1", 0, 3600, { 0 },
      "seconds that a new replica is Creating, and keys that change roles are Updating" },
    { "expiry-warning-days", SET_TEXT, AT(expiry_warning_days), "30,7,1", 0, 0, { 0 },
      "days before the expiry of imported material at which it is told; empty: never" },
    { "material-idle", SET_INT, AT(cache_idle_s), "60", 1, 3600, { 0 },
      "seconds after which opened key material that nobody used is wiped from memory" },
    { "cached-keys", SET_INT, AT(cached_keys), "100000", 0, 16000000, { 0 },
      "keys in memory, about 1.5 KiB each; the others are loaded when they are used. 0: all are in memory" },
    { "usage-flush-seconds", SET_INT, AT(usage_flush_s), "60", 1, 3600, { 0 },
      "how often the last uses of keys (GetKeyLastUsage) are stored; a crash forgets those after" },
    { "ready-keys-2048", SET_INT, AT(ready_keys_2048), "8", 0, 1024, { 0 },
      "RSA_2048 keys made ahead, for imports, KMS keys and data key pairs" },
    { "ready-keys-3072", SET_INT, AT(ready_keys_3072), "4", 0, 1024, { 0 }, "the same for RSA_3072" },
    { "ready-keys-4096", SET_INT, AT(ready_keys_4096), "4", 0, 1024, { 0 }, "the same for RSA_4096" },
    { "ready-keys-per-minute", SET_INT, AT(ready_keys_per_minute), "0", 0, 60000, { 0 },
      "RSA keys made in a minute at most; calls wait for theirs then. 0: as many as one thread can" },
    { "loops", SET_INT, AT(loops), "0", 0, 64, { 0 }, "event loop threads; 0: one per core" },
    { "pool-threads", SET_INT, AT(pool_threads), "4", 1, 64, { 0 },
      "threads for calls that change state or take long" },
    { "long-threads", SET_INT, AT(long_threads), "0", 0, 64, { 0 },
      "threads for calls that use RSA and other slow private keys; 0: one less than there are cores" },
    { "max-connections", SET_INT, AT(max_connections), "4096", 1, 1000000, { 0 }, "connections in total" },
    { "max-connections-per-address", SET_INT, AT(max_per_address), "256", 1, 1000000, { 0 },
      "connections from one address" },
    { "max-unauthenticated-per-address", SET_INT, AT(max_unauthenticated), "64", 1, 1000000, { 0 },
      "connections from one address that have not sent a good signature yet" },
    { "rate-principal", SET_INT, AT(rate_principal), "-1", RATE_BY_MODE, 10000000, { 0 },
      "requests per second of one user, role or root user; 0: no limit; -1: 500, no limit in development mode" },
    { "rate-account", SET_INT, AT(rate_account), "-1", RATE_BY_MODE, 10000000, { 0 },
      "requests per second of an account; 0: no limit; -1: 5000, no limit in development mode" },
    { "rate-failures", SET_INT, AT(rate_failures), "-1", RATE_BY_MODE, 10000000, { 0 },
      "failed signatures per second of one address before it is refused unseen; 0: no limit; -1: 20, no limit in development mode" },
    { "allow-erase-grade-c", SET_BOOL, AT(allow_erase_grade_c), "false", 0, 0, { 0 },
      "start although the file system cannot erase for certain; always allowed in development mode" },
    { "allow-unlocked-memory", SET_BOOL, AT(allow_unlocked_memory), "false", 0, 0, { 0 },
      "start although memory for keys cannot be locked" },
    { "log-level", SET_CHOICE, AT(log_level), "info", 0, 0, { "error", "warning", "info", "debug" },
      "least important level that is logged" },
};
// clang-format on

size_t config_setting_count(void)
{
    return ARRAY_LEN(settings);
}

const char *config_setting_name(size_t i)
{
    return settings[i].name;
}

static void *field(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

static const void *const_field(const struct config *c, const struct setting *s)
{
    return (const char *)c + s->offset;
}

uint32_t config_rate(const struct config *c, int64_t rate, uint32_t otherwise)
{
    if (rate != RATE_BY_MODE)
        return (uint32_t)rate;
    return c->dev ? 0 : otherwise;
}

/* --- setting a value -------------------------------------------------------------------------- */

static enum kms_status set_int(int64_t *to, const struct setting *s, const char *text,
                               const char *where, struct kms_error *reterr)
{
    char     *end;
    long long v = strtoll(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v < s->min || v > s->max)
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "%s: '%s' for %s is not a whole number from %lld to %lld", where, text,
                        s->name, (long long)s->min, (long long)s->max);
    *to = v;
    return KMS_OK;
}

static enum kms_status set_choice(int *to, const struct setting *s, const char *text,
                                  const char *where, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf list = BUF_INIT(256);

    for (int i = 0; s->choices[i] != NULL; i++) {
        if (strcmp(text, s->choices[i]) == 0) {
            *to = i;
            return KMS_OK;
        }
        buf_addf(&list, "%s%s", i > 0 ? ", " : "", s->choices[i]);
    }
    return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: '%s' for %s is not one of: %.*s", where, text,
                    s->name, BYTES_FMT(buf_bytes(&list)));
}

static enum kms_status set_bool(bool *to, const struct setting *s, const char *text,
                                const char *where, struct kms_error *reterr)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: '%s' for %s is neither true nor false",
                        where, text, s->name);
    *to = strcmp(text, "true") == 0;
    return KMS_OK;
}

static enum kms_status set_value(struct config *c, const struct setting *s, const char *text,
                                 const char *where, struct kms_error *reterr)
{
    switch (s->type) {
    case SET_INT:    return set_int(field(c, s), s, text, where, reterr);
    case SET_CHOICE: return set_choice(field(c, s), s, text, where, reterr);
    case SET_BOOL:   return set_bool(field(c, s), s, text, where, reterr);
    case SET_TEXT:   break;
    }
    char **to = field(c, s);
    char  *copy = strdup(text);
    if (copy == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for settings");
    free(*to);
    *to = copy;
    return KMS_OK;
}

static const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    }
    return NULL;
}

static enum kms_status defaults(struct config *c, struct kms_error *reterr)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        TRY(set_value(c, &settings[i], settings[i].initial, "default", reterr));
    return KMS_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static enum kms_status read_line(struct config *c, char *line, const char *path, unsigned number,
                                 struct kms_error *reterr)
{
    char  where[FILE_PATH_MAX];
    char *text = trim(line);
    char *equals = strchr(text, '=');

    if (*text == '\0' || *text == '#')
        return KMS_OK;
    (void)snprintf(where, sizeof where, "%s:%u", path, number);
    if (equals == NULL)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: expected 'name = value', found '%.60s'",
                        where, text);
    *equals = '\0';
    const char           *name = trim(text);
    const struct setting *s = setting_find(name);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "%s: there is no setting '%.60s'; see trentd.conf(5)", where, name);
    return set_value(c, s, trim(equals + 1), where, reterr);
}

static enum kms_status read_file(struct config *c, const char *path, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(FILE_MAX_BYTES + 1);
    unsigned                        number = 0;

    TRY(file_read(path, &text, reterr));
    buf_add_byte(&text, '\0');
    if (!buf_ok(&text) || strlen((char *)text.ptr) != text.len - 1)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "%s: not a text file, or longer than %d bytes",
                        path, FILE_MAX_BYTES);
    for (char *line = (char *)text.ptr; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        TRY(read_line(c, line, path, ++number, reterr));
        line = next;
    }
    return KMS_OK;
}

/* --- flags ------------------------------------------------------------------------------------ */

struct flag {
    char        name[NAME_MAX_CHARS];
    const char *value; /* NULL: none given with '=' */
};

static bool split_flag(const char *arg, struct flag *ret)
{
    if (strncmp(arg, "--", 2) != 0)
        return false;
    const char *name = arg + 2;
    const char *equals = strchr(name, '=');
    size_t      len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    if (len == 0 || len >= sizeof ret->name)
        return false;
    memcpy(ret->name, name, len);
    ret->name[len] = '\0';
    ret->value = equals != NULL ? equals + 1 : NULL;
    return true;
}

static bool is_action(const char *name, enum config_action *ret)
{
    static const struct {
        const char        *name;
        enum config_action action;
    } actions[] = {
        { "check-config", CONFIG_CHECK },
        { "print-config", CONFIG_PRINT },
        { "help", CONFIG_HELP },
        { "version", CONFIG_VERSION },
    };

    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            *ret = actions[i].action;
            return true;
        }
    }
    return false;
}

/* Takes the value of a flag from after '=' or from the next argument. */
static enum kms_status flag_value(int argc, const char *const *argv, int *at, struct flag *f,
                                  struct kms_error *reterr)
{
    if (f->value != NULL)
        return KMS_OK;
    if (*at + 1 >= argc)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "--%s: a value is missing", f->name);
    f->value = argv[++*at];
    return KMS_OK;
}

static enum kms_status read_flag(int argc, const char *const *argv, int *at, bool file_pass,
                                 struct config *c, enum config_action *ret_action,
                                 struct kms_error *reterr)
{
    struct flag f;
    char        where[NAME_MAX_CHARS + 4];

    if (strcmp(argv[*at], "-h") == 0)
        f = (struct flag){ .name = "help" };
    else if (!split_flag(argv[*at], &f))
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "'%.60s' is not a flag; see trentd --help",
                        argv[*at]);
    if (is_action(f.name, ret_action))
        return KMS_OK;
    if (strcmp(f.name, "config") == 0) {
        TRY(flag_value(argc, argv, at, &f, reterr));
        return file_pass ? read_file(c, f.value, reterr) : KMS_OK;
    }

    const struct setting *s = setting_find(f.name);
    if (s == NULL)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "there is no flag --%s; see trentd --help",
                        f.name);
    if (s->type == SET_BOOL && f.value == NULL)
        f.value = "true"; /* --dev */
    TRY(flag_value(argc, argv, at, &f, reterr));
    (void)snprintf(where, sizeof where, "--%s", f.name);
    return file_pass ? KMS_OK : set_value(c, s, f.value, where, reterr);
}

/* --- what must fit together ------------------------------------------------------------------- */

/* The number at the front of a list, which loses it and its comma; 0 if it is none from 1 to 365. */
static uint16_t next_days(const char **list)
{
    char *end;
    long  days = isdigit((unsigned char)**list) ? strtol(*list, &end, 10) : 0;

    if (days < 1 || days > DAYS_LAST || (*end != ',' && *end != '\0') ||
        (*end == ',' && end[1] == '\0'))
        return 0;
    *list = *end == ',' ? end + 1 : end;
    while (**list == ' ')
        (*list)++;
    return (uint16_t)days;
}

bool config_metrics_keys(const struct config *c)
{
    return c->metrics_keys == METRICS_KEYS_ALWAYS ||
           (c->metrics_keys == METRICS_KEYS_DEVELOPMENT && c->dev);
}

size_t config_warning_days(const struct config *c, uint16_t ret[CONFIG_DAYS_MAX])
{
    const char *list = c->expiry_warning_days;
    size_t      n = 0;

    while (*list != '\0' && n < CONFIG_DAYS_MAX)
        ret[n++] = next_days(&list);
    return n;
}

static enum kms_status check_days(const char *list, struct kms_error *reterr)
{
    for (size_t n = 0; *list != '\0'; n++) {
        if (n == CONFIG_DAYS_MAX || next_days(&list) == 0)
            return KMS_FAIL(
                reterr, KMS_E_VALIDATION,
                "expiry-warning-days is not a list of at most %d whole numbers from 1 to "
                "%d, separated by commas, e.g. 30,7,1",
                CONFIG_DAYS_MAX, DAYS_LAST);
    }
    return KMS_OK;
}

static enum kms_status check(const struct config *c, struct kms_error *reterr)
{
    if ((*c->tls_cert == '\0') != (*c->tls_key == '\0'))
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "tls-cert and tls-key must be given together");
    if ((*c->webhook_url == '\0') != (*c->webhook_secret_file == '\0'))
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "webhook-url and webhook-secret-file must be given together");
    if (*c->webhook_ca_file != '\0' && *c->webhook_url == '\0')
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "webhook-ca-file without webhook-url");
    if (!c->dev && *c->regions == '\0')
        return KMS_FAIL(
            reterr, KMS_E_VALIDATION,
            "regions is empty: name the Regions to answer for, e.g. regions = eu-central-1, "
            "or start with --dev");
    if (!c->dev && *c->seed != '\0')
        return KMS_FAIL(reterr, KMS_E_VALIDATION,
                        "seed: a seed holds keys in clear, so it is for development mode only: "
                        "start with --dev, or leave it out");
    return check_days(c->expiry_warning_days, reterr);
}

enum kms_status config_load(int argc, const char *const *argv, struct config *ret,
                            enum config_action *ret_action, struct kms_error *reterr)
{
    *ret = (struct config){ 0 };
    *ret_action = CONFIG_RUN;
    TRY(defaults(ret, reterr));
    for (int pass = 0; pass < 2; pass++) { /* files first, so that flags win wherever they stand */
        for (int i = 1; i < argc; i++)
            TRY(read_flag(argc, argv, &i, pass == 0, ret, ret_action, reterr));
    }
    /* the others need no complete settings: --print-config shows what is to be filled in */
    return *ret_action == CONFIG_RUN || *ret_action == CONFIG_CHECK ? check(ret, reterr) : KMS_OK;
}

void config_free(struct config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (settings[i].type == SET_TEXT) {
            char **text = field(c, &settings[i]);
            free(*text);
            *text = NULL;
        }
    }
}

void config_print(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        const void           *at = const_field(c, s);
        buf_addf(out, "%s = ", s->name);
        switch (s->type) {
        case SET_TEXT:   buf_addf(out, "%s\n", *(char *const *)at); break;
        case SET_BOOL:   buf_addf(out, "%s\n", *(const bool *)at ? "true" : "false"); break;
        case SET_INT:    buf_addf(out, "%lld\n", (long long)*(const int64_t *)at); break;
        case SET_CHOICE: buf_addf(out, "%s\n", s->choices[*(const int *)at]); break;
        }
    }
}

void config_help(struct buf *out)
{
    buf_add_str(
        out, "trentd - a key management server that speaks the AWS KMS protocol\n\n"
             "usage: trentd --dev [--listen ADDR:PORT] [--data DIR] [--seed FILE]\n"
             "       trentd --config FILE [flags]\n\n"
             "  --config FILE       read settings from FILE (trentd.conf(5)); flags win over it\n"
             "  --check-config      check the settings, not the files they name, and exit\n"
             "  --print-config      print all settings and exit\n"
             "  --help, --version\n\n"
             "Every setting is a flag too:\n\n");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        buf_addf(out, "  --%s%s\n        %s", s->name, s->type == SET_BOOL ? "" : " VALUE",
                 s->help);
        if (s->initial[0] != '\0')
            buf_addf(out, " (default %s)", s->initial);
        buf_add_str(out, "\n");
    }
}

bool config_region(const struct config *c, struct bytes region)
{
    struct bytes rest = bytes_str(c->regions);

    if (rest.len == 0)
        return c->dev;
    for (bool more = true; more;) {
        struct bytes one = rest;
        more = bytes_cut(&rest, ',', &one);
        while (one.len > 0 && one.ptr[0] == ' ')
            one = bytes_of(one.ptr + 1, one.len - 1);
        while (one.len > 0 && one.ptr[one.len - 1] == ' ')
            one.len--;
        if (bytes_eq(one, region))
            return true;
    }
    return false;
}
