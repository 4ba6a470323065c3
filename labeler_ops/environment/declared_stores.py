"""The variables that say where databases and objects are."""

from labeler_ops.environment.variables import Group, Text

_POSTGRES = "postgresql://user:password@host:port/name"
_RAILWAY_URL = "postgresql://postgres:password@host.proxy.rlwy.net:12345/railway?sslmode=require"

LABELER_DB = Group(
    "Labeler DB (read and write): the URL or the parts; without both, Railway's names",
    "Labeler DB(읽기·쓰기): URL 또는 개별 값, 둘 다 없으면 Railway 이름 사용",
    ("api", "ops"),
    (
        Text(
            "LABELER_DB_URL",
            "the whole address",
            "전체 주소",
            secret=True,
            url=True,
            form=_POSTGRES,
            example="postgresql://labeler:password@127.0.0.1:5433/labeler",
            local=_RAILWAY_URL,
        ),
        Text(
            "LABELER_DB_HOST",
            "with the parts below, instead of the URL",
            "URL 대신 아래 값들과 함께 사용",
            fallback=True,
            example="127.0.0.1",
        ),
        Text("LABELER_DB_PORT", "port", "포트", fallback=True, form="port number", default="5432", example="5433"),
        Text("LABELER_DB_NAME", "database", "데이터베이스 이름", fallback=True, example="labeler"),
        Text("LABELER_DB_USER", "role", "사용자(역할)", fallback=True, example="labeler"),
        Text("LABELER_DB_PASSWORD", "password", "비밀번호", fallback=True, secret=True),
        Text(
            "LABELER_DB_UNPOOLED_URL",
            "past a transaction pooler, needed when LABELER_DB_URL leads to one: jobs and maintenance mode listen",
            "LABELER_DB_URL이 트랜잭션 풀러일 때 필요한 직접 주소. 작업과 점검 모드가 LISTEN에 사용",
            secret=True,
            url=True,
            form=_POSTGRES,
        ),
        Text("DB_POOL_SIZE", "connections opened at the start", "시작할 때 여는 연결 수", local="2"),
        Text("DB_MAX_OVERFLOW", "and so many more under load", "부하 시 추가로 여는 연결 수", local="3"),
        Text(
            "DB_POOL_TIMEOUT",
            "seconds to wait for one, then 503; a request waits for 20 at most",
            "연결 대기 시간(초). 넘으면 503. 요청은 이 값과 관계없이 최대 20초 대기",
        ),
        Text("DB_POOL_RECYCLE", "seconds after which one is replaced", "연결을 교체하는 주기(초)"),
        Text(
            "DB_STATEMENT_CACHE",
            "false behind PgBouncer in transaction mode: limits are then set in each transaction",
            "PgBouncer 트랜잭션 모드 뒤에서는 false. 이때 시간 제한은 트랜잭션마다 설정",
        ),
    ),
)

RAILWAY = Group(
    "What Railway sets by itself",
    "Railway가 자동으로 설정하는 값",
    ("api", "ops"),
    (
        Text(
            "PORT",
            "the API's port; the gateway's HTTP health check",
            "API 포트. 게이트웨이에서는 HTTP 상태 확인 포트",
            fallback=True,
            form="port number",
            also=("gateway",),
        ),
        Text(
            "DATABASE_UNPOOLED_URL",
            "Labeler DB past PgBouncer; before DATABASE_URL",
            "PgBouncer를 거치지 않는 Labeler DB. DATABASE_URL보다 우선",
            fallback=True,
            secret=True,
            url=True,
            form=_POSTGRES,
        ),
        Text(
            "DATABASE_URL",
            "Labeler DB, where LABELER_DB_* are unset",
            "LABELER_DB_*가 없을 때의 Labeler DB",
            fallback=True,
            secret=True,
            url=True,
            form=_POSTGRES,
        ),
        Text("PGHOST", "Labeler DB in parts, where no URL is set", "URL이 없을 때의 Labeler DB 호스트", fallback=True),
        Text("PGPORT", "port", "포트", fallback=True, form="port number", default="5432"),
        Text("PGDATABASE", "database", "데이터베이스 이름", fallback=True),
        Text("PGUSER", "role", "사용자(역할)", fallback=True),
        Text("PGPASSWORD", "password", "비밀번호", fallback=True, secret=True),
    ),
)

