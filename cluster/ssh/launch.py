"""Starts, scales, shows and stops a cluster over hosts that ssh reaches; scripts/launch-ssh calls it, README.md documents it."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import hostfile
import hosts as remote

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Cluster:
    def __init__(self, arguments):
        self.arguments = arguments
        self.file = hostfile.HostFile(arguments.hostfile)
        self.hosts = remote.Hosts(self.file, arguments.ssh)
        # What `start` was told, for the commands after it.
        self.state = pathlib.Path(arguments.state or ROOT / ".palisade" / f"ssh-{self.file.path.stem}.json")
        self.said = json.loads(self.state.read_text()) if self.state.exists() else {}
        self.program = os.environ.get("PALISADE") or str(ROOT / ".build/release/palisade")

    # What runs here

    def palisade(self, *words, check=True):
        program = self.program if os.access(self.program, os.X_OK) else shutil.which("palisade")
        if not program:
            raise remote.HostError(f"{self.program} is not built; run swift build -c release")
        link = ["--key", f"{self.said['keys']}/client.key"] if self.said.get("keys") else ["--insecure"] * self.said.get("insecure", False)
        done = subprocess.run([program, *words, "--coordinator", self.file.endpoint, *link], capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise remote.HostError(done.stderr.strip() or done.stdout.strip())
        return done

    def status(self):
        return json.loads(self.palisade("cluster", "status", "--json", check=False).stdout or '{"workers": []}')

    # What runs there

    def link(self, host, role):
        """Carries a host's own key to it, and nobody else's; how to say so to `palisade`."""
        keys = self.said.get("keys")
        if not keys:
            return ["--insecure"] if self.said.get("insecure") else []
        keys = pathlib.Path(keys)
        if role == "coordinator":
            # The one who lets others in needs the list of their public keys beside its own.
            self.hosts.put(host, keys / "allowed", "allowed")
            self.hosts.put(host, keys / "coordinator.key", "coordinator.key")
            return ["--keys", "keys"]
        name = host.options.get("key") or (host.name if (keys / f"{host.name}.key").exists() else "worker")
        return ["--key", self.hosts.put(host, keys / f"{name}.key", "own.key")]

    def start_coordinator(self):
        host = self.file.coordinator
        model = host.options.get("model", self.said["model"])
        words = ["serve", "--model", model, "--workers", self.said["workers"], "--endpoint", self.file.endpoint]
        if self.said.get("precision"):
            words += ["--precision", self.said["precision"]]
        if "http" in host.options:
            words += ["--http", host.options["http"]]
        self.hosts.remote(host, "start", "coordinator", self.hosts.palisade(host), *words, *self.link(host, "coordinator"))

    def start_workers(self, names):
        def start(host):
            link = self.link(host, "worker")
            for name in [name for name in host.workers() if name in names]:
                words = ["worker", "--coordinator", self.file.endpoint, "--name", name]
                for option in ("threads", "model"):
                    if option in host.options:
                        words += [f"--{option}", host.options[option]]
                self.hosts.remote(host, "start", name, self.hosts.palisade(host), *words, *link)

        self.hosts.each([host for host in self.file.hosts if set(host.workers()) & set(names)], start)

    # The commands

    def start(self):
        if any("running" in rows.values() for rows in self.hosts.each(self.file.hosts, self.hosts.listing)):
            raise remote.HostError("the cluster runs already; `launch-ssh stop` ends it")
        names = self.file.workers("worker")
        options = self.arguments
        self.said = {
            "model": options.model, "precision": options.precision, "insecure": options.insecure,
            "keys": str(pathlib.Path(options.keys).resolve()) if options.keys else None,
            "workers": options.workers or f"1+{len(names) - 1}",
        }
        if len(names) < 2 and not options.workers:
            raise remote.HostError("the host file has fewer than two slots for workers")
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.state.write_text(json.dumps(self.said))
        try:
            self.start_coordinator()
            self.start_workers(names)
            print(self.palisade("status", "--wait", str(options.wait)).stdout, file=sys.stderr, end="")
        except remote.HostError:
            self.tails()
            self.stop()
            raise
        print(self.file.endpoint)

    def tails(self):
        for host in self.file.hosts:
            try:
                for name in self.hosts.remote(host, "logs").splitlines():
                    lines = self.hosts.remote(host, "log", name).splitlines()[-3:]
                    print(f"{host.name}: {name}:", *lines, sep="\n  ", file=sys.stderr)
            except remote.HostError as error:
                print(error, file=sys.stderr)

    def scale(self):
        amount, status = self.arguments.amount, self.status()
        working = [row["name"] for row in status["workers"] if row["state"] == "working"]
        try:
            count = int(amount) + (len(working) if amount[0] in "+-" else 0)
        except ValueError:
            raise remote.HostError(f"'{amount}' is no number of workers: 5, +2 or -1") from None
        present = [row["name"] for row in status["workers"] if row["state"] in ("working", "spare")]
        slots = self.file.workers("worker", "spare")
        free = [name for name in slots if name not in present]
        missing = max(0, count - len(present))
        if count < 1 or missing > len(free):
            raise remote.HostError(f"{count} workers: the host file has slots for {len(slots)}, {len(free)} of them are free")
        new = free[:missing]
        for name in new:
            self.hosts.remote(self.file.host_of(name), "forget", name)
        self.start_workers(new)
        # Those that were started come in a moment; then the plan is made over all of them.
        self.palisade("cluster", "scale", str(count), "--wait", str(self.arguments.wait))
        for row in self.status()["workers"]:
            # What a smaller plan doesn't use is let go; a worker that somebody else started is not ours to end.
            if row["state"] == "spare" and count < len(working) and row["name"] in slots:
                self.palisade("cluster", "drain", row["name"])
        print(count)

    def show(self):
        done = self.palisade("cluster", "status", check=False)
        print(done.stdout or done.stderr, end="")
        for host, rows in zip(self.file.hosts, self.hosts.each(self.file.hosts, self.hosts.listing)):
            print(f"{host.name}: " + (", ".join(f"{name} {state}" for name, state in rows.items()) or "nothing was started"))
        return done.returncode

    def logs(self):
        counts = self.hosts.each(self.file.hosts, lambda host: self.hosts.logs(host, self.arguments.folder))
        print(f"{sum(counts)} logs in {self.arguments.folder}")

    def stop(self):
        # Workers first told by their coordinator, so that they end by themselves; then what is left.
        self.hosts.remote(self.file.coordinator, "stop")
        self.hosts.each(self.file.hosts, lambda host: self.hosts.remote(host, "stop"))
        self.state.unlink(missing_ok=True)


def parsed():
    parser = argparse.ArgumentParser(prog="launch-ssh", description=__doc__)
    parser.add_argument("--ssh", default=os.environ.get("PALISADE_SSH", "ssh"), help="the ssh command, with options (default: ssh)")
    parser.add_argument("--state", help="file that remembers what `start` was told (default: .palisade/ssh-HOSTFILE.json)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("start", "start a cluster"), ("scale", "use N workers, +K more or -K fewer"),
                       ("status", "show it"), ("logs", "copy all logs to a folder"), ("stop", "end it")):
        command = commands.add_parser(name, help=text)
        command.add_argument("hostfile")
        command.add_argument("--wait", type=int, default=180, help="seconds to wait until the cluster is ready")
        if name == "start":
            command.add_argument("--model", required=True, help="the model's folder, as the hosts see it")
            command.add_argument("--keys", help="the cluster's folder of keys on this machine; each host gets its own key only")
            command.add_argument("--insecure", action="store_true", help="without keys: whoever reaches the hosts may join")
            command.add_argument("--precision", help="of the arithmetic")
            command.add_argument("--workers", help="vision replicas + decoder shards (default: 1 and the other slots)")
        elif name == "scale":
            command.add_argument("amount")
        elif name == "logs":
            command.add_argument("folder")
    # argparse takes -1 for an option: it is none here.
    words = [" " + word if word[:1] == "-" and word[1:].isdigit() else word for word in sys.argv[1:]]
    arguments = parser.parse_args(words)
    if hasattr(arguments, "amount"):
        arguments.amount = arguments.amount.strip()
    return arguments


def main():
    try:
        arguments = parsed()
        cluster = Cluster(arguments)
        verb = {"status": cluster.show}.get(arguments.command) or getattr(cluster, arguments.command)
        return verb() or 0
    except (remote.HostError, hostfile.HostFileError) as error:
        print(f"launch-ssh: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
