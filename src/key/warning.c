/* key/warning.c - see warning.h. */
#include "key/warning.h"

static const int64_t DAY_MS = INT64_C(86400) * 1000;

uint16_t key_days_left(int64_t valid_to, int64_t now)
{
    int64_t days = (valid_to - now + DAY_MS - 1) / DAY_MS;

    if (days < 1)
        return 1;
    return days < UINT16_MAX ? (uint16_t)days : UINT16_MAX;
}

static bool expires(const struct key_material *m)
{
    return (m->role == MATERIAL_CURRENT || m->role == MATERIAL_NON_CURRENT) && m->present &&
           m->sealed.wrapped.len > 0 && m->expiration == EXPIRES;
}

static bool told(const struct key_material *m, uint16_t days)
{
    return m->warned_days != 0 && m->warned_days <= days;
}

uint16_t key_warning_due(const struct key_material *m, const struct expiry_warnings *w, int64_t now)
{
    uint16_t least = 0;

    if (!expires(m) || now >= m->valid_to)
        return 0;
    for (size_t i = 0; i < w->n; i++) {
        uint16_t days = w->days[i];
        if (now >= m->valid_to - days * DAY_MS && !told(m, days) && (least == 0 || days < least))
            least = days;
    }
    return least;
}

int64_t key_next_warning(const struct key_record *key, const struct expiry_warnings *w)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < key->n_materials; i++) {
        const struct key_material *m = &key->materials[i];
        if (!expires(m))
            continue;
        for (size_t k = 0; k < w->n; k++) {
            int64_t at = m->valid_to - w->days[k] * DAY_MS;
            if (!told(m, w->days[k]) && at < next)
                next = at;
        }
    }
    return next;
}

size_t key_warn(struct key_record *key, const struct expiry_warnings *w, int64_t now)
{
    size_t n = 0;

    for (size_t i = 0; i < key->n_materials; i++) {
        uint16_t days = key_warning_due(&key->materials[i], w, now);
        if (days == 0)
            continue;
        key->materials[i].warned_days = days;
        n++;
    }
    return n;
}
