"""The whole check: what is set, what is wrong, and what was seen when the parts were asked."""

from collections.abc import Mapping, Sequence

import msgspec

from labeler_ops.environment import problems, problems_stores
from labeler_ops.environment.connections import Allowance, Sum, compare, sums
from labeler_ops.environment.problems import Environment, Problem
from labeler_ops.environment.reading import Row, rows
from labeler_ops.environment.variables import Service

_AS_IT_STANDS = (
    "quotes and a comment behind the value are taken off here, as Docker Compose does; where a line is set as it "
    "stands (Railway, Kubernetes, docker --env-file) they would be part of the value"
)

RULES: Sequence[problems.Rule] = (
    problems.overridden,
    problems.placeholders,
    problems.misspelled,
    problems.addresses,
    problems.draining,
    problems.gateway_client,
    problems.trace_settings,
    problems_stores.pooled,
    problems_stores.distinct_databases,
    problems_stores.encryption,
    problems_stores.storage,
    problems_stores.jobs,
)


class Probe(msgspec.Struct, frozen=True):
    """What one look at one part saw; level `ok`, or a problem's."""

    part: str
    what: str
    level: str
    text: str


class Report(msgspec.Struct, kw_only=True):
    """What the check found. `right` is what the exit code says."""

    services: Sequence[Service]
    variables: list[Row]
    problems: list[Problem]
    connections: list[Sum]
    allowances: list[Allowance] = []
    embedded_postgres: str | None = None
    probes: list[Probe] = []

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        found = [problem.level for problem in self.problems] + [probe.level for probe in self.probes]
        return "wrong" not in found


async def check(
    values: Mapping[str, str],
    services: Sequence[Service],
    *,
    source: str,
    replicas: int = 1,
    overlap: bool = True,
    connect: bool = False,
    otherwise: Sequence[str] = (),
) -> Report:
    """Check an environment; `connect` asks every part that it leads to.

    `otherwise` are variables whose lines some programs would read with their quotes, or with a comment behind them.
    """
    given, found = problems.load(values, services)
    found += [Problem("note", f"{name}: {_AS_IT_STANDS}") for name in otherwise]
    found += [problem for rule in RULES for problem in rule(given)]
    report = Report(
        services=services,
        variables=rows(values, services, source),
        problems=found,
        connections=sums(given, replicas=replicas, overlap=overlap),
    )
    if "ops" in services:
        report.embedded_postgres, more = problems.embedded_postgres(given)
        report.problems += more
    if connect:
        await _connect(given, report)
    return report


async def _connect(given: Environment, report: Report) -> None:
    from labeler_ops.environment.probes import probe  # gRPC and S3 take a second to load

    probed = await probe(given)
    report.probes, report.allowances = probed.seen, probed.allowances
    report.problems += compare(report.connections, probed.allowances)
