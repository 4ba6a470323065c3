"""The variables of the user gateway, of what watches both services, and of the `labeler` command."""

from collections.abc import Sequence

from labeler_ops.environment.variables import Group, Text

_POSTGRES = "postgresql://user:password@host:port/name"
_TOKENS = "caller=token[|token]:scope[+scope], separated by commas"

SEEING = Group(
    "Logs, metrics and traces, both services (docs/observability.md)",
    "관측(두 서비스 공통, docs/observability.md)",
    ("api", "gateway"),
    (
        Text(
            "METRICS_TOKEN",
            "bearer token of GET /metrics; without one, development and this machine only",
            "GET /metrics의 bearer 토큰. 없으면 개발 환경의 로컬에서만 허용",
            secret=True,
        ),
        Text(
            "EVENT_LOOP_STEP_SECONDS",
            "log each step of a call that held the event loop for longer; 0: no watch. For finding what does, in tests",
            "이벤트 루프를 이보다 오래 점유한 호출 단계를 로그로 남김. 0이면 끔. 테스트와 원인 분석용",
        ),
        Text(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "traces are sent there; every other OTEL_* is the standard's",
            "트레이스 전송 주소. 그 밖의 OTEL_*는 표준을 따름",
            form="http://host:4318",
            fallback=True,
        ),
        Text(
            "OTEL_TRACES_EXPORTER",
            "default: otlp where there is an endpoint",
            "기본값: 주소가 있으면 otlp",
            form="otlp | console | none",
            fallback=True,
        ),
        Text(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "the only one that is built in",
            "지원하는 프로토콜은 이것뿐",
            form="http/protobuf",
            fallback=True,
        ),
        Text("OTEL_SDK_DISABLED", "true: no traces", "true면 트레이스 끔", form="true | false", fallback=True),
        Text(
            "PROMETHEUS_MULTIPROC_DIR",
            "where API_WORKERS > 1 keep their numbers; default: a directory in /tmp",
            "API_WORKERS > 1일 때 지표 저장 위치. 기본값: /tmp 아래",
            form="path of a directory",
            fallback=True,
        ),
    ),
)

GATEWAY = Group(
    "user_gateway; its User DB is read-only, and proven to be: the URL or the parts",
    "user_gateway. User DB는 읽기 전용(권한까지 검사): URL 또는 개별 값",
    ("gateway",),
    (
        Text(
            "USER_DB_URL",
            "the whole address",
            "전체 주소",
            secret=True,
            url=True,
            form=_POSTGRES,
            example="postgresql://user_readonly:password@127.0.0.1:5434/users",
            local="postgresql://user_readonly:password@host.proxy.rlwy.net:12347/railway?sslmode=require",
            also=("ops",),
        ),
        Text(
            "USER_DB_HOST",
            "with the parts below, instead of the URL",
            "URL 대신 아래 값들과 함께 사용",
            fallback=True,
            example="127.0.0.1",
            also=("ops",),
        ),
        Text("USER_DB_PORT", "port", "포트", fallback=True, form="port number", default="5434"),
        Text("USER_DB_NAME", "database", "데이터베이스 이름", fallback=True, default="users"),
        Text("USER_DB_USER", "role", "사용자(역할)", fallback=True, default="user_readonly"),
        Text("USER_DB_PASSWORD", "password", "비밀번호", fallback=True, secret=True),
        Text("USER_DB_POOL_SIZE", "connections of the gateway", "게이트웨이의 연결 수"),
        Text(
            "USER_DB_ALLOW_WRITABLE",
            "true lets a role that could write through: development only",
            "true면 쓰기 가능한 역할도 허용(개발 전용)",
        ),
        Text("USER_GATEWAY_HOST", "address to listen on; :: for all, IPv4 and IPv6", "수신 주소. ::는 IPv4·IPv6 전체"),
        Text("USER_GATEWAY_PORT", "gRPC", "gRPC 포트", also=("ops",)),
        Text("USER_GATEWAY_TOKENS", "who may call, and what", "호출자별 토큰과 권한", secret=True, form=_TOKENS),
        Text(
            "USER_GATEWAY_PAGE_KEYS",
            "keys of page tokens, a comma list; default: made from the tokens",
            "페이지 토큰 키(쉼표 목록). 기본값: 토큰에서 생성",
            secret=True,
        ),
        Text("USER_GATEWAY_REFLECTION", "default: everywhere but in production", "기본값: production 외에는 켜짐"),
        Text(
            "USER_GATEWAY_CALL_SECONDS",
            "longest time of one call, whatever its caller allows",
            "호출 하나의 최대 시간(초)",
        ),
        Text(
            "USER_GATEWAY_HASH_SLOTS",
            "passwords checked at once; default: the number of cores",
            "동시에 검사하는 비밀번호 수. 기본값: 코어 수",
        ),
        Text(
            "USER_GATEWAY_DRAIN_SECONDS",
            "NOT_SERVING before connections are refused; default: 2 (0.2 in development)",
            "연결을 거부하기 전 NOT_SERVING 시간(초). 기본값 2(개발 0.2)",
        ),
        Text(
            "USER_GATEWAY_GRACE_SECONDS",
            "how long SIGTERM waits for calls under way",
            "SIGTERM 후 처리 중인 호출을 기다리는 시간(초)",
        ),
        Text("USER_GATEWAY_CONNECTION_AGE_SECONDS", "a connection is renewed after it", "연결을 갱신하는 주기(초)"),
        Text(
            "USER_GATEWAY_SERVER_TLS_CERT",
            "with its key, or none of both: the gateway speaks TLS",
            "키와 함께 설정하면 게이트웨이가 TLS 사용",
        ),
        Text("USER_GATEWAY_SERVER_TLS_KEY", "its key", "인증서의 키"),
        Text(
            "USER_GATEWAY_SERVER_TLS_CLIENT_CA",
            "callers must show a certificate of this authority (mTLS)",
            "호출자 인증서를 검증할 CA(mTLS)",
        ),
        Text(
            "USER_GATEWAY_READY_FILE",
            "written with the bound ports once the gateway listens",
            "수신을 시작하면 포트를 기록하는 파일",
        ),
    ),
)

