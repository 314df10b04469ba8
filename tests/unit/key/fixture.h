/* tests/unit/key/fixture.h - records to test with. */
#pragma once

#include "key/record.h"

/* The default key policy, as the service prints it. */
extern const char *const fixture_policy;

/* A key of account 111122223333 whose id ends in the serial, symmetric, nothing in it yet. */
struct key_record *fixture_key(const char *region, uint64_t serial, enum key_origin origin);
/* Writes the id of that key: 36 characters and a NUL. */
void fixture_key_id(char out[KEY_ID_MAX + 1], uint64_t serial);
/* The material id that fixtures give to a name: its byte, 32 times. */
struct material_id fixture_material_id(char name);
/* A sealed form as the vault would make it; `slot` tells it from others. */
struct sealed fixture_sealed(struct arena *arena, uint32_t slot);

/* Bytes that malloc has handed out. A sanitizer's own malloc is not asked: then it is always 0. */
size_t fixture_held(void);
