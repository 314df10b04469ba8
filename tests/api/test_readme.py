"""The README's section on administration, run as it stands there: pasted into a shell, against a fresh server."""
import pathlib
import re
import subprocess

import pytest

from trent_server import TOP, TRENT

pytestmark = pytest.mark.programs
HEADING = "## Administer it with the tools you have"
# what each refusal of the tour is, in its order: who, operation, and why
REFUSALS = [
    ("AccessDenied", "CreateUser", "because no identity-based policy allows the iam:CreateUser action"),
    ("AccessDeniedException", "Encrypt", "because no identity-based policy allows the kms:Encrypt action"),
    ("AccessDeniedException", "Decrypt", "because no identity-based policy allows the kms:Decrypt action"),
    ("AccessDeniedException", "Decrypt", "because no identity-based policy allows the kms:Decrypt action"),
    ("AccessDenied", "AssumeRole", "is not authorized to perform: sts:AssumeRole on resource"),
    ("AccessDeniedException", "Decrypt", "because no identity-based policy allows the kms:Decrypt action"),
    ("AccessDeniedException", "Decrypt", "because no identity-based policy allows the kms:Decrypt action"),
    ("AccessDeniedException", "Decrypt", "because no identity-based policy allows the kms:Decrypt action"),
]


def section():
    text = (TOP / "README.md").read_text().split(HEADING, 1)[1]
    return re.search(r"```sh\n(.*?)```", text, re.S).group(1)


def test_the_tour_of_administration(new_server, tmp_path):
    server = new_server()
    script = section()
    assert script.count("http://127.0.0.1:8080") == 1
    # the folder that the reader is in: the program, and the data of the server
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "trent").symlink_to(pathlib.Path(TRENT).resolve())
    (tmp_path / "trent-data").symlink_to(server.data)
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + script.replace("http://127.0.0.1:8080", server.url)],
                          cwd=tmp_path, env={**server.env, "HOME": str(tmp_path)}, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    errors = re.findall(r"An error occurred \((\w+)\) when calling the (\w+) operation: (.*)", done.stderr)
    assert [(code, operation) for code, operation, _ in errors] == [r[:2] for r in REFUSALS], done.stderr
    for (_, _, message), (_, _, why) in zip(errors, REFUSALS):
        assert why in message
    assert done.stdout.count("as it should be") == len(REFUSALS)
    assert done.stdout.splitlines().count("order 42: two pianos") == 2
    assert not (tmp_path / "admin").exists()
