"""The settings of a server, from environment variables `LAB_…`. The defaults are safe for a server that strangers use."""

from __future__ import annotations

import re
import shlex
from functools import cache

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from perturb.core.errors import SettingError
from perturb.sandbox.process import Limits

PREFIX = "LAB_"
_SOURCE = re.compile(
    r"self|none|\*|https?:|(https?://)?(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:(\d{1,5}|\*))?", re.IGNORECASE
)
"""A host in a Content-Security-Policy. A semicolon or comma would end the directive."""


class HostLimits(BaseSettings):
    """The settings of a server. Each attribute is read from `LAB_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    address: str = Field(
        default="127.0.0.1",
        description="Address that `perturb lab` serves at. By default only this machine reaches it; 0.0.0.0 is for everybody.",
    )
    frame_ancestors: str = Field(
        default="self",
        description="Sites that may show the app in a frame, separated by spaces: self, none, or hosts such as "
        "https://huggingface.co.",
    )
    upload_mb: int = Field(
        default=200, ge=1, le=10_000, description="Size of one uploaded file with `perturb lab`, in MB."
    )
    model_memory_mb: int = Field(
        default=2000, ge=100, le=1_000_000, description="Memory of one uploaded network, in MB."
    )
    model_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="Time for one batch of an uploaded network, in s."
    )
    model_cpu_seconds: int = Field(
        default=3600,
        ge=1,
        le=10_000_000,
        description="CPU time of an uploaded network until its process is replaced, in s.",
    )
    model_idle_seconds: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="An uploaded network without a call for so long leaves memory, in s.",
    )
    models: int = Field(default=4, ge=1, le=1000, description="Uploaded networks that are in memory at a time.")
    decoder_memory_mb: int = Field(
        default=1500, ge=100, le=1_000_000, description="Memory for decoding one file, in MB."
    )
    decoder_seconds: float = Field(default=15.0, gt=0, le=3600, description="Time for decoding one file, in s.")
    decoders: int = Field(default=2, ge=1, le=64, description="Files that are decoded at a time.")
    visitor_uploads_mb: int = Field(
        default=400, ge=1, le=1_000_000, description="Uploaded files of one visitor that are in memory, in MB."
    )
    uploads_mb: int = Field(
        default=1000, ge=1, le=1_000_000, description="Uploaded files of all visitors that are in memory, in MB."
    )
    slice_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="A run that has computed for so long lets a waiting visitor's run go first, in s.",
    )
    begun_runs: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Runs that may have begun at a time and take turns, each with 0.1 to 0.3 GB of memory; one more if it "
        "is short.",
    )
    run_seconds: float = Field(
        default=300.0,
        ge=0,
        le=10_000_000,
        description="Longest run that a visitor may start, in s; 0 for no limit. Without this variable, a visit from the "
        "server itself has none.",
    )
    visitor_seconds: float = Field(
        default=1800.0,
        ge=0,
        le=10_000_000,
        description="Computing that a visitor may use within an hour, in s; 0 for no limit. Without this variable, a visit "
        "from the server itself has none.",
    )

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]+", value):
            raise ValueError("Expected the IP address or the name of a host, without a port")
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        # Some readers of environment files keep quotation marks, and the policy itself writes 'self' in them.
        words = value.replace("'", "").replace('"', "").split()
        if not words or not all(map(_SOURCE.fullmatch, words)) or ("none" in words and len(words) > 1):
            raise ValueError("Expected self, none, or hosts such as https://huggingface.co, separated by spaces")
        return " ".join(words)

    def for_local_use(self) -> HostLimits:
        """The limits for local use: none on computing, except those that were set."""
        computing = {"run_seconds", "visitor_seconds"}
        return self.model_copy(update=dict.fromkeys(computing - self.model_fields_set, 0.0))

    @property
    def model(self) -> Limits:
        """Limits of the process of one uploaded network."""
        return Limits(
            self.model_memory_mb * 1_000_000, self.model_seconds, self.model_cpu_seconds, self.model_idle_seconds
        )

    @property
    def decoder(self) -> Limits:
        """Limits of a process that decodes images and masks."""
        return Limits(self.decoder_memory_mb * 1_000_000, self.decoder_seconds)


_EXPECTED = {"int_parsing": "Expected a whole number", "float_parsing": "Expected a number"}
"""In place of pydantic's words, by its name of the error."""


@cache
def host_limits() -> HostLimits:
    """The limits of this server, read once.

    Raises:
        SettingError: a variable has a value that does not fit.
    """
    try:
        return HostLimits()
    except ValidationError as error:
        first = error.errors()[0]
        reason = _EXPECTED.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        raise SettingError(
            f"The environment variable {variable(str(first['loc'][0]))} is not usable: got {str(first['input'])[:60]!r}. "
            f"{reason}. Correct it, or unset it to use the default."
        ) from error


def described(limits: HostLimits) -> str:
    """The settings as lines `NAME=value`, each below its meaning as a comment, as a shell or an environment file takes them."""
    return "\n".join(
        f"# {field.description}\n{variable(name)}={written(getattr(limits, name))}"
        for name, field in HostLimits.model_fields.items()
    )


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def written(value: float | str) -> str:
    """A value as a shell takes it."""
    return shlex.quote(value) if isinstance(value, str) else f"{value:.15g}"