OPS = Group(
    "The `labeler` command",
    "`labeler` 명령",
    ("ops",),
    (
        Text(
            "LABELER_HOME",
            "where `labeler up` keeps data, logs and secrets",
            "`labeler up`의 데이터·로그·비밀값 위치",
            form="path of a directory",
            default=".labeler",
        ),
        Text(
            "LABELER_POSTGRES",
            "which PostgreSQL `labeler up` runs; default: the first that works",
            "`labeler up`이 실행할 PostgreSQL. 기본값: 동작하는 첫 번째",
            form="system | wheel15 | wheel17",
        ),
        Text(
            "LABELER_LEGACY_TIMEZONE",
            "zone of the server that filled in times by now(), for an upgrade of production's database",
            "운영 DB 업그레이드 시, now()로 시각을 기록한 서버의 시간대",
            form="name of a time zone",
            default="UTC",
        ),
        Text(
            "LABELER_ROLE_PASSWORD",
            "password of the role that `labeler db roles --apply` makes",
            "`labeler db roles --apply`로 만드는 역할의 비밀번호",
            secret=True,
        ),
        Text(
            "LABELER_SMOKE_PASSWORD",
            "`labeler smoke`: password of the account",
            "`labeler smoke`: 계정의 비밀번호",
            secret=True,
            fallback=True,
        ),
        Text(
            "LABELER_SMOKE_MEMBER_PASSWORD",
            "`labeler smoke`: password of the second account",
            "`labeler smoke`: 두 번째 계정의 비밀번호",
            secret=True,
            fallback=True,
        ),
        Text(
            "LABELER_SMOKE_AGAINST_PASSWORD",
            "`labeler staging-check`: password at the deployment that is compared with, if another",
            "`labeler staging-check`: 비교 대상 배포의 비밀번호(다를 때만)",
            secret=True,
            fallback=True,
        ),
    ),
)


