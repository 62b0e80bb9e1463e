"""scripts/launch-ssh against real sshd, each in a network namespace of its own with its own address."""

import os
import pathlib
import re
import stat
import subprocess

from common import BATCH, MODEL, PALISADE, ROOT, Namespaces, Workplace, alive, batch_alone, need, run, wait_for

PORT = 2222


class Hosts:
    """Namespaces with an sshd each: this test's own, with keys and configuration of their own."""

    def __init__(self, place, count):
        self.sshd, self.keygen, _ = need("sshd", "ssh-keygen", "ssh")
        self.net = Namespaces(place, count)
        self.inside = self.net.inside
        # sshd's own folder for its unprivileged half; a machine that never ran sshd has none.
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name in ("host", "user"):
            run(self.keygen, "-q", "-t", "ed25519", "-N", "", "-f", place.path / name)
        public = place.text("host.pub").split()[:2]
        known = "".join(f"[10.77.0.{number}]:{PORT} {' '.join(public)}\n" for number in range(1, count + 1))
        (place.path / "known").write_text(known)
        (place.path / "ssh_config").write_text(
            f"Host *\n User root\n Port {PORT}\n IdentityFile {place.path}/user\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {place.path}/known\n GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n")
        (place.path / "sshd_config").write_text(
            f"Port {PORT}\nHostKey {place.path}/host\nAuthorizedKeysFile {place.path}/user.pub\nPidFile none\n"
            "UsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "StrictModes no\nPrintMotd no\nPrintLastLog no\n")
        for number in range(1, count + 1):
            place.start(f"sshd-{number}", *self.inside(number), self.sshd, "-D", "-e", "-f", place.path / "sshd_config")
            wait_for(f"sshd {number}", lambda: "Server listening" in place.text(f"sshd-{number}.log"), 30)


def private(path):
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def check():
    with Workplace() as place:
        net = Hosts(place, 4)
        expected = batch_alone(place.path)
        keys = place.path / "keys"
        run(PALISADE, "keys", "init", keys, "--worker", "10.77.0.3")
        folder = {number: place.path / f"host-{number}" for number in range(1, 5)}
        rows = {1: "coordinator", 2: "worker slots=2", 3: "worker", 4: "spare"}
        lines = [f"10.77.0.{n} {row} dir={folder[n]} palisade={PALISADE}" for n, row in rows.items()]
        hostfile = place.path / "hosts"
        hostfile.write_text("# a test\n" + "".join(
            f"{line}{' threads=1' if 'coordinator' not in line else ''}\n" for line in lines))

        def launch(*words, check=True):
            environment = {**os.environ, "PALISADE": PALISADE, "PALISADE_SSH": f"ssh -F {place.path}/ssh_config"}
            program = [ROOT / "scripts/launch-ssh", "--state", place.path / "state.json"]
            return run(*net.inside(1), *program, *words, check=check, env=environment)

        def batch(name):
            output = place.path / name
            run(*net.inside(1), PALISADE, "batch", BATCH, "--output", output, "--ordered", "--coordinator", endpoint,
                "--key", keys / "client.key")
            return output.read_bytes()

        def pids():
            files = [file for number in folder for file in folder[number].glob("*.pid") if file.stem != "decoy"]
            return {file.stem: int(file.read_text().split()[0]) for file in files}

        endpoint = launch("start", hostfile, "--model", MODEL, "--keys", keys).stdout.strip()
        place.before.append(lambda: launch("stop", hostfile, check=False))
        assert endpoint == "tcp://10.77.0.1:7400", endpoint
        started = pids()
        assert sorted(started) == ["10.77.0.2-1", "10.77.0.2-2", "10.77.0.3-1", "coordinator"], started
        # They outlive the ssh that started them: sessions of their own, and no ssh is left.
        assert all(os.getsid(pid) == pid for pid in started.values())
        again = launch("start", hostfile, "--model", MODEL, "--keys", keys, check=False)
        assert again.returncode == 1 and "runs already" in again.stderr, again
        assert batch("first.jsonl") == expected

        # Each host has its own key and no other's, for its owner only.
        carried = {number: sorted(file.name for file in (folder[number] / "keys").glob("*")) for number in (1, 2, 3)}
        assert carried == {1: ["allowed", "coordinator.key"], 2: ["own.key"], 3: ["own.key"]}, carried
        assert (folder[3] / "keys/own.key").read_bytes() == (keys / "10.77.0.3.key").read_bytes()
        assert (folder[2] / "keys/own.key").read_bytes() == (keys / "worker.key").read_bytes()
        assert all(private(file) for number in (1, 2, 3) for file in (folder[number] / "keys").rglob("*"))

        assert launch("scale", hostfile, "+1").stdout.strip() == "4"
        assert "10.77.0.4-1" in pids()
        shown = launch("status", hostfile).stdout
        assert "workers: 4 in the plan, 4 wanted" in shown and "10.77.0.4: 10.77.0.4-1 running" in shown, shown
        assert batch("second.jsonl") == expected
        too_many = launch("scale", hostfile, "+1", check=False)
        assert too_many.returncode == 1 and "slots for 4" in too_many.stderr, too_many
        assert launch("scale", hostfile, "-1").stdout.strip() == "3"
        wait_for("the drained worker's end", lambda: sum(alive(pid) for pid in pids().values()) == 4, 30)
        assert batch("third.jsonl") == expected

        launch("logs", hostfile, place.path / "logs")
        logs = {str(log.relative_to(place.path / "logs")): log.read_text() for log in (place.path / "logs").rglob("*.log")}
        assert len(logs) == 5 and "10.77.0.2/10.77.0.2-2.log" in logs, sorted(logs)
        assert "ready (plan" in logs["10.77.0.1/coordinator.log"]
        assert any("told to end: the node was drained" in text for text in logs.values())
        secret = re.compile(r"secret[-_ ]?key\W+(\S+)")
        for file in keys.glob("*.key"):
            for value in secret.findall(file.read_text()):
                assert all(value not in text for text in logs.values())

        # Another process that has the id of one that ended is not ours to end.
        decoy = subprocess.Popen(["sleep", "600"])
        place.processes.append(decoy)
        (folder[2] / "decoy.pid").write_text(f"{decoy.pid} 1\n")
        ours = pids()
        launch("stop", hostfile)
        assert not any(alive(pid) for pid in ours.values()), ours
        assert decoy.poll() is None
        assert not list(folder[2].glob("keys/*")) and (folder[2] / "10.77.0.2-1.log").exists()
        print("ssh: 4 hosts started, scaled +1 and -1, stopped; bytes of one process each time; logs collected")