PLATFORM_DB = Group(
    "Platform DB (read-only, and proven to be): the URL or the parts; without it platform calls answer 503",
    "Platform DB(읽기 전용, 권한까지 검사): URL 또는 개별 값. 없으면 플랫폼 호출만 503",
    ("api", "ops"),
    (
        Text(
            "PLATFORM_DB_URL",
            "the whole address",
            "전체 주소",
            secret=True,
            url=True,
            form=_POSTGRES,
            local="postgresql://platform_readonly:password@host.proxy.rlwy.net:12346/railway?sslmode=require",
        ),
        Text(
            "PLATFORM_DB_HOST",
            "with the parts below, instead of the URL",
            "URL 대신 아래 값들과 함께 사용",
            fallback=True,
            example="127.0.0.1",
        ),
        Text("PLATFORM_DB_PORT", "port", "포트", fallback=True, form="port number", default="5432"),
        Text("PLATFORM_DB_NAME", "database", "데이터베이스 이름", fallback=True, example="platform"),
        Text("PLATFORM_DB_USER", "role", "사용자(역할)", fallback=True, example="platform_readonly"),
        Text("PLATFORM_DB_PASSWORD", "password", "비밀번호", fallback=True, secret=True),
        Text(
            "PLATFORM_DB_ALLOW_WRITABLE",
            "true lets a role that could write through: development only",
            "true면 쓰기 가능한 역할도 허용(개발 전용)",
        ),
    ),
)

STORAGE = Group(
    "Object store",
    "오브젝트 스토리지",
    ("api", "ops"),
    (
        Text(
            "S3_ENDPOINT",
            "http(s)://host[:port], without a bucket",
            "http(s)://host[:port], 버킷 제외",
            form="http(s)://host[:port]",
            local="https://ACCOUNT_ID.r2.cloudflarestorage.com",
        ),
        Text(
            "S3_PUBLIC_ENDPOINT",
            "when browsers see the store under another host (IMAGE_DELIVERY=presigned)",
            "브라우저용 스토리지 주소가 다를 때(IMAGE_DELIVERY=presigned)",
            form="http(s)://host[:port]",
        ),
        Text("S3_ACCESS_KEY", "key", "액세스 키", secret=True, local=""),
        Text("S3_SECRET_KEY", "secret", "시크릿 키", secret=True, local=""),
        Text("S3_BUCKET_DATASETS", "bucket of images", "이미지 버킷", local="datasets"),
        Text("S3_BUCKET_ANNOTATIONS", "bucket of exports", "내보내기 버킷", local="annotations"),
        Text("S3_REGION", "auto for Cloudflare R2", "Cloudflare R2는 auto", local="auto"),
        Text("S3_USE_SSL", "where S3_ENDPOINT has no scheme", "S3_ENDPOINT에 http(s)://가 없을 때만 사용"),
        Text(
            "S3_MAX_CONNECTIONS",
            "each image being streamed holds one until its client has it all; a quarter is kept for everything else",
            "스트리밍 중인 이미지마다 하나씩 사용. 4분의 1은 그 밖의 작업용으로 남겨 둠",
        ),
        Text(
            "MAX_STREAMS_PER_PERSON",
            "images and exports that one person is sent at once; more of them wait for 5 s, then 429",
            "한 사람에게 동시에 전송하는 이미지·내보내기 수. 넘으면 5초 대기 후 429",
        ),
        Text(
            "MAX_STREAMS_PER_CLIENT",
            "and that one address is sent, which an office may share; 0: no limit",
            "주소 하나에 동시에 전송하는 수(사무실은 주소를 공유함). 0은 무제한",
        ),
        Text(
            "IMAGE_DELIVERY",
            "stream (through the API) or presigned (links of the store)",
            "stream(API 경유) 또는 presigned(스토리지 링크)",
        ),
        Text("THUMBNAIL_CACHE_BYTES", "memory for thumbnails, of each process", "프로세스별 썸네일 캐시(바이트)"),
    ),
)
