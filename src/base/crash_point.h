/* base/crash_point.h - places where tests kill the process.
 *
 * CRASH_POINT("name") does nothing in a release build. With KMS_CRASH_POINTS it kills the process
 * (SIGKILL, as a power cut would) when the environment variable TRENT_CRASH_POINT names it, or
 * "name:3" for its third passage. Every step boundary of import, delete and expiry has one; the
 * crash test takes the names from the sources.
 */
#pragma once

#ifdef KMS_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif
