"""Complete examples of an environment, for the documents: on this machine, in staging, in production."""

_LOCAL = """\
# local.env: both services on this machine, with the servers of docker-compose.yml
ENVIRONMENT=development
LABELER_DB_URL=postgresql://labeler:labeler@127.0.0.1:5433/labeler
PLATFORM_DB_URL=postgresql://platform_readonly:platform-readonly@127.0.0.1:5432/platform
USER_DB_URL=postgresql://user_readonly:user-readonly@127.0.0.1:5434/users
USER_GATEWAY_HOST=127.0.0.1
USER_GATEWAY_ADDRESS=127.0.0.1:50051
USER_GATEWAY_TOKEN=development-token-of-the-labeler
USER_GATEWAY_TOKENS=labeler=development-token-of-the-labeler:users.read+users.read_private+credentials.verify
JWT_SECRET_KEY=development-secret-shared-with-the-platform
S3_ENDPOINT=http://127.0.0.1:9000
S3_ACCESS_KEY=labeler
S3_SECRET_KEY=labeler-secret
CORS_ORIGINS=http://localhost:3010
API_PUBLIC_URL=http://localhost:8001
"""
_GATEWAY = """\
# {name}-gateway.env: the gateway on Railway
ENVIRONMENT={name}
PORT=8080
USER_DB_URL=postgresql://user_readonly:PASSWORD@user-db.railway.internal:5432/railway
USER_GATEWAY_TOKENS=labeler=TOKEN:users.read+users.read_private+credentials.verify
METRICS_TOKEN=…
"""
_API = """\
# {name}-api.env: the API on Railway; JWT_SECRET_KEY is the Platform's
ENVIRONMENT={name}
API_HOST=::
API_PUBLIC_URL=https://labeler-api-{name}.up.railway.app
CORS_ORIGINS=https://{frontend}
TRUSTED_PROXIES=*
CLIENT_ADDRESS_HEADER=X-Real-IP
LABELER_DB_URL=postgresql://labeler:PASSWORD@labeler-db.railway.internal:5432/railway
PLATFORM_DB_URL=postgresql://platform_readonly:PASSWORD@platform-db.railway.internal:5432/railway
USER_GATEWAY_ADDRESS=user-gateway.railway.internal:50051
USER_GATEWAY_TOKEN=TOKEN
JWT_SECRET_KEY=…
MEDIA_LINK_KEYS=…
METRICS_TOKEN=…
S3_ENDPOINT=https://ACCOUNT_ID.r2.cloudflarestorage.com
S3_REGION=auto
S3_ACCESS_KEY=…
S3_SECRET_KEY=…
S3_BUCKET_DATASETS={buckets}datasets
S3_BUCKET_ANNOTATIONS={buckets}annotations
"""


def blocks() -> list[str]:
    """Make the files, and the lines that check them."""
    staging = {"name": "staging", "frontend": "staging.example.com", "buckets": "staging-"}
    production = {"name": "production", "frontend": "app.example.com", "buckets": ""}
    files = [_LOCAL, *(text.format(**which) for which in (staging, production) for text in (_GATEWAY, _API))]
    checks = "".join(
        f"labeler env check --for {service} --file {file}.env\n"
        for service, file in (
            ("gateway", "local"),
            ("api", "local"),
            ("gateway", "staging-gateway"),
            ("api", "staging-api"),
            ("gateway", "production-gateway"),
            ("api", "production-api"),
        )
    )
    return [*(f"```ini\n{text}```" for text in files), f"```sh\n{checks}```"]
