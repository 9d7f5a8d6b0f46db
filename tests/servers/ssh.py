"""An ssh server, and how horovodrun reaches it: without a password, and without a note of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class SshServer:
    """A server's settings in a folder that it and its clients see."""

    folder: Path
    command: list[str]
    """Starts it, and runs as long as it does."""
    options: list[str]
    """Those of horovodrun that reach it."""

    @property
    def path(self) -> str:
        """PATH with an ssh that notes down no host among those of the person who tests."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"


def ssh_server(folder: Path, addresses: Sequence[str], port: int) -> SshServer:
    """Make keys and settings of a server that listens on these addresses."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    for key in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(keygen, check=True)
    options = {
        "ListenAddress": [f"{address}:{port}" for address in addresses],
        "HostKey": [str(folder / "host")],
        "AuthorizedKeysFile": [str(folder / "user.pub")],
        **{"PidFile": ["none"], "StrictModes": ["no"], "UsePAM": ["no"]},
    }
    lines = [f"{name} {value}\n" for name, values in options.items() for value in values]
    (folder / "sshd_config").write_text("".join(lines))
    wrapper = folder / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -o UserKnownHostsFile=/dev/null -q "$@"\n'
    )
    wrapper.chmod(0o755)
    if os.geteuid() == 0:
        # Where sshd, as root, wants to shut itself in; a Debian that boots makes it.
        Path("/run/sshd").mkdir(exist_ok=True)
    reach = ["--ssh-port", str(port), "--ssh-identity-file", str(folder / "user")]
    return SshServer(folder, [program, "-D", "-e", "-f", str(folder / "sshd_config")], reach)
