"""Both services on Railway, as its CLI reads them: `railway config plan`, then `railway config apply`.

The variables that `preserve()` marks are set by hand, once (docs/deployment/railway-setup.md), and stand in no file.
The addresses of the databases are among them: they name the roles that the services use, not the databases' owner, and
a move or its rollback changes them.
"""

from typing import Any

from railway_sdk import database, define_railway, github, preserve, project, service

REPOSITORY = "your-organization/image-labeler"
DRAINING_SECONDS = 30  # Railway's default is none: SIGKILL right after SIGTERM would cut saves that are under way
OVERLAP_SECONDS = 10  # the new deployment answers before the old one is told to stop

# Railway's CLI may pass over the keys of the same meaning; it reads these as variables of the service in any case.
LIFECYCLE = {
    "RAILWAY_DOCKERFILE_PATH": "Dockerfile",
    "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": str(DRAINING_SECONDS),
    "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": str(OVERLAP_SECONDS),
}
RESTART = {"restartPolicyType": "ON_FAILURE", "restartPolicyMaxRetries": 10}
# What only the operator knows: addresses, keys, and under which name browsers come.
SET_BY_HAND = (
    "LABELER_DB_URL",
    "PLATFORM_DB_URL",
    "USER_GATEWAY_TOKEN",
    "JWT_SECRET_KEY",
    "MEDIA_LINK_KEYS",
    "METRICS_TOKEN",
    "API_PUBLIC_URL",
    "CORS_ORIGINS",
    "S3_ENDPOINT",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "S3_BUCKET_DATASETS",
    "S3_BUCKET_ANNOTATIONS",
)
# Production's major. The SDK's postgres() would make the newest one.
POSTGRES = "ghcr.io/railwayapp-templates/postgres-ssl:15"
DATABASES = ("labeler-db", "user-db", "platform-db")
BUILD = {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
# The nightly backup (docs/deployment/backup-and-restore.md). Its image has every command, and PostgreSQL's clients.
BACKUP = False
BACKUP_AT = "15 2 * * *"  # UTC
BACKUP_BY_HAND = (
    "BACKUP_DATABASE_URL",
    "BACKUP_PLACE",
    "BACKUP_S3_ENDPOINT",
    "BACKUP_S3_ACCESS_KEY",
    "BACKUP_S3_SECRET_KEY",
    *(name for name in SET_BY_HAND if name.startswith("S3_")),
)


@define_railway
def main(ctx: Any = None) -> Any:
    """Describe the project: databases, the gateway, which only the API reaches, and the API, which everybody does."""
    environment = "staging" if getattr(ctx, "environment", None) == "staging" else "production"
    source = github(REPOSITORY, branch="main")
    gateway = service(
        "user-gateway",
        source=source,
        build=BUILD,
        start="python -m user_gateway",
        healthcheck="/health",  # over HTTP on PORT: Railway's check speaks no gRPC
        healthcheckTimeout=120,
        replicas=1,
        deploy={**RESTART, "drainingSeconds": DRAINING_SECONDS, "overlapSeconds": OVERLAP_SECONDS},
        env={
            **LIFECYCLE,
            "ENVIRONMENT": environment,
            "PORT": "8080",
            "USER_GATEWAY_PORT": "50051",
            "USER_DB_URL": preserve(),
            "USER_GATEWAY_TOKENS": preserve(),
            "METRICS_TOKEN": preserve(),
        },
    )
    api = service(
        "labeler-api",
        source=source,
        build=BUILD,
        start="python -m labeler_api",
        preDeploy=["labeler db upgrade"],
        healthcheck="/health/deploy",
        healthcheckTimeout=120,
        replicas=1,
        deploy={**RESTART, "drainingSeconds": DRAINING_SECONDS, "overlapSeconds": OVERLAP_SECONDS},
        env={
            **LIFECYCLE,
            "ENVIRONMENT": environment,
            "API_HOST": "::",
            # Less than the draining: what is under way ends by itself, not by SIGKILL.
            "API_SHUTDOWN_SECONDS": "20",
            "TRUSTED_PROXIES": "*",  # only Railway's edge and the private network reach the container
            "CLIENT_ADDRESS_HEADER": "X-Real-IP",  # which the edge sets, whatever the browser sent
            "USER_GATEWAY_ADDRESS": "${{user-gateway.RAILWAY_PRIVATE_DOMAIN}}:50051",
            "S3_REGION": "auto",
            **dict.fromkeys(SET_BY_HAND, preserve()),
        },
    )
    databases = [
        database(name, "postgres", image=POSTGRES, output="DATABASE_URL", defaultMountPath="/var/lib/postgresql/data")
        for name in DATABASES
    ]
    # What is not listed here and is there would be deleted by `railway config apply`.
    return project("image-labeler", resources=[*databases, gateway, api, *([nightly(source)] if BACKUP else [])])


def nightly(source: Any) -> Any:
    """Describe the nightly backup: a service that ends by itself, and that Railway starts by the clock."""
    return service(
        "labeler-backup",
        source=source,
        build={"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile.ops"},
        start='sh -c "labeler backup create && labeler backup prune --remove"',
        deploy={"cronSchedule": BACKUP_AT, "restartPolicyType": "NEVER"},
        env={
            "RAILWAY_DOCKERFILE_PATH": "Dockerfile.ops",
            "S3_REGION": "auto",
            **dict.fromkeys(BACKUP_BY_HAND, preserve()),
        },
    )
