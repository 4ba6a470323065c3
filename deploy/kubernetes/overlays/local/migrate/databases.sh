# PostgreSQL's image runs this once, when its data directory is new. /demo is the ConfigMap `demo-sql`.
set -eu
for name in labeler users platform; do createdb -U postgres "$name"; done
for name in users platform; do
  psql -U postgres -d "$name" -v ON_ERROR_STOP=1 -q -f "/demo/$name.sql" -f "/demo/${name}_demo.sql"
done
