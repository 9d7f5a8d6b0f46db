"""What ranks get of the job's environment, and the secrets that only they and the job know.

horovodrun writes the variables of a rank on its command line, which everybody on the host can read,
and over ssh on that of the other host. So ranks get what they need to compute, and nothing of what
only the job uses: addresses and passwords of databases, object stores and MLflow.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAMES = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "NIGHTREEL_ROOT"),
}
# Of Python, of threads and numerical libraries, of GPUs and how these talk, of Horovod.
PREFIXES = (
    *("LC_", "PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "HOROVOD_", "TORCH_", "PYTORCH_", "ARROW_", "MALLOC_"),
)
# Whatever it begins with.
SECRET = re.compile(r"SECRET|PASSW|TOKEN|KEY|CREDENTIAL|AUTH(?!_SOCK)", re.IGNORECASE)

# conf/horovod/patches/rendezvous.patch reads it.
RENDEZVOUS_SECRETS = "HOROVOD_RENDEZVOUS_SECRETS"


def for_ranks(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that a rank needs."""
    return {
        name: value
        for name, value in variables.items()
        if (name in NAMES or name.startswith(PREFIXES)) and not SECRET.search(name)
    }


@contextmanager
def rendezvous_secrets(scratch: Path) -> Iterator[dict[str, str]]:
    """Make the token and the key of one launch; yields the variable that names their file.

    The file, for the job's user alone, lies where the ranks of all hosts see it, and goes at the
    end.
    """
    with tempfile.NamedTemporaryFile("w", prefix="rendezvous-", dir=scratch) as file:
        file.write(f"{secrets.token_hex(32)}\n{secrets.token_hex(32)}\n")
        file.flush()
        yield {RENDEZVOUS_SECRETS: file.name}
