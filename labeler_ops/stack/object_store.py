"""One SeaweedFS of our own (`weed mini`: master, volume, filer and S3 in one process), on 127.0.0.1."""

import asyncio
import json
import os
import shutil
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from labeler_ops.errors import StackError
from labeler_ops.stack.ports import HOST
from labeler_ops.stack.processes import POLL_SECONDS, Process, spawn
from labeler_ops.storage.access import FRONTEND_ORIGINS, StorageAccess, StorageError

# Every port is set, or two copies on one machine collide. The S3 port comes first: it is the endpoint.
_PORT_OPTIONS = (
    "-s3.port",
    "-s3.port.grpc",
    "-master.port",
    "-master.port.grpc",
    "-volume.port",
    "-volume.port.grpc",
    "-filer.port",
    "-filer.port.grpc",
    "-admin.port",
    "-admin.port.grpc",
)
PORT_COUNT = len(_PORT_OPTIONS)
_OPTIONS = (
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    # Resuming, the master is not its own leader yet when the volume server first asks, and is asked again 5 s later.
    "-master.resumeState=false",
    "-volume.preStopSeconds=0",  # there is no other server that has to learn that this one goes
)
_READY_SECONDS = 30.0  # usually 1 s; the volume server's registration was seen to take 20 s
_STOP_SECONDS = 3.0  # usually 1 s, now and then it hangs; data and metadata survive the SIGKILL that follows
_SOCKETS = Path("/tmp")  # noqa: S108 - SeaweedFS puts its sockets there, whatever TMPDIR says


def find_weed(environ: Mapping[str, str] = os.environ) -> Path:
    """Find the SeaweedFS program: beside this Python, or on PATH. Raises StackError."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = beside if beside.is_file() else shutil.which("weed", path=environ.get("PATH"))
    if found is None:
        raise StackError(
            "SeaweedFS (weed) is not installed: run `make install`, or give S3_ENDPOINT of a store you have"
        )
    return Path(found)


class SeaweedServer:
    """A SeaweedFS whose data is in `data_dir`; `ports` are PORT_COUNT free ones, the first for S3."""

    def __init__(
        self,
        data_dir: Path,
        ports: Sequence[int],
        access_key: str,
        secret_key: str,
        *,
        log: Path | None = None,
        weed: Path | None = None,
    ) -> None:
        if len(ports) != PORT_COUNT:
            raise ValueError(f"SeaweedFS needs {PORT_COUNT} ports, {len(ports)} were given")
        self.data_dir = data_dir
        self.ports = tuple(ports)
        self.access = StorageAccess(f"http://{HOST}:{ports[0]}", access_key, secret_key)
        self._log = log or data_dir.with_name(data_dir.name + ".log")
        self._weed = weed
        self.process: Process | None = None

    @property
    def endpoint(self) -> str:
        """The S3 endpoint."""
        return self.access.endpoint

    async def start(self, *, origins: Sequence[str] = FRONTEND_ORIGINS) -> None:
        """Start the store and wait until both buckets exist and take objects. Raises StackError."""
        self.launch()
        await self.wait_ready(origins=origins)

    def launch(self) -> None:
        """Start the store without waiting for it."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._remove_sockets()
        config = self._write_identities()
        argv: list[str | Path] = [
            self._weed or find_weed(),
            "-logtostderr",
            "mini",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
        ]
        argv += [f"-dir={self.data_dir}", f"-s3.config={config}", *_OPTIONS]
        argv += [f"{option}={port}" for option, port in zip(_PORT_OPTIONS, self.ports, strict=True)]
        # It survives SIGKILL with its data and metadata, so that is what it gets when we die.
        self.process = spawn("storage", argv, log=self._log, cwd=self.data_dir)

    async def wait_ready(self, *, origins: Sequence[str] = FRONTEND_ORIGINS, seconds: float = _READY_SECONDS) -> None:
        """Make the buckets and wait until a put and a get succeed. Raises StackError with the log's end."""
        from labeler_ops.storage.buckets import prepare  # takes half a second to load, while the store starts

        preparing = asyncio.ensure_future(prepare(self.access, origins=origins, seconds=seconds))
        try:
            while not (await asyncio.wait({preparing}, timeout=POLL_SECONDS))[0]:
                if self.process is None or self.process.exit_code() is not None:
                    raise StorageError("it ended")
            preparing.result()
        except StorageError as error:
            tail = self.process.tail() if self.process else ""
            raise StackError(f"SeaweedFS is not ready: {error}; the end of {self._log}:\n{tail}") from error
        finally:
            preparing.cancel()

    async def stop(self) -> None:
        """Stop the store; nothing when it is not up."""
        process, self.process = self.process, None
        if process is not None:
            await process.stop((signal.SIGTERM, _STOP_SECONDS))
            self._remove_sockets()

    def _remove_sockets(self) -> None:
        for port in self.ports:
            for path in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def _write_identities(self) -> Path:
        path = self.data_dir.with_name(self.data_dir.name + "-identities.json")
        credentials = {"accessKey": self.access.access_key, "secretKey": self.access.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "labeler", "credentials": [credentials], "actions": actions}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"identities": [identity]}))
        return path
