/* tests/unit/ctl/tool.c - see tool.h. */
#include "tool.h"
#include "folder.h"

#include <sys/stat.h>

#include "base/secret.h"
#include "crypto/crypto.h"

enum kms_status tool_prepare(struct kms_error *reterr)
{
    static bool ready;

    if (ready)
        return KMS_OK;
    ready = true;
    TRY(secret_memory_init(true, reterr));
    return crypto_init(reterr);
}

int tool_setup(void **state)
{
    char *folder = strdup("/tmp/trent-ctl-XXXXXX");

    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

int tool_teardown(void **state)
{
    int failed = folder_remove(*state);

    free(*state);
    return failed;
}

/* The words of `args` with the folder put in, in one block that *ret_block holds. */
static int split(const char *folder, const char *args, char *argv[32], char **ret_block)
{
    struct buf text = BUF_INIT(1 << 20);
    int        argc = 1;

    for (const char *p = args; *p != '\0'; p++) {
        if (*p == '%')
            buf_add_str(&text, folder);
        else
            buf_add_byte(&text, *p == ' ' ? 0 : (uint8_t)*p);
    }
    buf_add_byte(&text, 0);
    assert_true(buf_ok(&text));
    argv[0] = NULL;
    for (size_t at = 0; at < text.len && args[0] != '\0'; at += strlen((char *)text.ptr + at) + 1) {
        assert_true(argc < 32);
        argv[argc++] = (char *)text.ptr + at;
    }
    *ret_block = (char *)text.ptr;
    return argc;
}

struct tool_run tool(const char *folder, const char *args, const char *in)
{
    static char     empty[1] = "";
    struct tool_run run = { .code = -1 };
    char           *argv[32];
    char           *block = NULL;
    int             argc = split(folder, args, argv, &block);
    char           *input = in != NULL && in[0] != '\0' ? strdup(in) : NULL;
    FILE *in_file = input != NULL ? fmemopen(input, strlen(input), "r") : fopen("/dev/null", "r");
    FILE *out = open_memstream(&run.out, &run.out_len);
    FILE *err = open_memstream(&run.err, &run.err_len);

    assert_true(in_file != NULL && out != NULL && err != NULL);
    argv[0] = empty;
    const struct ctl_world world = {
        .in = in_file, .out = out, .err = err, .prepare = tool_prepare
    };
    run.code = ctl_main(argc, argv, &world);
    (void)fclose(in_file);
    (void)fclose(out);
    (void)fclose(err);
    free(input);
    free(block);
    return run;
}

void tool_free(struct tool_run *run)
{
    free(run->out);
    free(run->err);
}
