/* regions.c - which Regions this server answers for, and a word in the log about those it does not.
 *
 * A client with the wrong Region gets the service's text about credentials, which sends its owner
 * looking in the wrong place: the log says what it is. Anybody can ask for any Region, so each is
 * named once a minute and loop, and only a few of them.
 */
#include <string.h>

#include "base/log.h"
#include "key/id.h"
#include "request_internal.h"

/* True if the log has not named it in this minute, and may. */
static bool worth_a_line(struct strange_regions *r, struct bytes region, int64_t minute)
{
    if (minute != r->minute)
        *r = (struct strange_regions){ .minute = minute };
    for (size_t i = 0; i < r->n; i++) {
        if (bytes_eq_str(region, r->names[i]))
            return false;
    }
    if (r->n == REGIONS_TOLD)
        return false;
    memcpy(r->names[r->n], region.ptr, region.len);
    r->names[r->n++][region.len] = '\0';
    return true;
}

bool server_answers_for(struct server *s, unsigned loop, struct bytes region)
{
    if (!region_valid(region))
        return false;
    if (config_region(s->parts.config, region))
        return true;
    if (worth_a_line(&s->loops[loop].strange, region, clock_monotonic_ms() / 60000))
        log_info("a request for Region %.*s was refused: the setting 'regions' does not have it",
                 BYTES_FMT(region));
    return false;
}
