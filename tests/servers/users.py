"""A second user of this machine."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable

import pytest

only_root_is_two_users = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can act as a second user"
)


def as_nobody(act: Callable[[], object]) -> str:
    """Do something in a process of the user nobody; returns its answer, or its error, as text.

    It is a fork: nobody may not be able to read our interpreter and packages.
    """
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with open(reading) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        return said
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    try:
        said = str(act())
    # As a command ends that was told no.
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
    os.write(writing, said.encode())
    os._exit(0)
