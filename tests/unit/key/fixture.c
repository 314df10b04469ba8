/* tests/unit/key/fixture.c - see fixture.h. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "fixture.h"
#include "instrumented.h"

const char *const fixture_policy = "{\n"
                                   "  \"Version\" : \"2012-10-17\",\n"
                                   "  \"Id\" : \"key-default-1\",\n"
                                   "  \"Statement\" : [ {\n"
                                   "    \"Sid\" : \"Enable IAM User Permissions\",\n"
                                   "    \"Effect\" : \"Allow\",\n"
                                   "    \"Principal\" : {\n"
                                   "      \"AWS\" : \"arn:aws:iam::111111111111:root\"\n"
                                   "    },\n"
                                   "    \"Action\" : \"kms:*\",\n"
                                   "    \"Resource\" : \"*\"\n"
                                   "  } ]\n"
                                   "}";

void fixture_key_id(char out[KEY_ID_MAX + 1], uint64_t serial)
{
    (void)snprintf(out, KEY_ID_MAX + 1, "00000000-0000-4000-8000-%012llu",
                   (unsigned long long)serial % 1000000000000);
}

struct key_record *fixture_key(const char *region, uint64_t serial, enum key_origin origin)
{
    struct key_record *k = key_record_new();
    char               id[KEY_ID_MAX + 1];

    assert_non_null(k);
    fixture_key_id(id, serial);
    key_record_set_name(k, BYTES_LIT("111122223333"), bytes_str(region), bytes_str(id));
    k->origin = origin;
    k->serial = serial;
    k->version = 1;
    return k;
}

struct material_id fixture_material_id(char name)
{
    struct material_id id;

    memset(id.b, name, sizeof id.b);
    return id;
}

struct sealed fixture_sealed(struct arena *arena, uint32_t slot)
{
    static const uint8_t wrapped[48]; /* 32 bytes of key and a tag */

    return (struct sealed){
        .wrapped = arena_copy(arena, bytes_of(wrapped, sizeof wrapped)),
        .domain_version = 1,
        .slot = slot,
        .slot_generation = slot + 1000u,
    };
}

size_t fixture_held(void)
{
    struct mallinfo2 info = mallinfo2();

    return INSTRUMENTED ? 0 : info.uordblks + info.hblkhd;
}
