/* store/sqlite/page.c - what a page does not use is zero in the database file.
 *
 * secure_delete zeroes deleted rows where they lie. But when SQLite rebuilds a b-tree page to
 * balance the tree, rows are copied to a new place and the old bytes stay behind, between the
 * page's cell pointers and its cells; nothing wipes them when the row is deleted later. (Seen in
 * about one deletion of a thousand.) So that gap is zeroed whenever a page goes to the database
 * file, which in WAL mode is during a checkpoint. SQLite never reads it, and pages in the file
 * carry no checksum. Together with a truncating checkpoint, which empties the WAL, deleted bytes
 * are then in neither file.
 *
 * I1  A page is only touched if it is a b-tree page. Overflow and free-list pages begin with the
 *     number of another page; as long as there are less than 2^25 its first byte is 0 or 1, which
 *     is no b-tree type. Pointer map pages exist only with auto_vacuum. open.c sets max_page_count
 *     and refuses auto_vacuum.
 */
#include "store/sqlite/internal.h"

enum {
    PAGE_INDEX_INTERIOR = 2,
    PAGE_TABLE_INTERIOR = 5,
    PAGE_INDEX_LEAF = 10,
    PAGE_TABLE_LEAF = 13,
    FILE_HEADER = 100, /* in front of the first page's own header */
};

static size_t be16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* SQLite's file format, section 1.6: type, first freeblock, number of cells, start of cells. */
void page_wipe_gap(uint8_t page[PAGE_BYTES], sqlite3_int64 at)
{
    size_t   head = at == 0 ? FILE_HEADER : 0;
    unsigned type = page[head];
    bool     leaf = type == PAGE_INDEX_LEAF || type == PAGE_TABLE_LEAF;

    if (!leaf && type != PAGE_INDEX_INTERIOR && type != PAGE_TABLE_INTERIOR)
        return;
    size_t cells = be16(page + head + 3);
    size_t content = be16(page + head + 5);
    size_t pointers = head + (leaf ? 8 : 12);
    size_t gap = pointers + 2 * cells;
    if (gap > content || content > PAGE_BYTES)
        return; /* not as SQLite writes it: it is not ours to mend */
    for (size_t i = 0; i < cells; i++) {
        if (be16(page + pointers + 2 * i) < content)
            return;
    }
    memset(page + gap, 0, content - gap);
}

static int wiping_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
    const struct page_wiper *w = (const struct page_wiper *)file->pMethods;

    if (len != PAGE_BYTES || at % PAGE_BYTES != 0)
        return w->real->xWrite(file, from, len, at);
    memcpy(w->page, from, PAGE_BYTES); /* SQLite's own copy stays as it is */
    page_wipe_gap(w->page, at);
    return w->real->xWrite(file, w->page, len, at);
}

enum kms_status page_wiper_install(struct sqlite_store *s, struct kms_error *reterr)
{
    sqlite3_file *file = NULL;
    int           rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc != SQLITE_OK || file == NULL || file->pMethods == NULL)
        return database_fail(s->db, s->path, rc, "open", reterr);
    s->wiper = (struct page_wiper){
        .methods = *file->pMethods,
        .real = file->pMethods,
        .page = s->page,
    };
    s->wiper.methods.xWrite = wiping_write;
    file->pMethods = &s->wiper.methods;
    return KMS_OK;
}
