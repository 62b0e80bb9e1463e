"""cluster/ray on a Ray cluster of several nodes on this machine, with Ray's own autoscaler; ended by the ids that carry its folder's name."""

import json
import os
import pathlib
import signal
import sys
import time

from common import MODEL, PALISADE, ROOT, Namespaces, Skipped, Workplace, alive, batch_alone, long_batch, run, wait_for

NODES_AT_MOST = 4


class RayCluster:
    """A head without room for workers, and nodes of one core that the autoscaler starts when they are wanted."""

    def __init__(self, place):
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise Skipped(f"ray can't be used here: {error}") from None
        # Ray takes no loopback for a node's address: a host of this test's own has another.
        net = Namespaces(place, 1)
        run(net.ip, "-n", f"{net.prefix}-1", "route", "add", "default", "dev", "eth0")
        self.inside = net.inside(1)
        self.folder = str(place.path / "ray")
        self.address = "10.77.0.1:6379"
        config = {
            "cluster_name": "palisade-test", "max_workers": NODES_AT_MOST, "idle_timeout_minutes": 0.1, "upscaling_speed": 10,
            "provider": {"type": "fake_multinode", "disable_node_updaters": True, "disable_launch_config_check": True, "use_node_id_as_ip": True},
            "docker": {}, "auth": {}, "initialization_commands": [], "setup_commands": [], "head_setup_commands": [],
            "worker_setup_commands": [], "head_start_ray_commands": [], "worker_start_ray_commands": [], "file_mounts": {},
            "cluster_synced_files": [], "file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": [],
            "head_node_type": "ray.head.default",
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
                "small": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": NODES_AT_MOST},
            },
        }
        (place.path / "ray.json").write_text(json.dumps(config))
        self.environment = {
            **os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1", "RAY_TMPDIR": self.folder, "TMPDIR": str(place.path), "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": self.address,
            "PALISADE": PALISADE, "RAY_DEDUP_LOGS": "0",
        }
        place.last.append(self.end)
        # Ray gives its own agents seconds to come up, which a busy machine may need more of.
        for _ in range(3):
            if self.starts(place):
                return
        last = " | ".join(place.text("ray.log").splitlines()[-2:])
        raise Skipped(f"Ray doesn't start here: {last}")

    def starts(self, place):
        head = place.start(
            "ray", *self.inside, pathlib.Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--port=6379",
            "--node-ip-address=10.77.0.1", f"--autoscaling-config={place.path}/ray.json", "--num-cpus=1",
            f"--temp-dir={self.folder}", "--include-dashboard=false", "--object-store-memory=100000000",
            "--disable-usage-stats", env={**self.environment, "RAY_ADDRESS": ""})
        check = [*self.inside, sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", self.address]
        for _ in range(60):
            if head.poll() is not None:
                break
            if run(*check, env=self.environment, check=False).returncode == 0 and head.poll() is None:
                return True
            time.sleep(0.5)
        self.end()
        return False

    def processes(self):
        """Ours: those that have the folder of this test in their environment or their command."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if self.folder.encode() in text and alive(entry.name):
                    found.append(int(entry.name))
        return found

    def end(self):
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            for pid in self.processes():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            until = time.monotonic() + seconds
            while self.processes() and time.monotonic() < until:
                time.sleep(0.1)


def check():
    with Workplace() as place:
        ray = RayCluster(place)
        keys = place.path / "keys"
        run(PALISADE, "keys", "init", keys)

        def launch(command, *words, check=True):
            return run(*ray.inside, sys.executable, ROOT / "cluster/ray/palisade_ray.py", command, *words, "--keys", keys, "--threads", "1",
                       "--address", ray.address, env=ray.environment, check=check)

        def states():
            document = json.loads(launch("status", "--json", check=False).stdout)
            return document["cluster"] or {"workers": []}, {row["name"]: row for row in document["processes"]}

        batch = long_batch(place.path, 600)
        expected = batch_alone(place.path, batch)
        endpoint = launch("start", "--model", MODEL, "--workers", "1+2").stdout.strip().splitlines()[-1]
        assert endpoint == "tcp://10.77.0.1:7400", endpoint
        _, rows = states()
        assert sorted(rows) == ["coordinator", "worker-1", "worker-2", "worker-3"], rows
        assert len({row["nodeID"] for row in rows.values()}) == 4, "they are not on four nodes"

        output = place.path / "out.jsonl"
        running = place.start(
            "batch", *ray.inside, PALISADE, "batch", batch, "--output", output, "--ordered", "--coordinator", endpoint, "--key", keys / "client.key",
            "--patience", "200")
        wait_for("the batch's first answers", lambda: output.exists() and output.stat().st_size > 0)
        victim = rows["worker-2"]["pid"]
        os.kill(victim, signal.SIGKILL)
        assert running.poll() is None, "the batch was over before the worker was killed"
        wait_for("the supervisor starts it again", lambda: states()[1]["worker-2"]["starts"] == 2)
        _, again = states()
        assert again["worker-2"]["pid"] not in (None, victim) and again["worker-1"]["starts"] == 1
        assert running.wait(timeout=200) == 0, place.text("batch.log")
        assert output.read_bytes() == expected
        # By the model's operations the third gains nothing, so that the plan takes it in when told to.
        assert launch("scale", "3").stdout.strip().splitlines()[-1] == "3"
        assert sum(row["state"] == "working" for row in states()[0]["workers"]) == 3

        # One more than there are nodes for: the autoscaler starts one.
        assert launch("scale", "+1").stdout.strip().splitlines()[-1] == "4"
        cluster, rows = states()
        assert sum(row["state"] == "working" for row in cluster["workers"]) == 4
        assert len({row["nodeID"] for row in rows.values()}) == 5
        assert launch("scale", "-1").stdout.strip().splitlines()[-1] == "3"
        cluster, rows = states()
        assert len(rows) == 4 and len(cluster["workers"]) == 3, (rows, cluster)
        second = place.path / "second.jsonl"
        run(*ray.inside, PALISADE, "batch", batch, "--output", second, "--ordered", "--coordinator", endpoint, "--key", keys / "client.key")
        assert second.read_bytes() == expected
        pids = [row["pid"] for row in rows.values()]
        launch("stop")
        wait_for("all have ended", lambda: not any(alive(pid) for pid in pids), 30)
        print("ray: 5 nodes by the autoscaler, a killed worker is back, scaled +1 and -1; bytes of one process each time")
