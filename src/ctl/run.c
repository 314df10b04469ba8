/* ctl/run.c - the table of commands, and finding the one that is meant. */
#include <string.h>
#include <sysexits.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"

const struct ctl_command ctl_commands[] = {
    { "init", "[--root-key FILE] [--account ID]", "make a data directory and its first account",
      "Makes the data directory (mode 0700): root key, instance file, slot files, database, "
      "audit,\n"
      "and the first account with an access key of its root user. The secret access key is shown\n"
      "once and is nowhere else in clear: write it down. A directory in use is never touched.\n"
      "\n"
      "  --root-key FILE  put the root key there, not into the data directory; it must not exist\n"
      "  --account ID     12 digits; without it, random ones\n"
      "\n"
      "Example:\n"
      "  trent init --data /var/lib/trent --root-key /etc/trent/root.key\n",
      ctl_init },
    { "status", "", "what the server is doing, or what it left behind",
      "Asks the running server through the local socket in its data directory. If it is not "
      "running,\n"
      "shows what the files say; the exit code is then 3.\n",
      ctl_status },
    { "account create", "[--id ID] [--name TEXT] [--organization ID]",
      "make an account, with an access key of its root user",
      "Asks the running server. The secret access key is shown once and is nowhere else in clear:\n"
      "write it down. Users and roles of the account are made with it, by the IAM API.\n"
      "\n"
      "  --id ID            12 digits; without it, random ones\n"
      "  --name TEXT        for people, at most 50 bytes\n"
      "  --organization ID  aws:PrincipalOrgID of all its callers: o- and 10 to 30 of a-z0-9\n"
      "\n"
      "Exit code: 0 made, 1 not, 3 not running.\n",
      ctl_account_create },
    { "account list", "", "the accounts of the server",
      "Asks the running server.\n"
      "\n"
      "Exit code: 0 good, 1 not, 3 not running.\n",
      ctl_account_list },
    { "account update", "--id ID [--name TEXT] [--organization ID]",
      "another name or organization for an account",
      "Asks the running server. What is not named stays as it is; --organization none takes the\n"
      "organization away.\n"
      "\n"
      "Exit code: 0 changed, 1 not, 3 not running.\n",
      ctl_account_update },
    { "account access-key", "--id ID [--replace]", "a new access key of an account's root user",
      "For credentials that were lost. Asks the running server. The secret access key is shown "
      "once\n"
      "and is nowhere else in clear. A root user has at most two access keys.\n"
      "\n"
      "  --replace        all other access keys of the root user are deleted\n"
      "\n"
      "Exit code: 0 made, 1 not, 3 not running.\n",
      ctl_account_access_key },
    { "audit verify",
      "[--dir DIR] [--pubkey FILE] [--witness FILE] [--from N] [--to N] [--allow-tail]",
      "check that nobody has changed the audit log",
      "Reads the audit files only: no server, no secrets. Without --dir, those of the data "
      "directory.\n"
      "\n"
      "  --dir DIR        the folder with the audit files, wherever they have been copied\n"
      "  --pubkey FILE    the audit key to trust; without it, audit.pub beside the files, which\n"
      "                   whoever can change the files can change too\n"
      "  --witness FILE   checkpoint lines saved elsewhere, oldest first: each must be in the "
      "log.\n"
      "                   Without one, nobody can tell a log whose end was cut off at a "
      "checkpoint\n"
      "                   from a shorter log\n"
      "  --from N, --to N only these sequence numbers; files before N may be gone\n"
      "  --allow-tail     the records after the last checkpoint, at most 10,000, need no "
      "signature\n"
      "                   yet: for the log of a running server\n"
      "\n"
      "Exit code: 0 good, 1 tampered (the first bad record and why), 2 incomplete (files are "
      "missing,\n"
      "or records after the last checkpoint are not signed yet), 3 cannot be read.\n",
      ctl_audit_verify },
    { "receipts", "[KEY] [--dir DIR] [--pubkey FILE]", "proofs of erasure",
      "Prints the receipts of a key (id or ARN; of all keys without one) and checks the signature "
      "of\n"
      "each. 'trent audit verify' tells whether they are all there.\n"
      "\n"
      "  --dir DIR        the folder with the audit files; without it, that of the data directory\n"
      "  --pubkey FILE    the audit key to trust; without it, audit.pub beside the files\n"
      "\n"
      "Exit code: 0 all signatures good, 1 one is bad, 2 there are no receipts.\n",
      ctl_receipts },
    { "explain", "REQUEST-ID [--dir DIR]", "why a request was denied",
      "Shows the audit record of a request and, if it was denied, the whole decision: what the "
      "key\n"
      "policy, the identity policies, permissions boundary, session policies and grants said, and\n"
      "which part of each statement did not match. The request id is in the header\n"
      "x-amzn-RequestId of the answer; AWS clients show it with the error.\n"
      "\n"
      "  --dir DIR        the folder with the audit files; without it, that of the data directory\n"
      "\n"
      "Exit code: 0 found, 2 there is no such request in the audit log.\n",
      ctl_explain },
    { "blob inspect", "[FILE | BASE64 | -]", "what a ciphertext blob says about itself",
      "Shows the header of a CiphertextBlob, raw or in base64, from a file, the argument itself, "
      "or\n"
      "standard input. Needs no key and no server, and tells nothing about the plaintext but its "
      "length.\n",
      ctl_blob_inspect },
    { "clock confirm", "", "say that the machine's clock is right",
      "When the machine's clock was set forward, or may have been while trentd was stopped, what "
      "is "
      "due\n"
      "by the new time is refused at once, but erased only after ten minutes of it. This says to "
      "the\n"
      "running server that the time is right, and it goes on within ten seconds. 'trent status' "
      "shows\n"
      "timeCertain.\n"
      "\n"
      "Exit code: 0 confirmed, 1 not (the clock is behind the highest time seen), 3 not running.\n",
      ctl_clock_confirm },
    { "seed check", "FILE", "is this a good seed for trentd --dev --seed FILE?",
      "Reads the file as trentd would, key material included, and makes what it says in memory: "
      "every\n"
      "reference, policy and grant. Tells the line and the place of what is wrong. The form of the "
      "file\n"
      "is in trent-seed(5).\n"
      "\n"
      "Exit code: 0 good, 65 not.\n",
      ctl_seed_check },
    { "seed convert", "FILE [--account ID] [--region NAME]", "a seed file of local-kms as a seed",
      "Reads the YAML (keys, aliases, fixed material) and writes the same as a seed to standard "
      "output,\n"
      "checked as 'trent seed check' does; nothing if anything is wrong. Tells the line and the "
      "place of\n"
      "what is wrong, and what was left out. The output has keys in clear: umask 077 first.\n"
      "\n"
      "  --account ID     the account of the keys; without it 111122223333, as local-kms has it\n"
      "  --region NAME    their Region; without it eu-west-2, as local-kms has it\n"
      "\n"
      "The account gets an access key 'local-kms' with the secret 'local-kms'.\n"
      "\n"
      "Example:\n"
      "  trent seed convert seed.yaml >seed.json\n"
      "\n"
      "Exit code: 0 written, 65 not.\n",
      ctl_seed_convert },
    { "restore accept", "[--forget-imported] [--root-key FILE]",
      "go on without the lost shred keys of imported material",
      "For a data directory that was put back from a backup onto an empty disk. Backups lack\n"
      "erasable.slots, since a copy of it would bring deleted material back; without it trentd "
      "does "
      "not\n"
      "start. This makes an empty one, while trentd is stopped. All imported material of the "
      "directory\n"
      "is then gone: its keys are PendingImport, and the same material has to be imported again.\n"
      "Import tokens are void. Generated keys are as they were.\n"
      "\n"
      "Without --forget-imported it says what it would do, and changes nothing.\n"
      "\n"
      "  --forget-imported  do it\n"
      "  --root-key FILE    the root key, if it is not in the data directory\n"
      "\n"
      "Exit code: 0 done, 1 only said.\n",
      ctl_restore_accept },
};
const size_t ctl_command_count = ARRAY_LEN(ctl_commands);

