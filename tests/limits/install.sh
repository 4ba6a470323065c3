#!/bin/sh
# Debian's Redis, or its Valkey. The tests start a server of their own; one that the package starts is not touched.
set -eu
command -v apt-get >/dev/null || { echo "Install redis-server or valkey-server first: there is no apt-get here to do it with."; exit 1; }
as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "Install it first, as root: apt-get install redis-server"; exit 1; }
  as_root=sudo
fi
$as_root apt-get update -q
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends redis-server \
  || DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends valkey-server
