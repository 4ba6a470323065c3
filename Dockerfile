# One image, two commands: `python -m labeler_api` (the default) and `python -m user_gateway`.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements/runtime.txt requirements/runtime.txt
RUN python -m venv /opt/labeler \
    && /opt/labeler/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && /opt/labeler/bin/pip install --no-cache-dir setuptools==84.2.1
COPY pyproject.toml README.md ./
COPY proto proto
COPY user_gateway user_gateway
COPY labeler_api labeler_api
COPY labeler_ops labeler_ops
RUN /opt/labeler/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/labeler/bin/pip uninstall --yes setuptools

FROM python:3.11-slim
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin labeler
COPY --from=build /opt/labeler /opt/labeler
COPY alembic.ini /srv/alembic.ini
ENV PATH=/opt/labeler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 API_HOST=::
WORKDIR /srv
USER 10001
EXPOSE 8001 50051
# Exec form: SIGTERM must reach the server, not a shell.
CMD ["python", "-m", "labeler_api"]
