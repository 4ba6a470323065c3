"""How the channel to the user gateway behaves: retries, health, keepalive, reconnection."""

import json
from collections.abc import Mapping
from typing import Any

# Only UNAVAILABLE says that nothing was processed. Credentials are never checked twice.
_RETRIED = ("GetUser", "BatchGetUsers", "SearchUsers", "GetServiceInfo")
SERVICE_CONFIG: Mapping[str, Any] = {
    # A gateway that says NOT_SERVING gets no more calls: one that stops loses none, one without its database is not
    # waited for. Needs round_robin.
    "healthCheckConfig": {"serviceName": "users.v1.UserGatewayService"},
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "users.v1.UserGatewayService", "method": method} for method in _RETRIED],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A gateway that fails most calls is not asked three times more often.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
OPTIONS = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # The gateway allows pings every 30 s (user_gateway/server.py); more often than it allows would cut the connection.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The default waits up to two minutes before it connects again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),  # the gateway is on the private network
)
