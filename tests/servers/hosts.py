"""Hosts of one network, made of this machine.

Each has an address, a name, processes and a /tmp of its own, and sees the folders that all share.
They are namespaces of Linux, which only root may make, and are gone when the tests are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.servers.commands import ROOT

NEEDED = ("unshare", "nsenter", "ip", "mount")
NETWORK = "10.77.0"
# The name of each host's network interface.
INTERFACE = "eth0"
APART = ("--net", "--mount", "--uts", "--ipc", "--pid")
# What has to be allowed for it.
TRIED = """
set -e
mount -t tmpfs none /mnt
ip link add switch0 type bridge
ip link add cable0 type veth peer name cable1
"""
# A host's first process. It takes in processes that others leave, and the host ends with it, which
# is when nobody holds the other end of its standard input any more.
FIRST = """
set -e
echo "$1" > /proc/sys/kernel/hostname
ip link set lo up
mount --make-rprivate /
mount --bind "$2" /etc/hosts
mount -t tmpfs none /mnt
mkdir /mnt/tmp
mount --rbind /tmp /mnt/tmp
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o mode=1777 none /dev/shm
shift 2
for shared in "$@"; do
    case "$shared" in /tmp/*) ;; *) continue ;; esac
    mkdir -p "$shared"
    mount --rbind "/mnt$shared" "$shared"
done
umount --lazy /mnt
echo ready
read -r _ || true
"""


class Host:
    """A host, and what is done on it."""

    def __init__(self, name: str, address: str, names: Path, shared: Sequence[Path]) -> None:
        self.name, self.address = name, address
        script = ["bash", "-c", FIRST, "host", name, str(names), *map(str, shared)]
        self.holder = subprocess.Popen(
            ["unshare", *APART, "--fork", "--mount-proc", "--kill-child", *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stderr is not None
        if self.holder.stdout.readline() != "ready\n":
            raise OSError(self.holder.stderr.read())
        [first] = psutil.Process(self.holder.pid).children()
        self.first = first.pid

    def words(self, command: Sequence[str], apart: Sequence[str] = APART) -> list[str]:
        """The command line that runs a command there, from here."""
        return ["nsenter", f"--target={self.first}", *apart, "env", f"--chdir={ROOT}", *command]

    def link(self, command: str) -> None:
        """Run `ip` on its network; processes are those of this machine."""
        words = self.words(["ip", *command.split()], apart=["--net"])
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"ip {command}: {done.stderr}")

    def start(
        self, command: Sequence[str], variables: Mapping[str, str], said: Path
    ) -> subprocess.Popen[str]:
        """Start a command there, whose output goes into a file."""
        with said.open("a") as output:
            return subprocess.Popen(
                self.words(command),
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def crash(self) -> None:
        """Kill all that runs there, at once."""
        subprocess.run(self.words(["bash", "-c", "kill -KILL -1"]), check=True)

    def end(self) -> None:
        """Be gone."""
        self.holder.kill()
        self.holder.communicate()


@contextmanager
def network(folder: Path, names: Sequence[str], shared: Sequence[Path]) -> Iterator[list[Host]]:
    """Hosts of these names that reach one another, and see the shared folders where they lie here.

    Skips the test, with a reason, where the system makes no hosts.
    """
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        pytest.skip(f"hosts are made with {missing[0]} (Debian: util-linux, iproute2)")
    tried = subprocess.run(
        ["unshare", *APART, "--fork", "--mount-proc", "bash", "-c", TRIED],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"this user or machine makes no hosts: {tried.stderr}")
    addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, start=1)}
    lines = [f"{address} {name}\n" for name, address in addresses.items()]
    known = folder / "hosts"
    known.write_text("".join(["127.0.0.1 localhost\n", *lines]))
    with ExitStack() as ends:
        hosts = []
        for name, address in addresses.items():
            hosts.append(Host(name, address, known, shared))
            ends.callback(hosts[-1].end)
        connect(hosts)
        yield hosts


def connect(hosts: Sequence[Host]) -> None:
    """Lay a cable from the first host, which is the switch, to each of the others."""
    switch, *others = hosts
    switch.link(f"link add {INTERFACE} type bridge")
    for host in others:
        switch.link(f"link add {host.name} type veth peer name {INTERFACE} netns {host.first}")
        switch.link(f"link set {host.name} master {INTERFACE} up")
    for host in hosts:
        host.link(f"address add {host.address}/24 dev {INTERFACE}")
        host.link(f"link set {INTERFACE} up")
