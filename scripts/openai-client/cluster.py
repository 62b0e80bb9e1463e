"""A cluster of processes with an HTTP service, for check.py; ended by the process ids it started."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

KEY = "sk-palisade-test-0123456789"


class Cluster:
    def __init__(self, palisade, demo, *options):
        self.options = options
        self.palisade = palisade
        self.model = str(pathlib.Path(demo) / "model")
        self.folder = tempfile.TemporaryDirectory(prefix="palisade-openai-")
        self.path = pathlib.Path(self.folder.name)
        self.processes = []
        keys = self.path / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"# for a test\n{KEY}\n")
        self.start()

    def start(self):
        for name in ("endpoint", "url"):
            (self.path / name).unlink(missing_ok=True)
        self.coordinator = self.run(
            "serve", "--model", self.model, "--workers", "1+2",
            "--endpoint", "tcp://127.0.0.1:*", "--endpoint-file", str(self.path / "endpoint"),
            "--http", "127.0.0.1:0", "--http-file", str(self.path / "url"),
            "--api-key-file", str(self.path / "keys"),
            "--files-directory", str(self.path / "files"), *self.options)
        endpoint = self.wait_for("endpoint")
        self.url = self.wait_for("url")
        for index in range(3):
            self.run("worker", "--coordinator", endpoint, "--name", f"w{index}", "--threads", "1")
        subprocess.run(
            [self.palisade, "status", "--coordinator", endpoint, "--wait", "120"],
            check=True, stdout=subprocess.DEVNULL)

    def run(self, *arguments):
        log = open(self.path / "log", "a")
        process = subprocess.Popen(
            [self.palisade, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def wait_for(self, name):
        for _ in range(3000):
            with contextlib.suppress(FileNotFoundError):
                if text := (self.path / name).read_text().strip():
                    return text
            if self.coordinator.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"no {name}; the log says:\n" + (self.path / "log").read_text())

    def kill_coordinator(self):
        """As if its machine had lost power; the workers end by themselves or are ended."""
        self.coordinator.send_signal(signal.SIGKILL)
        self.stop()

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def close(self):
        self.stop()
        if os.environ.get("PALISADE_TEST_LOG"):
            print((self.path / "log").read_text())
        self.folder.cleanup()
