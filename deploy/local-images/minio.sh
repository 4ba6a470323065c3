#!/bin/sh
# SeaweedFS behind MinIO's command line: `server DIRECTORY`, MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, port 9000.
set -eu
[ "$1" = server ] || { echo "minio.sh: only 'server DIRECTORY' is known, not '$*'" >&2; exit 2; }
umask 077
cat > /tmp/identities.json <<END
{"identities": [{"name": "root", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "${MINIO_ROOT_USER:?}", "secretKey": "${MINIO_ROOT_PASSWORD:?}"}]}]}
END
exec weed -logtostderr mini -dir="$2" -ip=127.0.0.1 -ip.bind=0.0.0.0 -s3.port=9000 -s3.config=/tmp/identities.json \
    -admin.ui=false -webdav=false -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false -master.resumeState=false
