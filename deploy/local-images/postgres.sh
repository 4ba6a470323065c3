#!/bin/bash
# What the official image promises of POSTGRES_* and /docker-entrypoint-initdb.d, as far as docker-compose.yml uses it.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres: "$PGDATA" /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
    initdb --username "$user" --pwfile <(echo "${POSTGRES_PASSWORD:?}") --auth-local trust --auth-host scram-sha-256 >/dev/null
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    # On the socket only, so that nobody takes it for ready.
    pg_ctl --wait --options "-c listen_addresses=''" start >/dev/null
    [ "$database" = postgres ] || psql -qU "$user" -d postgres -c "CREATE DATABASE \"$database\""
    for file in /docker-entrypoint-initdb.d/*.sql; do
        [ ! -e "$file" ] || psql -qU "$user" -d "$database" -v ON_ERROR_STOP=1 -f "$file"
    done
    pg_ctl --wait --mode fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