def _store(prefix: str, english: str, korean: str) -> Sequence[Text]:
    """List the variables of one store of a move: the S3_* of that store, with a prefix."""
    return (
        Text(f"{prefix}_S3_ENDPOINT", english, korean, fallback=True, form="http(s)://host[:port]"),
        Text(f"{prefix}_S3_ACCESS_KEY", "its key", "액세스 키", fallback=True, secret=True),
        Text(f"{prefix}_S3_SECRET_KEY", "its secret", "시크릿 키", fallback=True, secret=True),
        Text(
            f"{prefix}_S3_REGION", "its region; default: auto for Cloudflare R2, else us-east-1", "리전", fallback=True
        ),
        Text(
            f"{prefix}_S3_USE_SSL",
            "where its endpoint has no scheme",
            "주소에 http(s)://가 없을 때만 사용",
            fallback=True,
            form="true | false",
        ),
        Text(f"{prefix}_S3_BUCKET_DATASETS", "bucket of images", "이미지 버킷", fallback=True, default="datasets"),
        Text(
            f"{prefix}_S3_BUCKET_ANNOTATIONS",
            "bucket of exports",
            "내보내기 버킷",
            fallback=True,
            default="annotations",
        ),
    )


MOVE = Group(
    "The move: `labeler move`",
    "이전: `labeler move`",
    ("ops",),
    (
        Text(
            "SOURCE_DATABASE_URL",
            "the database that is moved",
            "옮길 데이터베이스",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "TARGET_DATABASE_URL",
            "an empty database that it is moved to",
            "옮겨 갈 빈 데이터베이스",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "SOURCE_DATABASE_URL_SEEN_BY_TARGET",
            "the source where the target's server uses another address, by replication",
            "복제에서 대상 서버가 원본에 접속하는 주소가 다를 때",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "TARGET_DATABASE_URL_SEEN_BY_SOURCE",
            "the target where the source's server uses another address, by replication",
            "복제에서 원본 서버가 대상에 접속하는 주소가 다를 때",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "ROLLBACK_DATABASE_URL",
            "`labeler move rollback`: an empty database for all that the target holds",
            "`labeler move rollback`: 대상의 모든 내용을 옮길 빈 데이터베이스",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "ADMIN_DATABASE_URL",
            "`labeler db roles --apply`: the database, as a superuser",
            "`labeler db roles --apply`: 슈퍼유저로 접속하는 데이터베이스",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "TARGET_PRIVATE_ADDRESS",
            "where the services reach the target, for the new environment, if not at the address of the move",
            "이전에 쓰는 주소와 다를 때, 서비스가 대상에 접속하는 주소(새 환경 파일에 기록)",
            form="host:port",
            fallback=True,
        ),
        *_store("SOURCE", "the store that objects are copied from", "복사해 올 스토리지"),
        *_store("TARGET", "the store that objects are copied to", "복사해 넣을 스토리지"),
    ),
)

BACKUP = Group(
    "Backups: `labeler backup …` (docs/deployment/backup-and-restore.md)",
    "백업: `labeler backup …` (docs/deployment/backup-and-restore.ko.md)",
    ("ops",),
    (
        Text(
            "BACKUP_PLACE",
            "where backups are kept",
            "백업을 보관하는 위치",
            form="path of a directory, or s3://bucket/prefix",
            fallback=True,
        ),
        Text(
            "BACKUP_DATABASE_URL",
            "`create`: the database, unpooled, as a role that reads everything; default: LABELER_DB_URL or its parts",
            "`create`: 백업할 데이터베이스(풀러 없이, 모두 읽는 역할). 기본값: LABELER_DB_URL 또는 개별 값",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "RESTORE_DATABASE_URL",
            "`restore`: a database that is empty, or not there yet",
            "`restore`: 비어 있거나 아직 없는 데이터베이스",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "BACKUP_SCRATCH_DATABASE_URL",
            "`create`, `verify`: a server where backups are tried, in a database of their own",
            "`create`, `verify`: 백업을 시험 복원할 서버(임시 데이터베이스 사용)",
            secret=True,
            url=True,
            form=_POSTGRES,
            fallback=True,
        ),
        Text(
            "BACKUP_WORK",
            "a directory with room for a dump; default: the system's for such files",
            "덤프를 둘 공간이 있는 디렉터리. 기본값: 시스템의 임시 디렉터리",
            form="path of a directory",
            fallback=True,
        ),
        Text(
            "BACKUP_ALLOW_PLAIN",
            "true lets data pass unencrypted over a network that is not private",
            "true면 사설망이 아니어도 암호화하지 않은 전송을 허용",
            form="true | false",
            fallback=True,
        ),
        *_store("BACKUP", "the store of s3:// places", "s3:// 위치의 스토리지")[:5],
    ),
)
