/* Replays a fuzz target's corpus without a fuzzer: every file of the folders (or the files)
 * named on the command line goes through the target once. A target that finds something wrong
 * ends the process; a folder that is missing or empty is an error, since nothing was tested. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path, size_t size)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *data;

    if (!file)
        fail("cannot open", path);
    /* Exactly as long as the input, so that a sanitizer sees each byte read past its end. */
    data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size)
        fail("cannot read", path);
    fclose(file);

    fprintf(stderr, "replay: %s\n", path); /* the last one named is the one that crashed */
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
}

static void replay(const char *path)
{
    struct dirent **entries;
    struct stat     st;
    int             count;

    if (stat(path, &st) != 0)
        fail("cannot find", path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }

    count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        fail("cannot list", path);
    for (int i = 0; i < count; i++) {
        char *child;

        if (entries[i]->d_name[0] != '.') {
            if (asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0)
                fail("no memory for", path);
            replay(child);
            free(child);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (replayed == 0) {
        fprintf(stderr, "replay: no input\n");
        return 1;
    }
    printf("%zu inputs replayed\n", replayed);
    return 0;
}
