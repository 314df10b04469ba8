"""What `openssl speed` says on this machine, of the library that the server is linked with."""
import re
import subprocess

import rig

# names in `openssl speed -mr` and which number of a line is what
SPEED = (
    ("F2", "2048", "rsa2048", {"RSA_2048 sign": 3, "RSA_2048 verify": 4}),
    ("F4", "256", "ecdsap256", {"ECC_NIST_P256 sign": 3, "ECC_NIST_P256 verify": 4}),
    ("F5", "256", "ecdhp256", {"ECC_NIST_P256 derive": 3}),
    ("F6", "253", "ed25519", {"ECC_NIST_EDWARDS25519 sign": 4, "ECC_NIST_EDWARDS25519 verify": 5}),
)


def openssl_program():
    """That of the library which the server is linked with."""
    program = rig.TOP / "build" / "deps" / "bin" / "openssl"
    return str(program) if program.exists() else "openssl"


def openssl_times(seconds=1, only=None, processes=1):
    """µs of CPU per operation, by name; `only` of one name of SPEED. So many processes measure at the same time: what
    a core does in a second may depend on whether its neighbour has work."""
    program = openssl_program()
    wanted_speeds = [entry for entry in SPEED if only in (None, entry[2])]

    def speed(*names):
        multi = ["-multi", str(processes)] if processes > 1 else []
        return subprocess.run([program, "speed", "-seconds", str(seconds), "-mr", *multi, *names], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    times = {}
    text = speed(*(name for _, _, name, _ in wanted_speeds))
    for tag, size, _, wanted in wanted_speeds:
        fields = re.search(r"^\+%s:\d+:%s:.*$" % (tag, size), text, re.M).group(0).split(":")
        for name, at in wanted.items():
            times[name] = 1e6 * processes / float(fields[at])
    if only is not None:
        return times
    # the line of a signature algorithm: keys, signatures and verifications a second, the last line
    fields = speed("ML-DSA-65").strip().split("\n")[-1].split(":")
    times["ML_DSA_65 sign"], times["ML_DSA_65 verify"] = (1e6 / float(f) for f in fields[-2:])
    return times
