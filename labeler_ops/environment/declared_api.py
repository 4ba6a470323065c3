"""The variables of the labeler API that say nothing of databases and stores."""

from labeler_ops.environment.variables import Group, Text

WHERE = Group(
    "Where this runs",
    "실행 환경",
    ("api", "gateway"),
    (
        Text("ENVIRONMENT", "staging and production refuse weak secrets", "staging·production은 약한 비밀값을 거부"),
        Text(
            "ALLOW_PUBLISHED_DEFAULTS",
            "the secrets of docker-compose.yml also work beyond the loopback; never in staging and production",
            "docker-compose.yml의 공개된 비밀값을 루프백 밖에서도 허용. staging·production에서는 항상 거부",
        ),
        Text("LOG_LEVEL", "what is logged, as JSON lines on standard output", "로그 수준(표준 출력, JSON)"),
    ),
)

API = Group(
    "labeler_api",
    "labeler_api 서버",
    ("api",),
    (
        Text("APP_NAME", "title of the OpenAPI document", "OpenAPI 문서 제목"),
        Text("APP_VERSION", "what /health says", "/health에 표시되는 버전"),
        Text("API_HOST", "address to listen on; :: for all, IPv4 and IPv6", "수신 주소. ::는 IPv4·IPv6 전체"),
        Text(
            "API_PORT",
            "Railway's PORT wins where it is set",
            "수신 포트. Railway의 PORT가 있으면 PORT가 우선",
            also=("ops",),
        ),
        Text("API_WORKERS", "processes that share the port", "포트를 공유하는 프로세스 수"),
        Text(
            "API_PUBLIC_URL",
            "under which browsers reach the API; image links are built on it",
            "브라우저에서 본 API 주소. 이미지 링크의 기준",
            example="http://localhost:8001",
        ),
        Text(
            "API_SHUTDOWN_SECONDS",
            "how long SIGTERM waits for requests under way",
            "SIGTERM 후 처리 중인 요청을 기다리는 시간(초)",
        ),
        Text(
            "API_MAX_CONNECTIONS",
            "connections of a process at once; fewer where the limit of open files leaves fewer",
            "프로세스당 동시 연결 수. 열 수 있는 파일 수가 부족하면 더 적어짐",
        ),
        Text(
            "API_MAX_CONNECTIONS_PER_CLIENT",
            "of them for one address, which an office may share; 0: no limit. TRUSTED_PROXIES have none",
            "주소 하나당 동시 연결 수(사무실은 주소를 공유함). 0은 무제한. TRUSTED_PROXIES에는 적용되지 않음",
        ),
        Text(
            "API_HEADER_SECONDS",
            "how long a request's header may take, and a new connection that sends nothing",
            "요청 헤더를 받는 최대 시간(초). 아무것도 보내지 않는 새 연결에도 적용",
        ),
        Text(
            "API_SLOW_SECONDS",
            "in so many seconds a body has to bring 32 KiB, and a client to take 128 KiB of its answer",
            "이 시간(초)마다 본문은 32 KiB 이상 도착해야 하고 클라이언트는 응답을 128 KiB 이상 받아야 함",
        ),
        Text(
            "CORS_ORIGINS",
            "exact origins of browsers, a comma list or a JSON list",
            "허용할 브라우저 origin(쉼표 또는 JSON 목록)",
            also=("ops",),
        ),
        Text(
            "TRUSTED_PROXIES",
            "addresses and networks of proxies whose headers are believed; * for every peer",
            "헤더를 신뢰할 프록시의 주소와 대역. *는 모든 접속",
        ),
        Text(
            "TRUSTED_HOPS",
            "so many proxies of ours in a row: the client's place in X-Forwarded-For, from the right",
            "연속된 자체 프록시 수. X-Forwarded-For의 오른쪽에서 센 클라이언트 위치",
        ),
        Text(
            "CLIENT_ADDRESS_HEADER",
            "where the platform sets the client's address itself, instead of X-Forwarded-For; Railway: X-Real-IP",
            "플랫폼이 클라이언트 주소를 직접 넣는 헤더. X-Forwarded-For 대신 사용. Railway는 X-Real-IP",
        ),
        Text(
            "RATE_LIMIT_STORAGE",
            "a Redis or Valkey in which all processes count tries; without it each one counts for itself",
            "모든 프로세스가 시도 횟수를 함께 세는 Redis 또는 Valkey. 없으면 프로세스마다 따로 셈",
            form="redis://host:6379, rediss, valkey or valkeys",
            secret=True,
            url=True,
        ),
    ),
)

