"""Doing things on hosts over ssh. Secrets go through standard input, never through a command line."""

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess

REMOTE = pathlib.Path(__file__).with_name("remote.sh").read_text(encoding="utf-8")
LOG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.log")
TIMEOUT_SECONDS = 60
PARALLEL = 16  # ssh connections at once; sshd's MaxStartups begins to refuse at 10 for one host, and these are different ones


class HostError(Exception):
    """What a host said when something went wrong."""


class Hosts:
    def __init__(self, file, ssh):
        self.file = file
        self.ssh = shlex.split(ssh)

    def run(self, host, command, stdin=b""):
        """Runs a command, a list of words, on a host; its output."""
        port = ["-p", host.options["ssh-port"]] if "ssh-port" in host.options else []
        words = [*self.ssh, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *port, host.target, "--", shlex.join(command)]
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise HostError(f"{host.name}: no end within {TIMEOUT_SECONDS} s") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise HostError(f"{host.name}: {said}")
        return done.stdout.decode(errors="replace")

    def remote(self, host, verb, *words):
        return self.run(host, ["sh", "-s", verb, self.folder(host), *words], REMOTE.encode())

    def folder(self, host):
        return host.options.get("dir", f".palisade/ssh-{self.file.path.stem}")

    def put(self, host, source, name):
        """Copies one file of keys into the host's keys folder, for its owner only; its path as processes there see it."""
        keys = f"{self.folder(host)}/keys"
        script = 'umask 077; mkdir -p "$1" && chmod 700 "$1" && cat > "$1/$2.new" && mv "$1/$2.new" "$1/$2"'
        self.run(host, ["sh", "-c", script, "sh", keys, name], pathlib.Path(source).read_bytes())
        return f"keys/{name}"

    def palisade(self, host):
        return host.options.get("palisade") or os.environ.get("PALISADE_REMOTE") or "palisade"

    def each(self, hosts, action):
        """Does something on several hosts at once.

        Returns what came of each, in order; raises after all have ended, with everything that went wrong.
        """
        with concurrent.futures.ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            futures = [pool.submit(action, host) for host in hosts]
        errors = [str(future.exception()) for future in futures if future.exception()]
        if errors:
            raise HostError("\n".join(errors))
        return [future.result() for future in futures]

    def listing(self, host):
        """Name and state of each process that was started on a host."""
        rows = [line.split() for line in self.remote(host, "list").splitlines()]
        return {row[0]: row[1] for row in rows if len(row) >= 2}

    def logs(self, host, folder):
        """Copies a host's logs into a folder of its name."""
        place = pathlib.Path(folder) / host.name
        place.mkdir(parents=True, exist_ok=True)
        names = [name for name in self.remote(host, "logs").splitlines() if LOG_NAME.fullmatch(name)]
        for name in names:
            (place / name).write_text(self.remote(host, "log", name), encoding="utf-8")
        return len(names)
