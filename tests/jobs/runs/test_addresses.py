"""What may be kept of an address, and what only a request has."""

import pytest
from pydantic_core import PydanticCustomError

from jobs.runs.addresses import public_part, request_address, without_secrets
from jobs.runs.configuration import load_configuration, of_today
from jobs.runs.errors import JobError


@pytest.mark.parametrize(
    "address",
    [
        "https://hidden@host/r.zip",
        "HTTPS://user:hidden@host/r.zip",
        "http://host/r.zip?X-Amz-Signature=hidden",
        "http://host/r.zip#hidden",
        "http:/hidden@host/r.zip",
        "postgresql://user:hidden@host/name",
        "postgresql://user@host/name?password=hidden",
        "mysql+pymysql://user@host/name?ssl_key_password=hidden",
    ],
)
@pytest.mark.parametrize("setting", ["ingest.source", "tracking.uri"])
def test_an_address_with_something_secret_is_refused_and_not_repeated(address, setting):
    with pytest.raises(PydanticCustomError):
        without_secrets(address)
    with pytest.raises(JobError, match=f"^{setting} holds (a user|credentials), ") as refused:
        load_configuration([f"{setting}='{address}'"])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://host:8443/folder/r.zip",
        "/data/what?/who@home.zip",
        "sqlite:////data/mlflow.db",
        "postgresql+psycopg2://mlflow@host/mlflow?sslmode=verify-full",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(address):
    assert without_secrets(address) == public_part(address) == address


def test_what_cannot_be_read_as_an_address_is_refused():
    with pytest.raises(JobError, match=r"found 'http://\[::1/r.zip'. Expected an address"):
        load_configuration(["ingest.source='http://[::1/r.zip'"])


def test_a_request_has_what_the_environment_adds_to_that_file_alone(monkeypatch):
    monkeypatch.setenv("NIGHTREEL_SOURCE", "https://user:hidden@host/a/r.zip?signature=hidden")
    for suffix in ("", ".md5"):
        asked = request_address(f"https://host/a/r.zip{suffix}")
        assert asked == f"https://user:hidden@host/a/r.zip{suffix}?signature=hidden"
    for other in ("https://host/a/other.zip", "https://elsewhere/a/r.zip", "http://host/a/r.zip"):
        assert request_address(other) == other


def test_what_an_earlier_version_kept_is_read_without_its_secrets():
    kept = load_configuration().model_dump()
    kept["ingest"]["source"] = "https://planted@host/r.zip?signature=planted"
    kept["tracking"]["uri"] = "https://user:planted@host/"
    assert "planted" not in str(of_today(kept))
