"""Libraries that are preloaded into the server, and change what the system tells it."""
import os
import pathlib
import subprocess

from memory import instrumented


def build(name, folder):
    """Compiles NAME.c beside this file into the folder; returns the library."""
    path = folder / (name + ".so")
    source = pathlib.Path(__file__).with_name(name + ".c")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror",
                    "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    return path


def preloaded(library, **more):
    """The environment of a server with this library in it."""
    env = {"LD_PRELOAD": str(library), **{name: str(value) for name, value in more.items()}}
    if instrumented():
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return env
