"""The host file: which hosts, what each is for, and how to reach it."""

import dataclasses
import pathlib
import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
OPTIONS = {"slots", "threads", "address", "port", "http", "user", "ssh-port", "dir", "palisade", "model", "key"}


class HostFileError(Exception):
    """What is wrong with the file, with its line."""


@dataclasses.dataclass
class Host:
    name: str
    role: str  # coordinator, worker or spare
    options: dict

    @property
    def slots(self):
        return 0 if self.role == "coordinator" else int(self.options.get("slots", "1"))

    @property
    def target(self):
        user = self.options.get("user")
        return f"{user}@{self.name}" if user else self.name

    def workers(self):
        """The names of the workers that may run here, one a slot."""
        return [f"{self.name}-{slot}" for slot in range(1, self.slots + 1)]


class HostFile:
    """HOST ROLE [key=value …] on each line; # begins a comment."""

    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()
        self.hosts = []
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise HostFileError(f"cannot read {path}: {error}") from None
        for number, line in enumerate(lines, 1):
            words = line.split("#", 1)[0].split()
            if words:
                self.hosts.append(self.host(words, f"{path}:{number}"))
        names = [host.name for host in self.hosts]
        if len(set(names)) != len(names):
            raise HostFileError(f"{path}: a host stands there twice; give it more slots instead")
        if [host.role for host in self.hosts].count("coordinator") != 1:
            raise HostFileError(f"{path}: exactly one host must be the coordinator")

    @staticmethod
    def host(words, place):
        name, role = words[0], words[1] if len(words) > 1 else ""
        if not NAME.fullmatch(name):
            raise HostFileError(f"{place}: '{name}' is no name or address of a host")
        if role not in ("coordinator", "worker", "spare"):
            raise HostFileError(f"{place}: the second word is coordinator, worker or spare, not '{role}'")
        options = {}
        for word in words[2:]:
            key, equals, value = word.partition("=")
            if key not in OPTIONS or not equals or not value:
                raise HostFileError(f"{place}: '{word}' is none of {', '.join(sorted(OPTIONS))} with =VALUE")
            options[key] = value
        for key, most in (("slots", 64), ("threads", 64), ("port", 65535), ("ssh-port", 65535)):
            value = options.get(key, "1")
            if not re.fullmatch(r"[1-9][0-9]{0,4}", value) or int(value) > most:
                raise HostFileError(f"{place}: {key} takes 1 to {most}, not '{value}'")
        for key in ("user", "address"):
            if key in options and not NAME.fullmatch(options[key]):
                raise HostFileError(f"{place}: '{options[key]}' is no {key}")
        return Host(name, role, options)

    @property
    def coordinator(self):
        return next(host for host in self.hosts if host.role == "coordinator")

    @property
    def endpoint(self):
        options = self.coordinator.options
        return f"tcp://{options.get('address', self.coordinator.name)}:{options.get('port', '7400')}"

    def host_of(self, worker):
        return next((host for host in self.hosts if worker in host.workers()), None)

    def workers(self, *roles):
        """Names of all workers on hosts of these roles, in the file's order."""
        return [name for role in roles for host in self.hosts if host.role == role for name in host.workers()]
