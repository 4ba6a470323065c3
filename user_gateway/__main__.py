"""`python -m user_gateway`: run the gateway until SIGTERM or SIGINT."""

import os
import sys

from service_kit import tracing
from service_kit.logs import tell
from service_kit.metrics_directory import shared_metrics
from service_kit.settings import EXIT_CONFIGURATION, Problems, SettingsError
from user_gateway.catalog import CatalogError
from user_gateway.settings import Settings, load
from user_gateway.writable_role import UserRoleCanWrite


def main() -> int:
    """Read the settings, run, and return the exit code."""
    problems = Problems()
    try:
        with problems.noted():
            settings = load()
        with problems.noted():
            tracing.exporters(os.environ)
        problems.refuse()
        with shared_metrics(settings.variables.user_gateway_workers):
            return _serve(settings)
    except (SettingsError, UserRoleCanWrite, CatalogError) as error:
        tell(sys.stderr, f"user_gateway: {error}\n".encode())
        return EXIT_CONFIGURATION


def _serve(settings: Settings) -> int:
    # Imported here: prometheus_client has to come after `shared_metrics`.
    if settings.variables.user_gateway_workers > 1:
        from user_gateway.workers import supervise

        return supervise(settings)
    from user_gateway.ready import announce
    from user_gateway.serving import serve

    serve(settings, lambda gateway, _: announce(settings, gateway.port, gateway.health_port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
