"""The files for a cluster: what Kubernetes would take, what the services need, and what stays closed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from labeler_api.db.connection_budget import BESIDE_THE_POOL
from labeler_ops.environment.declaration import VARIABLES
from labeler_ops.environment.environment_check import check

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("local/migrate", "local", "production/migrate", "production")
VERSIONS = ("1.32", "1.34")  # the oldest that is still supported by its makers, and a newer one
OTHERS = {"ServiceMonitor", "PrometheusRule"}  # of the Prometheus operator, whose schemas the validator does not have
_CONNECTIONS = 100  # max_connections of PostgreSQL as it comes
_RULE = """\
# The rules of deploy/observability/rules.yml; tests/deployment/test_kubernetes.py holds them equal.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: labeler
spec:
"""

Document = dict[str, Any]


@cache
def rendered(overlay: str) -> list[Document]:
    """What `kubectl apply -k` would send."""
    return _rendered(KUBERNETES / "overlays" / overlay)


def _rendered(directory: Path) -> list[Document]:
    beside = Path(sys.executable).parent / "kubectl"  # tests/install.sh puts it there where there is none
    words = [shutil.which("kubectl") or beside, "kustomize", directory]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    return [document for document in rendered(overlay) if document["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, Document]]:
    for document in of_kind(overlay, "Deployment", "Job"):
        yield document["metadata"]["name"], document["spec"]["template"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_would_take_every_document(overlay: str) -> None:
    import kubernetes_validate  # type: ignore[import-untyped] # two seconds, which only these two tests need

    documents = rendered(overlay)
    assert documents
    for version in VERSIONS:
        for document in documents:
            if document["kind"] not in OTHERS:
                kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    import kubernetes_validate

    document = of_kind("production", "Deployment")[0] | {"spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spce"):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_is_root_or_may_become_it_or_is_without_bounds(overlay: str) -> None:
    """The namespace refuses others: pod-security.kubernetes.io/enforce=restricted."""
    assert list(pods(overlay))
    for name, template in pods(overlay):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            context, resources = container["securityContext"], container["resources"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context.get("readOnlyRootFilesystem", False) is (name not in {"postgres", "storage"}), name
            assert {"cpu", "memory"} <= resources["requests"].keys(), name
            assert "memory" in resources["limits"], name


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_names_of_config_secrets_and_ports_lead_somewhere(overlay: str) -> None:
    maps = {one["metadata"]["name"] for one in of_kind(overlay, "ConfigMap")}
    secrets = {one["metadata"]["name"] for one in of_kind(overlay, "Secret")}
    ports = {}
    for name, template in pods(overlay):
        for container in template["spec"]["containers"]:
            ports[name] = {port["name"] for port in container["ports"]}
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    assert source["configMapRef"]["name"] in maps
                elif overlay == "local":
                    assert source["secretRef"]["name"] in secrets
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[kind]["httpGet"]["port"] in ports[name]
    labels = {template["metadata"]["labels"]["app.kubernetes.io/name"] for _, template in pods(overlay)}
    for service in of_kind(overlay, "Service"):
        name = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert name in labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[name]
    for monitor in of_kind(overlay, "ServiceMonitor"):
        selected = monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        service = next(one for one in of_kind(overlay, "Service") if one["metadata"]["name"] == selected)
        assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_production_files_hold_no_secret() -> None:
    assert of_kind("production", "Secret") == []
    for config in of_kind("production", "ConfigMap"):
        for name in config["data"]:
            assert name in VARIABLES, name
            assert not VARIABLES[name].secret, name


async def test_the_production_settings_pass_the_check_with_the_secrets_of_the_guide() -> None:
    guide = (ROOT / "docs" / "deployment" / "kubernetes.md").read_text()
    for service, role in (("labeler-api", "api"), ("user-gateway", "gateway")):
        config = next(one for one in of_kind("production", "ConfigMap") if one["metadata"]["name"].startswith(service))
        block = re.search(rf"`{service}.env`:\n```ini\n(.*?)```", guide, re.DOTALL)
        assert block is not None, service
        given = dict(line.split("=", 1) for line in block[1].splitlines())
        given = {name: re.sub(r"<[a-z ]+>", "x" * 40, value) for name, value in given.items()}
        report = await check(config["data"] | given, [role], source="test")  # type: ignore[list-item]
        assert report.right, report.problems


def test_a_pod_has_the_time_that_its_settings_ask_for() -> None:
    config = next(
        one for one in of_kind("production", "ConfigMap") if one["metadata"]["name"].startswith("labeler-api")
    )
    needed = int(config["data"]["API_DRAIN_SECONDS"]) + int(config["data"]["API_SHUTDOWN_SECONDS"])
    graces = {name: template["spec"]["terminationGracePeriodSeconds"] for name, template in pods("production")}
    assert graces["labeler-api"] >= needed + 5
    defaults = {name: float(VARIABLES[name].default or 2) for name in _GATEWAY_SECONDS}
    assert graces["user-gateway"] >= sum(defaults.values()) + 5


_GATEWAY_SECONDS = ("USER_GATEWAY_DRAIN_SECONDS", "USER_GATEWAY_GRACE_SECONDS")


def test_all_pods_together_fit_into_postgresql() -> None:
    """Those of the largest roll-out: as many as the autoscaler may make, one that is added, and one that is ending."""
    scaler = next(
        one for one in of_kind("production", "HorizontalPodAutoscaler") if one["metadata"]["name"] == "labeler-api"
    )
    config = next(
        one for one in of_kind("production", "ConfigMap") if one["metadata"]["name"].startswith("labeler-api")
    )
    a_pod = int(config["data"]["DB_POOL_SIZE"]) + int(config["data"]["DB_MAX_OVERFLOW"]) + BESIDE_THE_POOL
    assert (scaler["spec"]["maxReplicas"] + 2) * a_pod < _CONNECTIONS - 5
    # One that is ending is gone before the next is told to end.
    api = next(one for one in of_kind("production", "Deployment") if one["metadata"]["name"] == "labeler-api")
    assert api["spec"]["minReadySeconds"] >= api["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_only_the_gateway_reaches_the_user_database() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("production", "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    address = policies["user-gateway"]["egress"][0]["to"][0]["ipBlock"]["cidr"]
    assert not address.startswith("192.0.2."), "an address of documentation is left"
    for overlay in ("production", "production/migrate"):
        for document in of_kind(overlay, "NetworkPolicy"):
            name, text = document["metadata"]["name"], yaml.safe_dump(document)
            assert ("192.0.2." in text) is False, name
            assert (address in text) is (name == "user-gateway"), name
    # And nobody reaches the whole cluster's networks by the way to the object store.
    for rule in policies["labeler-api"]["egress"]:
        for target in rule["to"]:
            if target.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} == set(target["ipBlock"]["except"])


def test_the_local_cluster_is_made_by_the_commands_of_the_compose_file() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    jobs = {name: template["spec"]["containers"][0] for name, template in pods("local/migrate")}
    for job, service in (
        ("labeler-roles", "labeler-roles"),
        ("users-roles", "user-roles"),
        ("platform-roles", "platform-roles"),
        ("buckets", "buckets"),
        ("labeler-migrate", "migrate"),
    ):
        expected = [word for word in compose[service]["command"] if word != "--url" and "://" not in word]
        assert jobs[job]["command"] == expected
    secrets = {
        one["metadata"]["name"]: one["stringData"] if "stringData" in one else one["data"]
        for one in of_kind("local", "Secret")
    }
    assert len(secrets) == 2


def test_what_the_overlay_offers_in_comments_can_be_taken(tmp_path: Path) -> None:
    """The backup and the way to a collector of traces, switched on as a person would: without the number signs."""
    import kubernetes_validate

    copy = shutil.copytree(KUBERNETES, tmp_path / "kubernetes") / "overlays" / "production"
    file = copy / "kustomization.yaml"
    switched_off = re.compile(r"^(\s*)# (- \.\./|- target:|  patch:|    - \{op)", re.MULTILINE)
    file.write_text(switched_off.sub(r"\1\2", file.read_text()))
    found = {(one["kind"], one["metadata"]["name"]): one for one in _rendered(copy)}
    cron, backup = found["CronJob", "labeler-backup"], found["NetworkPolicy", "labeler-backup"]
    for version in VERSIONS:
        kubernetes_validate.validate(cron, version, strict=True)
        kubernetes_validate.validate(backup, version, strict=True)
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "labeler-backup"
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/labeler-ops:0.1.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    api = found["NetworkPolicy", "labeler-api"]
    assert backup["spec"]["egress"][0]["to"] == api["spec"]["egress"][1]["to"][:1]  # the Labeler DB, and no other
    assert "192.0.2." not in yaml.safe_dump(backup)
    for name in ("labeler-api", "user-gateway"):
        ports = [rule["ports"][0]["port"] for rule in found["NetworkPolicy", name]["spec"]["egress"]]
        assert ports.count(4318) == 1, name


def test_every_image_is_named_by_one_release() -> None:
    for overlay in ("production", "production/migrate", "local/migrate"):
        for name, template in pods(overlay):
            for container in template["spec"]["containers"]:
                assert re.search(r":(\d+\.\d+|RELEASE\.|local$)", container["image"]), (overlay, name)


def test_the_operator_of_prometheus_gets_the_same_rules() -> None:
    """A custom resource cannot read a file. WRITE_RULES=1 writes it anew."""
    rules = (ROOT / "deploy" / "observability" / "rules.yml").read_text()
    expected = _RULE + "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))
    file = KUBERNETES / "components" / "monitoring" / "prometheus-rule.yaml"
    if os.environ.get("WRITE_RULES"):
        file.write_text(expected)
    assert file.read_text() == expected
    (rule,) = of_kind("production", "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(rules)
