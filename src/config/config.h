/* config/config.h - every setting in one table: file, flags, --print-config, man page.
 *
 * File: lines "name = value", '#' comments. Flags: --name VALUE or --name=VALUE; a flag wins over
 * the file. A test compares the table with trentd.conf(5).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

enum metrics_keys { METRICS_KEYS_DEVELOPMENT, METRICS_KEYS_NEVER, METRICS_KEYS_ALWAYS };
enum audit_sync { AUDIT_SYNC_WRITTEN, AUDIT_SYNC_ALWAYS };

struct config {
    bool    dev;           /* --dev */
    char   *listen;        /* ADDR:PORT */
    char   *data;          /* data directory */
    char   *root_key_file; /* empty: DATA/root.key */
    char   *regions;       /* comma-separated; empty: any (--dev only) */
    char   *tls_cert;
    char   *tls_key;
    char   *attestation_root; /* PEM file; empty: none */
    char   *oidc_providers;   /* JSON file; empty: none */
    char   *webhook_url;      /* empty: none */
    char   *webhook_secret_file;
    char   *webhook_ca_file; /* PEM; empty: the certificate authorities of the system */
    char   *seed;            /* JSON file; empty: none (--dev only) */
    int     log_level;       /* enum log_level */
    int     metrics_keys;    /* enum metrics_keys */
    bool    step_times;      /* the metrics tell what each step of a request takes */
    int     audit_sync;      /* enum audit_sync */
    int64_t audit_reserve_mib;
    int64_t loops;               /* 0: one per core */
    int64_t pool_threads;        /* slow lane */
    int64_t long_threads;        /* for slow private keys; 0: one less than there are cores */
    int64_t rotation_delay_s;    /* 0: on-demand rotations complete at once */
    char   *expiry_warning_days; /* numbers, separated by commas; empty: none */
    int64_t region_delay_s;      /* Creating and Updating of multi-Region keys last that long */
    int64_t ready_keys_2048, ready_keys_3072, ready_keys_4096, ready_keys_per_minute;
    int64_t cache_idle_s;
    int64_t cached_keys;   /* 0: all */
    int64_t usage_flush_s; /* last uses of keys are stored that often */
    int64_t max_connections, max_per_address, max_unauthenticated;
    /* requests per second; 0: no limit; RATE_BY_MODE: the default, none in development mode */
    int64_t rate_principal, rate_account, rate_failures;
    bool    allow_erase_grade_c;
    bool    allow_unlocked_memory;
};

enum { RATE_BY_MODE = -1 };
/* A rate in effect: `rate` itself, or what stands for RATE_BY_MODE. */
uint32_t config_rate(const struct config *c, int64_t rate, uint32_t otherwise);

enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_PRINT, CONFIG_HELP, CONFIG_VERSION };

/* Defaults, then the file named by --config, then the flags. KMS_E_VALIDATION with one line that
 * says where (file:line or flag), what is wrong and what would be right. */
KMS_MUST_CHECK enum kms_status config_load(int argc, const char *const *argv, struct config *ret,
                                           enum config_action *ret_action,
                                           struct kms_error   *reterr);
void config_free(struct config *c);
/* Every setting as "name = value" lines. */
void config_print(const struct config *c, struct buf *out);
/* The --help text of trentd. */
void config_help(struct buf *out);
/* True if the server answers for this Region. */
bool config_region(const struct config *c, struct bytes region);

/* Do the metrics name keys? */
bool config_metrics_keys(const struct config *c);
/* The numbers of expiry-warning-days, 1 to 365; at most 8. */
enum { CONFIG_DAYS_MAX = 8 };
size_t config_warning_days(const struct config *c, uint16_t ret[CONFIG_DAYS_MAX]);

/* For the test that compares the table with the manual. */
size_t config_setting_count(void);
const char *config_setting_name(size_t i);
