/* base/log.h - one line per event on standard error: time, level, text.
 *
 * Only request.c, main.c, commit.c and jobs log; everything else fills a struct kms_error. Control
 * characters in arguments are escaped here, so no caller can forget. Never pass secrets: secret
 * types have no printer.
 */
#pragma once

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level); /* default LOG_LEVEL_INFO */

__attribute__((cold, format(printf, 1, 2))) void log_error(const char *fmt, ...);
__attribute__((cold, format(printf, 1, 2))) void log_warning(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *fmt, ...);
