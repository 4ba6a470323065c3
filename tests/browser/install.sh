#!/bin/sh
# Debian's Chromium; Playwright's own build would come from outside Debian and PyPI.
set -eu
command -v apt-get >/dev/null || { echo "Install Chromium first: there is no apt-get here to do it with."; exit 1; }
as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "Install Chromium first, as root: apt-get install chromium"; exit 1; }
  as_root=sudo
fi
$as_root apt-get update -q
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends chromium
