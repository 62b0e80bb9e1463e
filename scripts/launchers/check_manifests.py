"""Kubernetes' manifests against their published schemas and against each other, systemd's units, and the Dockerfile."""

import os
import pathlib
import re
import shutil
import stat
import subprocess

import dockerfile_parse
import kubernetes_validate
import yaml

from common import PALISADE, ROOT, Workplace, run

VERSIONS = ["1.28", "1.36"]  # of Kubernetes: an old one and a late one
BASE = ROOT / "cluster/kubernetes/base"


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def options_of(command):
    return set(re.findall(r"--[a-z-]+", run(PALISADE, command, "--help").stdout))


def pods(manifests):
    return [(m["metadata"]["name"], m["spec"]["template"]) for m in manifests if m["kind"] in ("StatefulSet", "Deployment")]


def check_schemas(manifests, versions=VERSIONS[-1:]):
    for version in versions:
        for manifest in manifests:
            # Strict: an unknown field is an error too.
            kubernetes_validate.validate(manifest, version, strict=True)
    broken = next(dict(m, spec={**m["spec"], "replicaz": 1}) for m in manifests if m["kind"] == "StatefulSet")
    try:
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a wrong field was not seen")


def check_together(manifests):
    """What the schemas can't know: names that refer to each other."""
    names = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    templates = pods(manifests)
    for manifest in manifests:
        if manifest["kind"] == "Service":
            wanted = manifest["spec"]["selector"].items()
            assert any(wanted <= pod["metadata"]["labels"].items() for _, pod in templates), manifest["metadata"]["name"]
        if manifest["kind"] in ("StatefulSet", "PodDisruptionBudget"):
            labels = manifest["spec"]["selector"]["matchLabels"].items()
            assert any(labels <= pod["metadata"]["labels"].items() for _, pod in templates), manifest["metadata"]["name"]
        if manifest["kind"] == "StatefulSet":
            assert ("Service", manifest["spec"]["serviceName"]) in names
    for name, pod in templates:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
        volumes = {volume["name"] for volume in spec["volumes"]} | {"files"}
        for container in spec["initContainers"] + spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and security["capabilities"] == {"drop": ["ALL"]}
            assert security["allowPrivilegeEscalation"] is False
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys() and "memory" in container["resources"]["limits"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports
        words = spec["containers"][0]["args"]
        said = {word.split("=")[0] for word in words if word.startswith("--")}
        assert said <= options_of(words[0]), said - options_of(words[0])
        given = {env["name"] for env in spec["containers"][0].get("env", [])}
        used = set(re.findall(r"\$\((\w+)\)", " ".join(words)))
        assert used <= given | {"PALISADE_WORKERS", "PALISADE_PRECISION"}, used
    probes = next(pod for name, pod in templates if name == "palisade-coordinator")["spec"]["containers"][0]
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz" and probes["livenessProbe"]["httpGet"]["path"] == "/healthz"


def check_secrets(place, manifests):
    """The Secrets that the script makes are those that are mounted, and what the pods make of them is taken as keys."""
    keys = place.path / "keys"
    run(PALISADE, "keys", "init", keys)
    (place.path / "api").write_text("sk-palisade-test-0123456789\n")
    made = documents(run(ROOT / "cluster/kubernetes/secrets", keys, place.path / "api").stdout)
    for manifest in made:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    files = {m["metadata"]["name"]: set(m["data"]) for m in made}
    assert files == {"palisade-coordinator": {"coordinator.key", "allowed", "api.keys"}, "palisade-worker": {"worker.key"}}
    mounted = {volume["secret"]["secretName"] for _, pod in pods(manifests) for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert mounted == set(files), mounted
    for name, pod in pods(manifests):
        secret, own = place.path / f"secret-{name}", place.path / f"own-{name}"
        secret.mkdir()
        for file in files[name]:
            source = place.path / "api" if file == "api.keys" else keys / file
            shutil.copy(source, secret / file)
            (secret / file).chmod(0o440)
        shell, flag, script = pod["spec"]["initContainers"][0]["command"]
        subprocess.run([shell, flag, script.replace("/secret", str(secret)).replace("/keys", str(own))], check=True)
        assert stat.S_IMODE((own / "own").stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in (own / "own").iterdir()} == {0o600}
        assert {file.name for file in (own / "own").iterdir()} == files[name]
    listed = run(PALISADE, "keys", "list", place.path / "own-palisade-coordinator/own").stdout
    assert "coordinator" in listed and "worker" in listed
    committed = [file for file in (ROOT / "cluster").rglob("*.yaml") if "kind: Secret" in file.read_text()]
    assert not committed, committed


def check_kubernetes(place):
    # Without kustomize's labour the images have no registry and the settings no ConfigMap; the rest is the same.
    manifests = [m for name in ("coordinator", "workers", "network") for m in documents((BASE / f"{name}.yaml").read_text())]
    check_schemas(manifests, VERSIONS)
    check_together(manifests)
    check_secrets(place, manifests)
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(file.name for file in BASE.glob("*.yaml") if file.name != "kustomization.yaml")
    if not shutil.which("kubectl"):
        return "kubectl is not here, so kustomize was NOT TESTED"
    built = documents(run("kubectl", "kustomize", BASE).stdout)
    check_schemas(built)
    check_together(built)
    assert len(built) == len(manifests) + 1
    images = {c["image"] for _, pod in pods(built) for c in pod["spec"]["initContainers"] + pod["spec"]["containers"]}
    assert images == {"registry.example.com/palisade:0.1.0"}, images
    maps = {m["metadata"]["name"]: m["data"] for m in built if m["kind"] == "ConfigMap"}
    coordinator = next(pod for name, pod in pods(built) if name == "palisade-coordinator")
    assert coordinator["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] in maps
    larger = documents(run("kubectl", "kustomize", BASE.parent / "larger").stdout)
    check_schemas(larger)
    data = next(m["data"] for m in larger if m["kind"] == "ConfigMap")
    replicas = next(m["spec"]["replicas"] for m in larger if m["metadata"]["name"] == "palisade-worker" and m["kind"] == "StatefulSet")
    assert sum(map(int, data["PALISADE_WORKERS"].split("+"))) == replicas == 8 and data["PALISADE_PRECISION"] == "int8"
    return f"{len(built)} manifests hold against the schemas of {', '.join(VERSIONS)}"


def check_systemd(place):
    folder = ROOT / "cluster/systemd"
    environment = {}
    for name in ("coordinator", "worker"):
        lines = [line for line in (folder / f"{name}.env").read_text().splitlines() if line and line[0] != "#"]
        environment[name] = dict(line.split("=", 1) for line in lines)
    for name, file in (("coordinator", "palisade-coordinator.service"), ("worker", "palisade-worker@.service")):
        command = re.search(r"^ExecStart=(.*)$", (folder / file).read_text(), re.M).group(1)
        given = environment[name]
        assert set(re.findall(r"\$\{?(\w+)", command)) == set(given), file
        words = command.split() + given["PALISADE_OPTIONS"].split()
        verb = "serve" if name == "coordinator" else "worker"
        said = {word for word in words if word.startswith("--")}
        assert words[1] == verb and said <= options_of(verb), said - options_of(verb)
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze is not here, so the units were NOT TESTED by it"
    units = place.path / "units"
    units.mkdir()
    for file in folder.glob("*.service"):
        text = file.read_text().replace("/usr/bin/palisade", PALISADE)
        (units / file.name.replace("@", "@1")).write_text(text)
    for unit in sorted(units.iterdir()):
        done = run("systemd-analyze", "verify", "--man=no", unit, check=False)
        assert done.returncode == 0 and unit.name not in done.stderr, done.stderr
        # Of 100: nothing that the service doesn't need is open to it.
        safe = run("systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", unit, check=False)
        assert safe.returncode == 0, safe.stdout[-600:]
    bad = units / "bad.service"
    bad.write_text("[Service]\nExecStart=/nowhere/palisade\n")
    assert run("systemd-analyze", "verify", "--man=no", bad, check=False).returncode != 0
    return f"{len(list(units.iterdir())) - 1} units verified"


def packages_of(program):
    """The Debian packages of the libraries that a program needs, Swift's own aside."""
    lines = run("ldd", program).stdout.splitlines()
    paths = [line.split()[2] for line in lines if "=> /" in line and "/swift/" not in line]
    names = set()
    for path in {os.path.realpath(path) for path in paths}:
        owner = run("dpkg", "-S", path, check=False).stdout.split(":")[0]
        names |= {owner} if owner else set()
    return names


def closure(packages):
    command = ["apt-cache", "depends", "--recurse", "--installed", "--no-recommends", "--no-suggests", "--no-conflicts",
               "--no-breaks", "--no-replaces", "--no-enhances", *packages]
    return {line for line in run(*command).stdout.splitlines() if line and not line.startswith((" ", "<", "|"))}


def check_dockerfile():
    path = ROOT / "cluster/Dockerfile"
    parser = dockerfile_parse.DockerfileParser(path=str(path), cache_content=True)
    steps = parser.structure
    stages = [index for index, step in enumerate(steps) if step["instruction"] == "FROM"]
    assert len(stages) == 2 and parser.is_multistage
    final = steps[stages[1]:]
    user = [step["value"] for step in final if step["instruction"] == "USER"]
    assert user and user[-1].split(":")[0] not in ("0", "root"), "it runs as root"
    for step in steps[:stages[1]]:
        if step["instruction"] == "COPY":
            *sources, _ = step["value"].split()
            assert all((ROOT / source).exists() for source in sources), step["value"]
    assert (ROOT / "scripts/install-packages").exists()
    install = next(step["value"] for step in final if step["instruction"] == "RUN" and "apt-get install" in step["value"])
    words = install.split("apt-get install", 1)[1].split("&&")[0].split()
    wanted = [word for word in words if not word.startswith("-")]
    assert len(wanted) > 5
    if not shutil.which("apt-cache"):
        return "apt-cache is not here, so the Dockerfile's packages were NOT TESTED"
    for package in wanted:
        assert run("apt-cache", "show", package, check=False).returncode == 0, f"{package} is no package of this Debian"
    # What the program that was built here needs is there: named, or what those named depend on.
    missing = packages_of(PALISADE) - closure(wanted)
    assert not missing, f"the image lacks {missing}"
    return f"the Dockerfile's {len(wanted)} packages cover the program's libraries (not built by this test: that takes as long as a build)"


def check():
    with Workplace() as place:
        print("kubernetes:", check_kubernetes(place))
        print("systemd:", check_systemd(place))
        print("docker:", check_dockerfile())
