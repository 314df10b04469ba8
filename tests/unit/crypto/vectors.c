/* tests/unit/crypto/vectors.c - see vectors.h. */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"

/* Beside the project: seen from its root, or from where Meson builds. */
static bool find(const char *folder, const char *file, char path[FILE_PATH_MAX])
{
    const char       *root = getenv("TRENT_VECTORS");
    const char *const places[] = { root != NULL ? root : "../shared/vectors", "../shared/vectors",
                                   "../../../shared/vectors" };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        (void)snprintf(path, FILE_PATH_MAX, "%.300s/%.40s/%.100s", places[i], folder, file);
        if (file_exists(path))
            return true;
    }
    return false;
}

static yyjson_doc *read_file(const char *folder, const char *file)
{
    char path[FILE_PATH_MAX];

    if (!find(folder, file, path))
        skip();
    yyjson_doc *doc = yyjson_read_file(path, YYJSON_READ_NOFLAG, NULL, NULL);
    assert_non_null(doc);
    return doc;
}

yyjson_doc *vectors_reference(const char *file)
{
    return read_file("../reference", file);
}

struct bytes vector_hex(yyjson_val *object, const char *name, struct vector_value *room)
{
    yyjson_val  *v = yyjson_obj_get(object, name);
    struct bytes text = bytes_of(yyjson_get_str(v), yyjson_get_len(v));

    assert_true(yyjson_is_str(v));
    room->len = text.len / 2;
    assert_true(room->len <= VECTOR_MAX && hex_read(text, room->b, room->len));
    return bytes_of(room->b, room->len);
}

uint64_t vector_number(yyjson_val *object, const char *name)
{
    yyjson_val *v = yyjson_obj_get(object, name);

    assert_true(yyjson_is_uint(v));
    return yyjson_get_uint(v);
}

bool vector_is(yyjson_val *object, const char *name, const char *want)
{
    return yyjson_equals_str(yyjson_obj_get(object, name), want);
}

void vectors_each(const char *file, void (*fn)(yyjson_val *group, yyjson_val *test, void *ctx),
                  void       *ctx)
{
    yyjson_doc *doc = read_file("wycheproof", file);
    yyjson_val *group, *test;
    size_t      g, t, g_max, t_max;

    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "testGroups"), g, g_max, group)
    {
        yyjson_arr_foreach(yyjson_obj_get(group, "tests"), t, t_max, test)
        {
            fn(group, test, ctx);
        }
    }
    yyjson_doc_free(doc);
}
