#!/bin/sh
# Makes the images that Dockerfile and docker-compose.yml name, under those names, where no registry can be reached.
# Needs root, docker, debootstrap, and Debian's archive and PyPI as this machine has them. No image of Grafana: neither
# of the two has it. docs/decisions/0058-images-without-a-registry.md says what the stand-ins do not show.
set -eu
cd "$(dirname "$0")/../.."
base=labeler-local/debian:bookworm

if ! docker image inspect "$base" >/dev/null 2>&1; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root"
    # Authorities that this machine trusts beside Debian's: of a proxy between it and the archives.
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar -C "$root" -c . | docker import -c 'CMD ["bash"]' - "$base"
fi

for image in $(sed -n -e 's/^FROM \(python:[^ ]*\).*/\1/p' Dockerfile) $(sed -n 's/^ *image: *//p' docker-compose.yml); do
    stage=${image##*/} stage=${stage%%:*}
    if grep -q " AS $stage\$" deploy/local-images/Dockerfile; then
        docker build --quiet --target "$stage" --tag "$image" -f deploy/local-images/Dockerfile .
        echo "$image"
    fi
done | awk '!/^sha256:/ && !seen[$0]++'
