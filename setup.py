"""Packages the jobs and the models as the distribution `nightreel`, with its console command.

Versions are pinned in conf/requirements-jobs.txt, which `make` installs first.
"""

import sys

from setuptools import Extension, find_packages, setup

# Apple's compiler has none: loops are then one thread's.
THREADS = [] if sys.platform == "darwin" else ["-fopenmp"]
# Nobody asks for the sign of errors or for traps, and loops become wide without them.
FAST = ["-O3", "-fno-math-errno", "-fno-trapping-math"]

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
            ["model/training/kernels.c"],
            extra_compile_args=[*FAST, *THREADS],
            extra_link_args=THREADS,
        )
    ],
    package_data={"jobs.pages": ["page.html"]},
    entry_points={"console_scripts": ["nightreel = jobs.nightreel:main"]},
)
