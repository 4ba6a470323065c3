# Two images. `services`, which is built by default, has two commands: `python -m labeler_api` (the default) and
# `python -m user_gateway`. `--target ops` is for operators: every command of `labeler`, with what it starts.
# All stages from one tag. No digest of it is known here: add the one that you have checked, as python:…@sha256:….
FROM python:3.11.14-slim-bookworm AS tools
WORKDIR /build
COPY requirements/build.txt requirements/
# From hashes only, the build's own tools included: pip first, since it is pip that checks them.
RUN python -m venv /opt/labeler \
    && /opt/labeler/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements/build.txt

FROM tools AS build
COPY requirements/runtime.txt requirements/
RUN /opt/labeler/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY proto proto
COPY service_kit service_kit
COPY user_gateway user_gateway
COPY labeler_api labeler_api
COPY labeler_ops labeler_ops
# What runs needs neither of them, and what is not there cannot be abused.
RUN /opt/labeler/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && /opt/labeler/bin/pip uninstall --yes setuptools pip

FROM python:3.11.14-slim-bookworm AS services
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin labeler
COPY --from=build /opt/labeler /opt/labeler
COPY alembic.ini /srv/alembic.ini
# An image runs where others can reach it: nothing but production may be its default, which refuses weak secrets.
ENV PATH=/opt/labeler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 API_HOST=:: ENVIRONMENT=production
WORKDIR /srv
USER 10001
EXPOSE 8001 50051
# Exec form: SIGTERM must reach the server, not a shell.
CMD ["python", "-m", "labeler_api"]

FROM tools AS ops-build
COPY requirements/ops.txt requirements/
RUN /opt/labeler/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements/ops.txt
COPY --from=build /build ./
RUN /opt/labeler/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && /opt/labeler/bin/pip uninstall --yes setuptools pip

FROM python:3.11.14-slim-bookworm AS ops
# pg_dump reads servers up to its own version, and a dump is restored by the target's: so each version that a server
# may have. Debian has 15 alone; its package postgresql-common brings the key and the address of PostgreSQL's archive.
# Where that archive cannot be reached: --build-arg POSTGRESQL_CLIENTS=15.
ARG POSTGRESQL_CLIENTS="15 16 17"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-common \
    && { [ "$POSTGRESQL_CLIENTS" = 15 ] || /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y; } \
    && apt-get install --yes --no-install-recommends $(printf "postgresql-client-%s " $POSTGRESQL_CLIENTS) \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin labeler
COPY --from=ops-build /opt/labeler /opt/labeler
COPY alembic.ini /srv/alembic.ini
ENV PATH=/opt/labeler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 API_HOST=:: ENVIRONMENT=production
# Runs and their backups are written to where one is: a volume belongs there.
WORKDIR /home/labeler
USER 10001
CMD ["labeler", "--help"]

# What is built where no stage is named. Without BuildKit every stage above is built on the way here: name `services`.
FROM services
