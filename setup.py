"""Packages the jobs and the models as the distribution `nightreel`, with its console command.

Versions are pinned in conf/requirements-jobs.txt, which `make` installs first.
"""

from setuptools import find_packages, setup

setup(
    name="nightreel",
    version="0.1.0",
    description="Movie recommendations from MovieLens ratings, every night.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["jobs*", "model*"]),
    package_data={"jobs.pages": ["page.html"]},
    entry_points={"console_scripts": ["nightreel = jobs.nightreel:main"]},
)
