"""cluster/slurm on a real Slurm of this process's own: munged, slurmctld and three slurmd, ended by the ids they were started with."""

import json
import os
import pathlib
import re
import socket

from common import BATCH, MODEL, PALISADE, ROOT, Skipped, Workplace, alive, batch_alone, need, run, wait_for

NODES = 3


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Slurm:
    def __init__(self, place):
        munged, control, daemon, *_ = need("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo", "munge")
        if os.geteuid() != 0:
            raise Skipped("Slurm's daemons run jobs as other users and want root")
        self.place = place
        munge = place.path / "munge"
        munge.mkdir(mode=0o755)
        munge.chmod(0o755)  # munged wants its socket to be reachable
        place.path.chmod(0o755)
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        files = [f"--{name}={munge}/{file}" for name, file in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]
        place.start("munged", munged, "--foreground", "--num-threads=2", *files)
        self.expect("munged", lambda: run("munge", "-S", munge / "socket", "-n", check=False).returncode == 0)
        ports = free_ports(1 + NODES)
        (place.path / "state").mkdir()
        lines = [
            "ClusterName=palisade", f"SlurmctldHost={socket.gethostname()}(127.0.0.1)", f"SlurmctldPort={ports[0]}",
            "SlurmUser=root", "SlurmdUser=root", "AuthType=auth/munge", f"AuthInfo=socket={munge}/socket", "CredType=cred/munge",
            f"StateSaveLocation={place.path}/state", f"SlurmdSpoolDir={place.path}/spool-%n",
            f"SlurmctldPidFile={place.path}/slurmctld.pid", f"SlurmdPidFile={place.path}/slurmd-%n.pid",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU", "MpiDefault=none", "AccountingStorageType=accounting_storage/none",
            "JobAcctGatherType=jobacct_gather/none", "ReturnToService=2", "SlurmdParameters=config_overrides",
            # No waiting between a job's end and the next one's start.
            "SchedulerParameters=batch_sched_delay=0,sched_min_interval=0", "KillWait=10", "MinJobAge=3600",
        ]
        lines += [f"NodeName=n{n} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={ports[n]} CPUs=4 State=UNKNOWN"
                  for n in range(1, NODES + 1)]
        lines.append("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
        self.conf = place.path / "slurm.conf"
        self.conf.write_text("\n".join(lines) + "\n")
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf), "PALISADE": PALISADE}
        place.start("slurmctld", control, "-D", "-f", self.conf, env=self.environment)
        for n in range(1, NODES + 1):
            # Debian builds Slurm so that several may run on one host, each under its node's name.
            place.start(f"slurmd-n{n}", daemon, "-D", "-N", f"n{n}", "-f", self.conf, env=self.environment)
        self.expect("slurmctld", lambda: self.run("sinfo", "-h", "-o", "%t %D", check=False).stdout.strip() == f"idle {NODES}")

    def expect(self, name, reached):
        try:
            wait_for(name, reached, 60)
        except AssertionError as error:
            said = " | ".join(self.place.text(f"{name}.log").splitlines()[-3:])
            raise Skipped(f"Slurm doesn't start here: {error}: {said}") from None

    def run(self, *words, **options):
        return run(*words, env=self.environment, cwd=ROOT, **options)

    def field(self, job, name):
        text = self.run("scontrol", "show", "job", job).stdout
        return re.findall(rf"\b{name}=(\S+)", text)

    def finished(self, job, seconds=240):
        """Waits for a job's end; its states, more than one for an array."""
        ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"}
        return wait_for(f"job {job}", lambda: (states := self.field(job, "JobState")) and set(states) <= ended and states, seconds)


def submit(slurm, *words):
    return slurm.run("sbatch", "--parsable", *words).stdout.strip()


def check():
    with Workplace() as place:
        slurm = Slurm(place)
        expected = batch_alone(place.path)
        out = place.path / "out"
        out.mkdir()

        # One pipeline over three nodes.
        one = submit(slurm, "--ntasks=3", "--nodes=3", "--cpus-per-task=1", f"--output={out}/job.log",
                     "cluster/slurm/pipeline.sbatch", MODEL, BATCH, out / "one.jsonl")
        assert slurm.finished(one) == ["COMPLETED"], (out / "job.log").read_text()
        assert slurm.field(one, "NumNodes") == ["3"]
        assert (out / "one.jsonl").read_bytes() == expected
        logs = [(out / f"palisade-{one}" / f"worker-{task}.log").read_text() for task in range(3)]
        assert all("ready: stage" in log and "told to end" in log for log in logs), logs
        assert not (out / f"palisade-{one}" / "keys").exists()

        # Two pipelines at once, each over its half; one line of each half is an error of its own.
        lines = pathlib.Path(BATCH).read_text().splitlines(keepends=True)
        bad = '{{"custom_id": "bad-{}", "image": "images/missing-{}.png", "prompt": "caption en"}}\n'
        mixed = place.path / "mixed"
        mixed.mkdir()
        (mixed / "images").symlink_to(ROOT / "cluster/demo/images")
        (mixed / "in.jsonl").write_text(bad.format(1, 1) + "".join(lines) + bad.format(2, 2))
        last = slurm.run(ROOT / "cluster/slurm/submit-array", MODEL, mixed / "in.jsonl", out / "two.jsonl", "2",
                         "--ntasks=2", "--cpus-per-task=1").stdout.strip()
        assert slurm.finished(last) == ["COMPLETED"], [log.read_text() for log in out.glob("slurm-*.log")]
        alone = place.path / "mixed.jsonl"
        done = run(PALISADE, "batch", mixed / "in.jsonl", "--output", alone, "--ordered", "--model", MODEL, check=False)
        assert done.returncode == 2, done
        assert (out / "two.jsonl").read_bytes() == alone.read_bytes()
        errors = (out / "two.errors.jsonl").read_text()
        assert errors == (place.path / "mixed.errors.jsonl").read_text()
        assert [json.loads(line)["custom_id"] for line in errors.splitlines()] == ["bad-1", "bad-2"]
        left = [file.name for file in [*mixed.iterdir(), *out.iterdir()] if "-of-" in file.name and file.is_file()]
        assert not left, left
        print("slurm: one pipeline over 3 nodes, and 2 pipelines as an array with their parts merged: bytes of one process")
