"""Packages the jobs and the models as the distribution `nightreel`, with its console command.

Versions are pinned in conf/requirements-jobs.txt, which `make` installs first.
"""

from hashlib import sha256
from pathlib import Path

from setuptools import Extension, find_packages, setup

KERNELS = "model/training/kernels.c"
# By it model/training/kernels.py knows an old build.
SOURCE = sha256((Path(__file__).parent / KERNELS).read_bytes())
# Nobody asks whether a root failed or a number trapped, and loops become wide without.
FAST = ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]

setup(
    name="nightreel",
    version="0.1.0",
    description="Movie recommendations from MovieLens ratings, every night.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["jobs*", "model*"]),
    ext_modules=[
        Extension(
            "model.training._kernels",
            [KERNELS],
            define_macros=[("SOURCE", f'"{SOURCE.hexdigest()}"')],
            extra_compile_args=FAST,
        )
    ],
    package_data={"jobs.pages": ["page.html"], "model.training": ["kernels.c"]},
    entry_points={"console_scripts": ["nightreel = jobs.nightreel:main"]},
)
