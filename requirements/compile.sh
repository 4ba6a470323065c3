#!/bin/sh
# Write the locks anew from pyproject.toml. --universal: one file for every supported Python.
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml "$@"; }
compile -o requirements/runtime.txt "${UPGRADE:---no-upgrade}"
# The image for operators: every command of `labeler`.
compile --extra stack --extra staging -c requirements/runtime.txt -o requirements/ops.txt "${UPGRADE:---no-upgrade}"
compile --extra stack --extra staging --group dev -c requirements/ops.txt -o requirements/dev.txt "${UPGRADE:---no-upgrade}"
# What the Dockerfile builds with, and pip itself.
uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group build -c requirements/dev.txt -o requirements/build.txt "${UPGRADE:---no-upgrade}"
