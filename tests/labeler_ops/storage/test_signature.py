"""The signature is botocore's, to the letter."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from labeler_ops.storage.signature import Signer
from tests.fixtures.stored_objects import HEADERS, ODD_KEYS

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class Reference(S3SigV4Auth):
    def payload(self, request: Any) -> str:
        return SHA256


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "https://abc.r2.cloudflarestorage.com", "http://s3:80"])
@pytest.mark.parametrize("query", ["", "uploads=", "partNumber=3&uploadId=a%2Bb"])
def test_every_signature_is_the_reference_one(endpoint: str, query: str) -> None:
    signer = Signer(endpoint, "key", "secret", "auto")
    reference = Reference(Credentials("key", "secret"), "s3", "auto")
    for key in ODD_KEYS:
        path = "/datasets/" + quote(key, safe="/-_.~")
        headers = {**HEADERS, "x-amz-meta-spaces": "  two  words "}
        request = AWSRequest("PUT", endpoint + path + (f"?{query}" if query else ""), headers=dict(headers))
        reference.add_auth(request)
        moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        signed = signer.sign("PUT", path, query, headers, SHA256, moment)
        assert signed["authorization"] == request.headers["Authorization"]
