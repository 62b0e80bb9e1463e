"""What the checks of launchers share: the program, the demo model, and processes that are ended by the ids they were started with."""

import os
import pathlib
import random
import shutil
import signal
import string
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PALISADE = os.environ.get("PALISADE") or str(ROOT / ".build/debug/palisade")
MODEL = str(ROOT / "cluster/demo/model")
BATCH = str(ROOT / "cluster/demo/batch.jsonl")


class Skipped(Exception):
    """Why something can't be tested on this machine."""


def need(*programs):
    """Paths of programs that tests start; what is missing is a reason to skip."""
    search = os.environ["PATH"] + ":/usr/sbin:/sbin"
    found = [shutil.which(program, path=search) for program in programs]
    missing = [program for program, path in zip(programs, found) if not path]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)} (scripts/install-test-packages)")
    return found


def run(*words, check=True, timeout=300, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(what, reached, seconds=120):
    """Looks until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = reached()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Workplace:
    """A folder of its own, and processes that end with it."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="palisade-launch-"))
        self.processes = []
        self.before, self.last = [], []  # what to do before and after the processes end

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for action in reversed(self.before):
            action()
        for process in reversed(self.processes):
            end(process)
        for action in reversed(self.last):
            action()
        if kind is None or kind is Skipped:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            for log in sorted([*self.path.glob("*.log"), *self.path.glob("out/*.log")]):
                lines = log.read_text(errors="replace").splitlines()[-15:]
                print(f"--- {log}", *lines, sep="\n    ")

    def start(self, name, *words, **options):
        """Starts a process; what it says goes to NAME.log."""
        with open(self.path / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.processes.append(process)
        return process

    def text(self, name):
        return (self.path / name).read_text(errors="replace")


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def batch_alone(folder, batch=BATCH):
    """The answers of one process: what every cluster has to give, byte for byte."""
    output = pathlib.Path(folder) / "alone.jsonl"
    run(PALISADE, "batch", batch, "--output", output, "--ordered", "--model", MODEL)
    return output.read_bytes()


def long_batch(folder, count):
    """A batch that takes some seconds."""
    path = pathlib.Path(folder) / "long.jsonl"
    image = ROOT / "cluster/demo/images/shapes-02.png"
    line = '{{"custom_id": "r{}", "image": "{}", "prompt": "caption en"}}\n'
    path.write_text("".join(line.format(index, image) for index in range(count)))
    return path


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Namespaces:
    """Hosts of this test's own, 10.77.0.1 and on (scripts/netns)."""

    def __init__(self, place, count):
        if os.geteuid() != 0:
            raise Skipped("network namespaces need root")
        (self.ip,) = need("ip")
        self.prefix = "s" + "".join(random.choices(string.ascii_lowercase + string.digits, k=6))
        made = run(ROOT / "scripts/netns", "up", self.prefix, count, check=False)
        place.last.append(lambda: run(ROOT / "scripts/netns", "down", self.prefix, check=False))
        if made.returncode != 0:
            raise Skipped(f"no network namespaces here: {made.stderr.strip()}")

    def inside(self, number):
        return [self.ip, "netns", "exec", f"{self.prefix}-{number}"]
