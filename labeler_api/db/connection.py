"""What a connection to the Labeler DB is opened with, so that neither side waits for the other without end."""

from service_kit.postgres import KEEPALIVE

APPLICATION = "labeler_api"
"""What the pool's connections call themselves; those of the job queue and of the watch say what they are for."""

STATEMENT_SECONDS = 20
"""What the server gives one statement of a request, which has thirty seconds for all that it does.

The limit also holds between the messages of one execution (Parse, Bind, Execute). It does not hold between two
executions of a statement, nor in the middle of a message: `labeler_api/db/stalled_transactions.py` ends what stands
still there.
"""
LOCK_SECONDS = 5
"""What a statement of a request waits for a lock: it holds a connection that others could use."""
# Between two statements of a write nothing is waited for. A process that is frozen there, or whose machine vanished
# without a word, must not keep a project locked until TCP gives it up, which takes hours.
IDLE_SECONDS = 15

# How often a server at work on a statement looks whether its client is still there: a statement that was given up ends.
_CLIENT_CHECK_SECONDS = 2

PATIENCE: dict[str, str] = {**KEEPALIVE, "client_connection_check_interval": f"{_CLIENT_CHECK_SECONDS}s"}
"""What every connection asks of its server."""

OF_A_REQUEST: dict[str, str] = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
}
"""The server's limits for a request; a transaction that needs more sets its own."""

PLANS: dict[str, str] = {"jit": "off"}
"""How the server is to plan: compiling takes longer than any statement here runs."""

PLANNED_ONCE: dict[str, str] = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""Added by transactions that run the same few statements over and over, on rows that they name by their keys.

PostgreSQL makes a new plan for each execution as long as it hopes for a better one by knowing the values. Of the
statements of a save it always hopes, for they take arrays, and never finds any: a third of a save's time was planning
(docs/performance.md). Where values matter, as how many rows a batch has, the plan for no values in particular is worse.

A plan that is kept may be older than the rows: one that was made for an empty table reads the table through until
statistics are gathered again. Rows that are named by their keys are found by an index, however few there are.
"""

ISOLATION: dict[str, str] = {"default_transaction_isolation": "read committed"}
"""What a write sees: all that was committed before each of its statements.

Every statement here that waits for a row then goes on with what it finds there. A database may be set to another level
for everybody who connects, and writers who wait for each other would fail there instead.
"""

_SESSION: dict[str, str] = {"application_name": APPLICATION, "TimeZone": "UTC"}
# PgBouncer takes no more than these two (and client_encoding, DateStyle, standard_conforming_strings) when a connection
# begins, and hands a transaction to whichever server connection is free: all else is said in each transaction.


def at_the_start(*, pooled: bool) -> dict[str, str]:
    """Give what is set when a connection begins; `pooled` is one that leads to a transaction pooler."""
    return _SESSION if pooled else {**_SESSION, **ISOLATION, **PLANS, **OF_A_REQUEST, **PATIENCE}


def begin(kind: str = "", *, pooled: bool, **limits: str) -> str:
    """Write the one message that opens a transaction of some kind, with the limits that are its own."""
    local = {**PLANS, **OF_A_REQUEST, **limits} if pooled else limits
    if pooled and not kind:
        kind = f"ISOLATION LEVEL {ISOLATION['default_transaction_isolation'].upper()}"
    return "; ".join([f"BEGIN {kind}".rstrip(), *(f"SET LOCAL {name} = '{value}'" for name, value in local.items())])
