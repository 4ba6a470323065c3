#!/bin/sh
# Servers that tests start beside their own PostgreSQL and SeaweedFS: Debian's Redis (or its Valkey), and PgBouncer.
# What is there already is taken; a server that a package starts by itself is not touched.
set -eu
PATH="$PATH:/usr/sbin"
missing=""
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="redis-server"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || { echo "Install these first: $missing. There is no apt-get here to do it with."; exit 1; }
as_root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "Install these first, as root: apt-get install $missing"; exit 1; }
  as_root=sudo
fi
$as_root apt-get update -q
install() {
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends "$@"
}
for package in $missing; do
  case $package in
    redis-server) install redis-server || install valkey-server ;;
    *) install "$package" ;;
  esac
done
