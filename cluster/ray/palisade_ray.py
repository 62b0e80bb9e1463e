"""A Palisade cluster on a Ray cluster: a placement group over the nodes, and an actor beside each process that brings it back.

    python cluster/ray/palisade_ray.py start --model DIR --keys DIR --workers 1+2
    python cluster/ray/palisade_ray.py scale +2          the autoscaler adds nodes where they are missing
    python cluster/ray/palisade_ray.py status
    python cluster/ray/palisade_ray.py stop

Run it on a node of the Ray cluster (or with --address). README.md says what must be there first.
"""

import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import ray
from ray.util.placement_group import get_placement_group, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

NAMESPACE = "palisade"
COORDINATOR = "coordinator"
GROUP = "palisade"
LONGEST_PAUSE_SECONDS = 30
HEALTHY_SECONDS = 60


class Failure(Exception):
    """What went wrong, for people."""


@ray.remote(max_restarts=-1, max_task_retries=-1, max_concurrency=4)
class Supervisor:
    """Starts one process of Palisade on its node, and starts it again unless it ended well.

    The process ends with the actor, also when that is killed; Ray then makes the actor anew, on another node if this one is gone.
    """

    def __init__(self, name, command, keys, port=None):
        self.name, self.command, self.port = name, command, port
        self.starts, self.exit_code, self.process, self.stopping = 0, None, None, False
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"palisade-{name}-"))  # 0700
        (self.folder / "keys").mkdir(mode=0o700)
        for file, content in keys.items():
            with open(os.open(self.folder / "keys" / file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as key:
                key.write(content)
        # The kernel ends the process with the thread that started it: so that thread lives as long as it.
        self.thread = threading.Thread(target=self.supervise, daemon=True)
        self.thread.start()

    def supervise(self):
        pause = 0.5
        while not self.stopping:
            began = time.monotonic()
            try:
                self.exit_code = self.run()
            except Exception as error:  # noqa: BLE001 — no coordinator yet, no program on this node: told by the log, tried again
                with open(self.folder / "log", "a") as log:
                    print(f"supervisor: {error!r}", file=log)
            if self.exit_code == 0 or self.stopping:
                return  # drained, or told to end: well done
            pause = 0.5 if time.monotonic() - began > HEALTHY_SECONDS else min(2 * pause, LONGEST_PAUSE_SECONDS)
            time.sleep(pause)

    def run(self):
        words = {"KEYS": str(self.folder / "keys"), "ENDPOINT": self.own_endpoint() if self.port else coordinator_endpoint()}
        command = [word.format(**words) for word in self.command]
        die = ctypes.CDLL(None, use_errno=True).prctl
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=lambda: die(1, signal.SIGTERM))  # PR_SET_PDEATHSIG
        self.starts += 1
        return self.process.wait()

    def own_endpoint(self):
        return f"tcp://{ray.util.get_node_ip_address()}:{self.port}"

    def endpoint(self):
        return self.own_endpoint()

    def state(self):
        running = self.process is not None and self.process.poll() is None
        return {"name": self.name, "pid": self.process.pid if running else None, "starts": self.starts,
                "node": ray.util.get_node_ip_address(), "nodeID": ray.get_runtime_context().get_node_id(),
                "ended": not self.thread.is_alive(), "exitCode": self.exit_code}

    def log(self, lines=20):
        path = self.folder / "log"
        return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []

    def stop(self):
        """Ends the process politely, after ten seconds not, and forgets its keys and its log."""
        self.stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def actor(name):
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def coordinator_endpoint():
    found = actor(COORDINATOR)
    if not found:
        raise Failure("no cluster runs here; `start` makes one")
    return ray.get(found.endpoint.remote(), timeout=600)


def names():
    return sorted(row["name"] for row in ray.util.list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE)


class Launcher:
    def __init__(self, options):
        self.options = options
        self.keys = pathlib.Path(options.keys).resolve()

    def key(self, *files):
        return {file: (self.keys / file).read_bytes() for file in files}

    def palisade(self, *words, check=True):
        done = subprocess.run(
            [self.options.palisade, *words, "--coordinator", coordinator_endpoint(), "--key", str(self.keys / "client.key")],
            capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise Failure(done.stderr.strip() or done.stdout.strip())
        return done

    def put(self, name, command, keys, group, bundle, cpus, port=None):
        place = PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=bundle)
        return Supervisor.options(
            name=name, namespace=NAMESPACE, lifetime="detached", num_cpus=cpus, scheduling_strategy=place,
        ).remote(name, command, keys, port)

    def put_worker(self, number, group, bundle):
        options = self.options
        command = [options.palisade, "worker", "--coordinator", "{ENDPOINT}", "--name", f"worker-{number}",
                   "--threads", str(options.threads), "--key", "{KEYS}/worker.key"]
        return self.put(f"worker-{number}", command, self.key("worker.key"), group, bundle, options.threads)

    @staticmethod
    def ready(group, seconds):
        if not group.wait(seconds):
            remove_placement_group(group)
            raise Failure(f"Ray has no room for {group.bundle_specs} within {seconds} s; add nodes, or let its autoscaler")

    def start(self):
        options = self.options
        if names():
            raise Failure("a cluster runs here already; `stop` ends it")
        vision, shards = (int(part) for part in options.workers.split("+"))
        count = vision + shards
        # Spread: a node each where there are enough. The coordinator beside them takes one core.
        group = placement_group(
            [{"CPU": 1}] + [{"CPU": options.threads}] * count, strategy="SPREAD", name=GROUP, lifetime="detached")
        self.ready(group, options.wait)
        command = [options.palisade, "serve", "--model", options.model, "--workers", options.workers, "--endpoint", "{ENDPOINT}",
                   "--keys", "{KEYS}", *(["--precision", options.precision] if options.precision else [])]
        self.put(COORDINATOR, command, self.key("coordinator.key", "allowed"), group, 0, 1, options.port)
        for number in range(1, count + 1):
            self.put_worker(number, group, number)
        try:
            self.palisade("status", "--wait", str(options.wait))
        except Failure:
            for name in names():
                print(f"{name}:", *ray.get(actor(name).log.remote(3)), sep="\n  ", file=sys.stderr)
            self.stop()
            raise
        print(coordinator_endpoint())

    def scale(self):
        status = json.loads(self.palisade("cluster", "status", "--json", check=False).stdout)
        amount = self.options.amount
        count = int(amount) + (status["wantedWorkers"] if amount[0] in "+-" else 0)
        if count < 1:
            raise Failure(f"{amount} of {status['wantedWorkers']} workers leaves none")
        self.forget_ended()
        present = [name for name in names() if name != COORDINATOR]
        initial = get_placement_group(GROUP).bundle_count - 1
        number = 0
        for _ in range(count - len(present)):
            number = next(n for n in range(number + 1, 100_000) if f"worker-{n}" not in present)
            if number <= initial:
                self.put_worker(number, get_placement_group(GROUP), number)
                continue
            # A bundle that no node has room for makes the autoscaler start one.
            group = placement_group([{"CPU": self.options.threads}], name=f"{GROUP}-{number}", lifetime="detached")
            self.ready(group, self.options.wait)
            self.put_worker(number, group, 0)
        self.palisade("cluster", "scale", str(count), "--wait", str(self.options.wait))
        # What a smaller plan doesn't use goes, and its node may go with it.
        for row in json.loads(self.palisade("cluster", "status", "--json").stdout)["workers"]:
            if len(present) > count and row["state"] == "spare" and row["name"] in present:
                self.palisade("cluster", "drain", row["name"])
        self.forget_ended()
        print(count)

    def forget_ended(self):
        """Gives back the room of workers that ended well."""
        for name in names():
            if name == COORDINATOR:
                continue
            for _ in range(100):
                state = ray.get(actor(name).state.remote())
                if state["pid"] is not None or state["ended"]:
                    break
                time.sleep(0.1)
            if state["ended"] and state["exitCode"] == 0:
                self.remove(name)

    @staticmethod
    def remove(name):
        found = actor(name)
        ray.get(found.stop.remote())
        ray.kill(found)
        try:
            remove_placement_group(get_placement_group(f"{GROUP}-{name.rpartition('-')[2]}"))
        except ValueError:
            pass  # its bundle is one of the first group's

    def status(self):
        done = self.palisade("cluster", "status", *(["--json"] if self.options.json else []), check=False)
        if self.options.json:
            states = ray.get([actor(name).state.remote() for name in names()])
            print(json.dumps({"cluster": json.loads(done.stdout or "null"), "processes": states}))
        else:
            print(done.stdout or done.stderr, end="")
            for name in names():
                state = ray.get(actor(name).state.remote())
                print(f"{name}: pid {state['pid']} on {state['node']}, started {state['starts']} times")
        return done.returncode

    def stop(self):
        # The coordinator first: it tells the workers to end.
        for name in sorted(names(), key=lambda name: name != COORDINATOR):
            self.remove(name)
        try:
            remove_placement_group(get_placement_group(GROUP))
        except ValueError:
            pass


def parsed():
    parser = argparse.ArgumentParser(prog="palisade_ray", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("start", "scale", "status", "stop"):
        command = commands.add_parser(name)
        command.add_argument("--address", default="auto", help="of the Ray cluster (default: the one this node belongs to)")
        command.add_argument("--keys", required=name != "stop", default=".", help="folder of `palisade keys init`; each process gets its own key only")
        command.add_argument("--palisade", default=os.environ.get("PALISADE", "palisade"), help="the program, at the same path on all nodes")
        command.add_argument("--threads", type=int, default=4, help="of a worker: the cores its bundle takes")
        command.add_argument("--wait", type=int, default=300, help="seconds to wait for nodes, and for the cluster to be ready")
        if name == "start":
            command.add_argument("--model", required=True, help="the model's folder, as the nodes see it")
            command.add_argument("--workers", default="1+3", help="vision replicas + decoder shards")
            command.add_argument("--precision")
            command.add_argument("--port", type=int, default=7400, help="of the coordinator")
        elif name == "scale":
            command.add_argument("amount", help="5, +2 or -1")
        elif name == "status":
            command.add_argument("--json", action="store_true")
    # argparse takes -1 for an option: it is none here.
    words = [" " + word if word[:1] == "-" and word[1:].isdigit() else word for word in sys.argv[1:]]
    options = parser.parse_args(words)
    if hasattr(options, "amount"):
        options.amount = options.amount.strip()
    return options


def main():
    options = parsed()
    ray.init(address=options.address, namespace=NAMESPACE, log_to_driver=False, logging_level="warning")
    try:
        return getattr(Launcher(options), options.command)() or 0
    except (Failure, OSError, ray.exceptions.RayError) as error:
        print(f"palisade_ray: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
