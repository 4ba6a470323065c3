"""What use cases are given: `Services` live as long as the process, a `Call` as long as one request."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic

import msgspec
from msgspec import Struct

from labeler_api.db.platform import PlatformDatabase
from labeler_api.db.pool import Caller, Database
from labeler_api.errors import Unauthenticated
from labeler_api.limits.answer_memory import AnswerMemory
from labeler_api.limits.open_streams import OpenStreams
from labeler_api.limits.rate_limits import Limits
from labeler_api.object_store.bucket_ownership import BucketOwnership
from labeler_api.object_store.objects import ObjectStore
from labeler_api.process.draining import Draining
from labeler_api.process.maintenance import Maintenance
from labeler_api.resilience.caches import Caches
from labeler_api.settings import Settings
from labeler_api.telemetry.instruments import Instruments
from labeler_api.tokens.signed_links import Links
from labeler_api.user_directory.directory import UserDirectory, UserProfile
from labeler_api.user_directory.organizations import Organizations
from labeler_api.workers.decoders import Decoders, capacity
from labeler_api.workers.fair_queue import FairQueue
from labeler_api.workers.json_threads import JsonThreads
from service_kit import container

_REQUEST_SECONDS = 30.0  # what browsers and proxies wait for at most; every call below gets what is left of it
_ANSWER_SECONDS = 1.0  # of it, for the answer to get back
_REREAD_AT_ONCE = 4  # connections to the store; each brings some 100 MB/s, and other exports share them
_PATIENCE_SECONDS = 20.0  # of it, in which a connection is waited for: what it is wanted for takes time, too


class Principal(Struct, frozen=True):
    """Who calls, as the User DB knows them now."""

    user_id: int
    email: str
    is_admin: bool
    profile: UserProfile


class IdempotencyKey(Struct, frozen=True):
    """What a creating request is recognised by when it is sent again (labeler_api/idempotency/keys.py)."""

    key: str
    operation: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class Services:
    """Made once by the lifespan of the application."""

    settings: Settings
    db: Database
    directory: UserDirectory
    objects: ObjectStore
    bucket_ownership: BucketOwnership
    links: Links
    limits: Limits
    platform: PlatformDatabase
    organizations: Organizations
    instruments: Instruments
    streams: OpenStreams
    caches: Caches = field(default_factory=Caches)
    # Directories of archives are read one at a time: each is up to a second of pure Python in a thread.
    unpacking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    answers: AnswerMemory = field(default_factory=AnswerMemory)
    # Pictures are decoded in processes that can be killed.
    decoders: Decoders = field(default_factory=lambda: Decoders(capacity()))
    # Long JSON bodies are judged in threads of their own.
    json_threads: JsonThreads = field(default_factory=JsonThreads)
    # As many files of annotations are read at once as there are cores: more would only add their memory up.
    # One person's leave one over.
    parsing: FairQueue = field(default_factory=lambda: FairQueue(container.cores(), each=max(1, container.cores() - 1)))
    # Older images are read once more for their checksums: a few at once in this process, whoever asks.
    rereading: FairQueue = field(default_factory=lambda: FairQueue(_REREAD_AT_ONCE, each=_REREAD_AT_ONCE))
    # JPEGs of older TIFFs are made by one request of a person at a time, and by two requests in all.
    rendering: FairQueue = field(default_factory=lambda: FairQueue(2, each=1))
    maintenance: Maintenance = field(default_factory=Maintenance)
    draining: Draining = field(default_factory=Draining)


class Call(Struct, frozen=True):
    """One request: the services, who asks, and what of the HTTP request a use case may need."""

    services: Services
    request_id: str
    client: str
    user: Principal | None = None
    if_none_match: str | None = None
    if_match: str | None = None
    idempotency: IdempotencyKey | None = None
    started: float = msgspec.field(default_factory=monotonic)
    # Uploads, imports, exports and the like take longer than a request; each of their transactions has its own limits.
    long: bool = False
    # The project that an earlier try would have had to wait for.
    project: str = ""

    @property
    def principal(self) -> Principal:
        """The caller. Raises Unauthenticated on a route that was declared to need nobody."""
        if self.user is None:
            raise Unauthenticated("Log in first.")
        return self.user

    @property
    def user_id(self) -> int:
        """The caller's id. Raises Unauthenticated as `principal` does."""
        return self.user.user_id if self.user is not None else self.principal.user_id

    @property
    def db(self) -> Database:
        """The Labeler DB, as this caller may use it."""
        person = str(self.user.user_id) if self.user is not None else self.client
        if self.long:
            return self.services.db.of(Caller(person, self.project))
        patience, deadline = self.started + _PATIENCE_SECONDS, self.started + _REQUEST_SECONDS - _ANSWER_SECONDS
        return self.services.db.of(Caller(person, self.project, patience, deadline))

    @property
    def directory(self) -> UserDirectory:
        """User profiles, from the gateway."""
        return self.services.directory

    @property
    def objects(self) -> ObjectStore:
        """The object store."""
        return self.services.objects

    def stream_place(self, person: int) -> AbstractAsyncContextManager[None]:
        """A place among the streams, for the person whose link this is."""
        return self.services.streams.place(person, self.client)

    @property
    def links(self) -> Links:
        """Signed links to media."""
        return self.services.links

    @property
    def platform(self) -> PlatformDatabase:
        """The Platform DB, which may be away at any time."""
        return self.services.platform

    @property
    def organizations(self) -> Organizations:
        """Names of organizations, from the Platform DB."""
        return self.services.organizations

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.services.settings

    @property
    def remaining_seconds(self) -> float:
        """What is left of the time that a request may take, at least a tenth of a second."""
        return max(0.1, self.started + _REQUEST_SECONDS - monotonic())