WORK = Group(
    "Maintenance mode and durable jobs",
    "점검 모드와 백그라운드 작업",
    ("api",),
    (
        Text(
            "MAINTENANCE_MODE",
            "forced on for this process: writes answer 503, reads go on",
            "이 프로세스에 점검 모드를 강제. 쓰기는 503, 읽기는 계속",
        ),
        Text(
            "JOBS",
            "off: this process enqueues, but leaves the work to others, deletion too",
            "off면 작업을 등록만 하고 실행(삭제 포함)은 다른 프로세스에 맡김",
            local="off",
        ),
        Text(
            "JOBS_LEASE_SECONDS",
            "without a heartbeat for so long, a job passes to another process",
            "이 시간(초) 동안 신호가 없으면 작업을 다른 프로세스가 인수",
        ),
    ),
)

CLIENT = Group(
    "The user gateway, as its client",
    "사용자 게이트웨이 접속(클라이언트)",
    ("api",),
    (
        Text("USER_GATEWAY_ADDRESS", "host:port", "host:port", form="host:port"),
        Text(
            "USER_GATEWAY_TOKEN",
            "this service's token, one of USER_GATEWAY_TOKENS",
            "이 서비스의 토큰. USER_GATEWAY_TOKENS 중 하나",
            secret=True,
        ),
        Text(
            "USER_GATEWAY_TLS_CA",
            "a PEM file: the gateway is spoken to over TLS",
            "PEM 파일. 설정하면 TLS로 접속",
            form="path of a file",
        ),
        Text(
            "USER_GATEWAY_TLS_CERT",
            "with USER_GATEWAY_TLS_KEY: this service's certificate (mTLS)",
            "USER_GATEWAY_TLS_KEY와 함께 쓰는 인증서(mTLS)",
            form="path of a file",
        ),
        Text("USER_GATEWAY_TLS_KEY", "its key", "인증서의 키", form="path of a file"),
        Text(
            "USER_CACHE_SECONDS",
            "how long a profile is believed; a deactivated user is refused after it",
            "프로필 캐시 시간(초). 비활성화된 사용자는 이후 거부",
        ),
        Text(
            "USER_CACHE_GRACE_SECONDS",
            "how long somebody seen active works on while the gateway is away",
            "게이트웨이 장애 시 활성 사용자의 작업 허용 시간(초)",
        ),
    ),
)

TOKENS = Group(
    "Tokens and links",
    "토큰과 링크",
    ("api",),
    (
        Text(
            "JWT_SECRET_KEY",
            "shared with the Platform; 32 bytes or more outside development",
            "Platform과 공유하는 키. 개발 환경 외에는 32바이트 이상",
            secret=True,
            local="",
        ),
        Text("JWT_ALGORITHM", "of the tokens", "토큰 알고리즘"),
        Text("JWT_EXPIRE_MINUTES", "life of a token", "토큰 유효 시간(분)"),
        Text(
            "MEDIA_LINK_KEYS",
            "keys of image links, a comma list, the signing one first",
            "이미지 링크 키(쉼표 목록, 첫 번째로 서명)",
            secret=True,
        ),
    ),
)

LIMITS = Group(
    "Limits",
    "한도",
    ("api",),
    (
        Text("MAX_JSON_BYTES", "a JSON body", "JSON 본문 크기"),
        Text("MAX_UPLOAD_FILES", "files in one upload", "업로드 한 번의 파일 수"),
        Text("MAX_UPLOAD_FILE_BYTES", "one file", "파일 하나의 크기"),
        Text("MAX_UPLOAD_BYTES", "one upload", "업로드 한 번의 크기"),
        Text("MAX_IMAGE_PIXELS", "width times height", "가로×세로 픽셀 수"),
        Text(
            "DECODING_MEMORY_BYTES",
            "for decoding pictures, all workers together; 0: half of the container's memory, 4 GiB at most",
            "이미지 디코딩에 쓰는 메모리(모든 워커 합계), 0이면 컨테이너 메모리의 절반(최대 4GiB)",
        ),
    ),
)