/* --- help ------------------------------------------------------------------------------------------------ */

static void add_padded(struct buf *out, const char *text, size_t width)
{
    buf_add_str(out, text);
    for (size_t n = strlen(text); n < width; n++)
        buf_add_byte(out, ' ');
}

static int help(struct ctl *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);

    buf_add_str(&text, "usage: trent COMMAND [--data DIR] [--json] [ARGUMENTS]\n"
                       "\n"
                       "Works on a data directory of trentd, or with the server that runs on it.\n"
                       "\n"
                       "commands:\n");
    for (size_t i = 0; i < ctl_command_count; i++) {
        buf_add_str(&text, "  ");
        add_padded(&text, ctl_commands[i].name, 20);
        buf_add_str(&text, ctl_commands[i].summary);
        buf_add_byte(&text, '\n');
    }
    buf_add_str(&text, "\n"
                       "  --data DIR    the data directory (default: trent-data)\n"
                       "  --json        answer in JSON\n"
                       "  --help        this text; after a command, more about it\n"
                       "  --version     the version\n");
    return ctl_print(c, &text, EX_OK);
}

static int command_help(struct ctl *c)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
    const struct ctl_command       *command = c->command;

    buf_addf(&text, "usage: trent %s%s%s\n\n", command->name,
             command->synopsis[0] != '\0' ? " " : "", command->synopsis);
    buf_add_str(&text, command->help);
    buf_add_str(&text, "\nOptions of every command: --data DIR, --json, --help.\n");
    return ctl_print(c, &text, EX_OK);
}

