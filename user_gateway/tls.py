"""TLS of the gRPC port: files that are judged before they are used, and read again when they change."""

import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

from service_kit.settings import SettingsError
from user_gateway.settings import Variables

log = structlog.get_logger(__name__)

_State = tuple[tuple[Path, int, int, int], ...]


def credentials(variables: Variables) -> grpc.ServerCredentials | None:
    """Make the credentials of the port, None for plain text. Raises SettingsError naming the file that is wrong."""
    certificate, key = variables.user_gateway_server_tls_cert, variables.user_gateway_server_tls_key
    if certificate is None or key is None:
        return None
    client_ca = variables.user_gateway_server_tls_client_ca
    files = _Files(certificate, key, client_ca)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.changed,  # type: ignore[arg-type]  # None is allowed, says gRPC: there is nothing new
        require_client_authentication=client_ca is not None,
    )


class _Files:
    """Certificate, key, and the authority of the callers where these must show a certificate."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._seen: _State = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Judge and read the files."""
        seen = self._state()
        self._judge()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        ca = self._client_ca.read_bytes() if self._client_ca else None
        self._seen = seen
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=ca)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Give what to use from this handshake on; None while the files are as they were, and while they are broken.

        gRPC asks at every handshake, so that a renewed certificate needs no restart.
        """
        try:
            if self._state() == self._seen:
                return None
            renewed = self.read()
        except (SettingsError, OSError) as error:  # half written, say: the next handshake looks again
            log.error("the TLS files cannot be used; the ones from before go on", reason=str(error))  # noqa: TRY400
            return None
        log.info("the TLS files were read again")
        return renewed

    def _state(self) -> _State:
        files = [file for file in (self._certificate, self._key, self._client_ca) if file is not None]
        found = [(file, file.stat()) for file in files if file.exists()]
        return tuple((file, stat.st_mtime_ns, stat.st_size, stat.st_ino) for file, stat in found)

    def _judge(self) -> None:
        for name, file in (("CERT", self._certificate), ("KEY", self._key), ("CLIENT_CA", self._client_ca)):
            if file is not None:
                _read(f"USER_GATEWAY_SERVER_TLS_{name}", file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        names = "USER_GATEWAY_SERVER_TLS_CERT and USER_GATEWAY_SERVER_TLS_KEY"
        _try(
            names,
            "expected a certificate and its own key, both PEM, the key without a password",
            lambda: context.load_cert_chain(self._certificate, self._key, password=_no_password),
        )
        if self._client_ca is not None:
            authority = str(self._client_ca)
            name = "USER_GATEWAY_SERVER_TLS_CLIENT_CA"
            _try(
                name,
                "expected certificates of an authority, PEM",
                lambda: context.load_verify_locations(authority),
            )


def _read(name: str, file: Path) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read: {error}") from None


def _try(names: str, wanted: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise SettingsError(f"{names}: {wanted}; {error.reason or 'this is none'}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{names}: {wanted}; {error}") from None


def _no_password() -> str:
    raise ValueError("the key has a password")
