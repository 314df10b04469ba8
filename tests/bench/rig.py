"""What measuring needs: the load generator, nginx to compare with, and how much CPU and memory processes take."""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
OUT = TOP / "build" / "bench"
LOAD = OUT / "load"
TICK = os.sysconf("SC_CLK_TCK")

# The limits of connections and rates are counted as always, and never reached.
UNLIMITED = ["--max-connections=40000", "--max-unauthenticated-per-address=40000", "--max-connections-per-address=40000",
             "--rate-principal=10000000", "--rate-account=10000000", "--rate-failures=10000000", "--log-level=warning"]


class Failed(Exception):
    """What was measured is worth nothing."""


class NoAnswer(Failed):
    """Nothing came in the time of a round."""


# --- the load generator ---------------------------------------------------------------------------------


def compile_c(name, sources, *libraries):
    """build/bench/NAME from these sources of tests/bench, when it is missing or older."""
    program = OUT / name
    sources = [TOP / "tests" / "bench" / source for source in sources]
    missing = [source.name for source in sources if not source.exists()]
    if missing:
        raise Failed("there is no tests/bench/%s" % missing[0])
    newest = max(source.stat().st_mtime for source in sources)
    if program.exists() and program.stat().st_mtime > newest:
        return program
    OUT.mkdir(parents=True, exist_ok=True)
    deps = TOP / "build" / "deps" / "lib"
    env = {**os.environ, "PKG_CONFIG_PATH": str(deps / "pkgconfig")} if deps.exists() else None
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *libraries], check=True, env=env,
                           stdout=subprocess.PIPE, text=True).stdout.split() if libraries else []
    rpath = ["-Wl,-rpath,%s" % deps] if deps.exists() else []
    new = OUT / ("%s.%d" % (name, os.getpid()))  # another one may be compiling it, too
    subprocess.run(["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-pthread", "-o", str(new),
                    *[str(source) for source in sources if source.suffix == ".c"], *flags, *rpath], check=True)
    os.replace(new, program)
    return program


def build_load():
    names = ["load.c", "load.h", "load_connection.c", "load_histogram.c", "load_histogram.h", "load_thread.c"]
    return compile_c("load", names, "openssl")


def write_pool(file, requests):
    for request in requests:
        file.write(struct.pack(">I", len(request)) + request)
    file.flush()


def arguments_of(port, path, **options):
    """The command line of load: keyword arguments are its options, True for those without a value."""
    command = [str(LOAD)]
    for name, value in options.items():
        if value is True:
            command.append("--" + name.replace("_", "-"))
        elif value:
            command += ["--" + name.replace("_", "-"), str(value)]
    return command + ["127.0.0.1", str(port), str(path)]


class Load:
    """A load generator that runs; `figures` waits for it."""

    def __init__(self, port, requests, **options):
        self.file = tempfile.NamedTemporaryFile()
        self.measured = b""
        write_pool(self.file, requests)
        self.process = subprocess.Popen(arguments_of(port, self.file.name, **options), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def running(self):
        return self.process.poll() is None

    def connected(self):
        """With wait=True: all its connections are there, and it has not begun."""
        if self.process.stdout.readline() != b"ready\n":
            raise Failed("the load generator could not connect")

    def go(self):
        """With wait=True: it begins, and has measured, but has not closed its connections."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.measured = self.process.stdout.readline()

    def figures(self, errors_allowed=False):
        out = self.measured + self.process.communicate()[0]
        self.file.close()
        if self.process.returncode != 0:
            raise Failed("the load generator ended with status %d" % self.process.returncode)
        figures = json.loads(out)
        if figures["errors"] and not errors_allowed:
            raise Failed("%d of %d answers were wrong or missing" % (figures["errors"], figures["requests"]))
        figures["rate"] = figures["requests"] / figures["seconds"]
        return figures


def load(pid, port, requests, cpu=None, cores=None, **options):
    """Figures of a load, with the CPU that the server took for a request once the connections were there. `cores`:
    those that the load generator may use and those that the server may use; the scheduler's choice without it."""
    cpu = cpu or cpu_seconds
    generator = Load(port, requests, wait=True, **options)
    generator.connected()
    if cores is not None:
        run_on(generator.process.pid, cores[0])
        run_on(pid, cores[1])
    before = cpu(pid)
    generator.go()
    taken = cpu(pid) - before
    figures = generator.figures()
    if not figures["requests"]:
        raise NoAnswer("not one answer in %g seconds" % figures["seconds"])
    figures["cpu_us"] = taken / figures["requests"] * 1e6
    return figures


# --- processes --------------------------------------------------------------------------------------------


def family(pid):
    """A process and those it has started."""
    found = [pid]
    for task in pathlib.Path("/proc/%d/task" % pid).glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def run_on(pid, cores):
    """Puts a process and its children, with all their threads, on these cores."""
    for one in family(pid):
        for thread in pathlib.Path("/proc/%d/task" % one).iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def cpu_seconds(pid):
    """User and system time of a process and its children: of the threads they have, to the nanosecond."""
    total = 0.0
    for one in family(pid):
        threads = list(pathlib.Path("/proc/%d/task" % one).glob("*/schedstat"))
        if not threads:  # a kernel that does not count them
            return cpu_seconds_ever(pid)
        total += sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    return total


def cpu_seconds_ever(pid):
    """The same with that of threads which have ended, to a hundredth of a second."""
    total = 0
    for one in family(pid):
        fields = pathlib.Path("/proc/%d/stat" % one).read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_mb(pid):
    """Resident memory."""
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(folder):
    """Paths of a self-signed ECDSA P-256 certificate and its key."""
    cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)], check=True,
                   stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    return cert, key


# --- nginx ------------------------------------------------------------------------------------------------

NGINX = """
worker_processes %(workers)s; daemon off; pid %(folder)s/nginx.pid; error_log %(folder)s/error.log;
worker_rlimit_nofile 65536;
events { worker_connections 20000; }
http {
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi; uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    server { listen 127.0.0.1:%(port)d reuseport; location / { return 200 "ok\\n"; } }
    %(tls)s
}
"""
NGINX_TLS = """
    server {
        listen 127.0.0.1:%(port)d ssl reuseport; ssl_certificate %(cert)s; ssl_certificate_key %(key)s;
        ssl_protocols TLSv1.3; ssl_session_tickets off; location / { return 200 "ok\\n"; }
    }
"""


def nginx_program():
    unpacked = OUT / "nginx" / "usr" / "sbin" / "nginx"
    return str(unpacked) if unpacked.exists() else shutil.which("nginx")


class Nginx:
    """nginx with `return 200`, keep-alive, one worker per core; with a certificate over TLS 1.3 as well."""

    def __init__(self, folder, cert=None, key=None, workers="auto"):
        if nginx_program() is None:
            raise Failed("nginx is missing: scripts/setup bench")
        self.folder = pathlib.Path(folder) / ("nginx-%s" % workers)
        self.folder.mkdir(exist_ok=True)
        self.port, self.tls_port = free_port(), None
        tls = ""
        if cert:
            self.tls_port = free_port()
            tls = NGINX_TLS % {"port": self.tls_port, "cert": cert, "key": key}
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX % {"workers": workers, "folder": self.folder, "port": self.port, "tls": tls})
        self.process = subprocess.Popen([nginx_program(), "-p", str(self.folder), "-c", str(conf)],
                                        stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self):
        for _ in range(100):
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
        raise Failed("nginx does not start: see %s" % (self.folder / "error.log"))

    @property
    def pid(self):
        return self.process.pid

    @staticmethod
    def requests():
        return [b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