/* --- finding the command -------------------------------------------------------------------------------------- */

/* The command that the words name, and how many of them; NULL if there is none. */
static const struct ctl_command *find_command(const char *const *words, size_t n, size_t *ret_used)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const char *name = ctl_commands[i].name;
        const char *space = strchr(name, ' ');
        size_t      first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
            continue;
        if (space == NULL || (n > 1 && strcmp(words[1], space + 1) == 0)) {
            *ret_used = space == NULL ? 1 : 2;
            return &ctl_commands[i];
        }
    }
    return NULL;
}

/* 'audit' alone is half a command. */
static void refuse_command(struct ctl *c)
{
    const char *word = c->arguments[0];
    size_t      len = strlen(word);

    for (size_t i = 0; i < ctl_command_count; i++) {
        const char *name = ctl_commands[i].name;
        if (strncmp(name, word, len) == 0 && name[len] == ' ') {
            ctl_error(c, "there is no command '%.60s'; is 'trent %s' meant?", word, name);
            return;
        }
    }
    ctl_error(c, "there is no command '%.60s'; 'trent --help' lists them", word);
}

struct globals {
    bool help, version;
};

/* Takes --data, --json, --help and --version out of the arguments, wherever they stand. */
static bool take_globals(struct ctl *c, int argc, char *const *argv, struct globals *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            ret->help = true;
        } else if (strcmp(arg, "--version") == 0) {
            ret->version = true;
        } else if (strcmp(arg, "--json") == 0) {
            c->json = true;
        } else if (strncmp(arg, "--data=", 7) == 0) {
            c->data = arg + 7;
        } else if (strcmp(arg, "--data") == 0) {
            if (++i == argc) {
                ctl_error(c, "--data needs a folder");
                return false;
            }
            c->data = argv[i];
        } else if (c->n_arguments == CTL_ARGUMENTS_MAX) {
            ctl_error(c, "too many arguments");
            return false;
        } else {
            c->arguments[c->n_arguments++] = arg;
        }
    }
    if (c->data[0] == '\0') {
        ctl_error(c, "--data needs a folder");
        return false;
    }
    return true;
}

static int run_command(struct ctl *c, const struct globals *g)
{
    size_t used = 0;

    if (c->n_arguments == 0) {
        ctl_error(c, "which command? 'trent --help' lists them");
        return EX_USAGE;
    }
    c->command = find_command(c->arguments, c->n_arguments, &used);
    if (c->command == NULL) {
        refuse_command(c);
        return EX_USAGE;
    }
    c->n_arguments -= used;
    memmove(c->arguments, c->arguments + used, c->n_arguments * sizeof c->arguments[0]);
    return g->help ? command_help(c) : c->command->run(c);
}

int ctl_main(int argc, char *const *argv, const struct ctl_world *world)
{
    struct ctl     c = { .world = *world, .data = "trent-data" };
    struct globals g = { .help = false };

    if (!take_globals(&c, argc, argv, &g))
        return EX_USAGE;
    if (g.version) {
        CLEANUP(buf_release) struct buf text = BUF_INIT(CTL_OUTPUT_MAX);
        buf_add_str(&text, "trent " TRENT_VERSION "\n");
        return ctl_print(&c, &text, EX_OK);
    }
    if (g.help && c.n_arguments == 0)
        return help(&c);
    return run_command(&c, &g);
}
