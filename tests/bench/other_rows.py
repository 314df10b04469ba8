"""Other servers that speak the same protocol, as far as they are on this machine, under the same load."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

import harness
import rig
import traffic

# name: (program, arguments, environment, what to know); %d is the port
SERVERS = {
    "moto_server": ("moto_server", ["-H", "127.0.0.1", "-p", "%d"], {}, "signatures and rights are not checked"),
    "local-kms": ("local-kms", [], {"PORT": "%d"}, "signatures and rights are not checked"),
}


def find(program):
    ours = rig.TOP / "build" / "bench-venv" / "bin" / program
    return str(ours) if ours.exists() else shutil.which(program)


class Other:
    """One of them, started."""

    def __init__(self, name, folder):
        program, arguments, env, _ = SERVERS[name]
        self.port = rig.free_port()
        put = [text % self.port if "%d" in text else text for text in arguments]
        env = {**os.environ, **{key: value % self.port if "%d" in value else value for key, value in env.items()}}
        self.log = open(pathlib.Path(folder) / (name + ".log"), "wb")
        self.process = subprocess.Popen([find(program), *put], env=env, cwd=folder, stdout=self.log, stderr=self.log)

    def __enter__(self):
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise rig.Failed("it does not start: see %s" % self.log.name)

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def client(self):
        import boto3
        return boto3.client("kms", endpoint_url="http://127.0.0.1:%d" % self.port, region_name=traffic.REGION,
                            aws_access_key_id="test", aws_secret_access_key="test")


def others(bench):
    """Encrypt 32 B, 64 connections."""
    for name, (program, _, _, note) in SERVERS.items():
        if find(program) is None:
            bench.log("%s is not installed" % name)
            continue
        with Other(name, bench.folder) as other:
            key = other.client().create_key()["KeyMetadata"]["KeyId"]
            operation, signer = traffic.encrypt(key), traffic.Signer(other.port)
            samples = harness.Samples(
                rig.load(other.process.pid, other.port, operation.requests(signer), cpu=rig.cpu_seconds_ever,
                         seconds=max(1, bench.options.seconds))
                for _ in range(min(2, bench.options.rounds)))
        bench.row("%s, Encrypt 32 B" % name, samples, note=note)
