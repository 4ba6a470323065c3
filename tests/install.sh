#!/bin/sh
# Servers that tests start beside their own PostgreSQL and SeaweedFS: Debian's Redis (or its Valkey), PgBouncer, and
# promtool, which tries the alarms.
# What is there already is taken; a server that a package starts by itself is not touched.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin"
missing=""
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="redis-server"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
command -v promtool >/dev/null || [ -x .venv/bin/promtool ] || missing="$missing promtool"
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
    promtool)
      # Its package, prometheus, would start a server on every address. Only the one program is taken out of it.
      unpacked=$(mktemp -d)
      (cd "$unpacked" && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .)
      cp "$unpacked/usr/bin/promtool" .venv/bin/
      rm -r "$unpacked"
      ;;
    *) install "$package" ;;
  esac
done
