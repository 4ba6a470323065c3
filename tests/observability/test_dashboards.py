"""Rules, alarms and the dashboard: Prometheus takes them, and each metric and label in them exists."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from labeler_api.telemetry.metrics import Metrics as ApiMetrics
from user_gateway.metrics import Metrics as GatewayMetrics

OBSERVABILITY = Path(__file__).parents[2] / "deploy" / "observability"
RULES = OBSERVABILITY / "rules.yml"
DASHBOARD = OBSERVABILITY / "grafana" / "labeler.json"
_METRIC = re.compile(r"\b((?:labeler|user_gateway|process)_[a-z0-9_]+)\b(\{[^}]*\})?")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
# Of Prometheus itself, of its scrape, of a histogram, and of a process among several.
_GIVEN = {"instance", "job", "le", "pid"}


def rules() -> list[dict[str, Any]]:
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return read


def expressions() -> list[str]:
    panels = dashboard()["panels"]
    return [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels for target in panel.get("targets", [])
    ]


def promtool(*words: str | Path) -> str:
    """Debian's, which `make servers` brings (tests/install.sh)."""
    binary = shutil.which("promtool") or Path(sys.executable).with_name("promtool")
    done = subprocess.run([binary, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules_and_each_alarm_goes_off_as_its_test_says() -> None:
    promtool("check", "rules", RULES)
    promtool("test", "rules", OBSERVABILITY / "rules_test.yml")


def test_each_alarm_has_a_test_a_severity_and_an_advice() -> None:
    tests = (OBSERVABILITY / "rules_test.yml").read_text()
    alarms = [rule for rule in rules() if "alert" in rule]
    assert len(alarms) > 10
    for alarm in alarms:
        assert alarm["alert"] in tests
        assert alarm["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "what_to_do"} == alarm["annotations"].keys()


def test_prometheus_can_read_each_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in expressions()]
    records = [{"record": f"query:number{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    assert f"{len(records)} rules found" in promtool("check", "rules", file)


def test_each_metric_and_label_exists() -> None:
    """A name that was changed would leave an empty panel, and an alarm that never goes off."""
    missing = set()
    for query in expressions():
        used = [(_family(name), labels) for name, labels in _METRIC.findall(query)]
        missing |= {name for name, _ in used if name not in KNOWN}
        for name, labels in used:
            named = set(re.findall(r"(\w+)\s*(?:=|!)", labels))
            missing |= {f"{name}.{label}" for label in named - KNOWN.get(name, set()) - _GIVEN}
        everything = set().union(*(KNOWN.get(name, set()) for name, _ in used))
        if used:
            for listed in _BY.findall(query):
                missing |= {label.strip() for label in listed.split(",")} - everything - _GIVEN
    assert missing == set()


def test_every_metric_is_shown_or_alarms() -> None:
    """A metric that no panel shows is looked for when it is needed, and not found."""
    shown = {_family(name) for query in expressions() for name, _ in _METRIC.findall(query)}
    assert {name for name in KNOWN if not name.startswith("process_")} - shown == set()


def _family(name: str) -> str:
    """The name without what Prometheus adds for a histogram's or a counter's samples."""
    return name if name in KNOWN else re.sub(r"_(bucket|sum|count|total)$", "", name)


def _known() -> dict[str, set[str]]:
    """Each metric of both services, and its labels; a scrape shows labels only of what was counted."""
    known = {}
    for registry in (ApiMetrics().registry, GatewayMetrics()._registry):
        for collector in registry._collector_to_names:
            for family in collector.collect():
                known[family.name] = set(getattr(collector, "_labelnames", ()))
    return known


KNOWN = _known()


@pytest.mark.parametrize(
    "panel", [panel for panel in dashboard()["panels"] if panel["type"] != "row"], ids=lambda p: p["title"]
)
def test_a_panel_has_a_title_a_unit_and_a_place(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
