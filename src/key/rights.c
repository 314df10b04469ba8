/* key/rights.c - see rights.h. */
#include "key/rights.h"

#include <assert.h>
#include <stdlib.h>

struct rights_book {
    struct epoch          *epoch;
    struct index          *by_text;
    struct rights_compiler with;
};

struct rights_book *rights_book_new(struct epoch *epoch, uint64_t seed, struct rights_compiler with)
{
    struct rights_book *book = malloc(sizeof *book);
    struct index       *by_text = index_new(seed);

    if (book == NULL || by_text == NULL) {
        free(book);
        index_free(by_text);
        return NULL;
    }
    *book = (struct rights_book){ epoch, by_text, with };
    return book;
}

void rights_book_free(struct rights_book *book)
{
    if (book == NULL)
        return;
    assert(index_count(book->by_text) == 0);
    index_free(book->by_text);
    free(book);
}

size_t rights_count(const struct rights_book *book)
{
    return index_count(book->by_text);
}

static void copy(uint8_t *to, struct bytes from)
{
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
}

const struct key_rights *rights_take(struct rights_book *book, struct bytes text,
                                     struct bytes principals)
{
    size_t len = text.len + 1 + principals.len;
    struct key_rights *new = calloc(1, sizeof *new + len);

    if (new == NULL)
        abort();
    uint8_t *key = (uint8_t *)(new + 1);
    copy(key, text);
    copy(key + text.len + 1, principals); /* no document has a zero byte: the two cannot blend */
    struct key_rights *rights = (void *)index_find(book->by_text, bytes_of(key, len));
    if (rights == NULL) {
        rights = new;
        rights->node.key = bytes_of(key, len);
        rights->book = book;
        rights->policy = book->with.compile(text, principals);
        index_insert(book->by_text, &rights->node, book->epoch);
    } else {
        free(new);
    }
    rights->users++;
    return rights;
}

void rights_give_back(const struct key_rights *given)
{
    if (given == NULL)
        return;
    struct rights_book *book = given->book;
    /* found anew, since users of a record may only read what it points to */
    struct key_rights *rights = (void *)index_find(book->by_text, given->node.key);

    assert(rights == given && rights->users > 0);
    if (--rights->users > 0)
        return;
    index_remove(book->by_text, &rights->node);
    if (rights->policy != NULL)
        book->with.release(rights->policy);
    free(rights);
}
