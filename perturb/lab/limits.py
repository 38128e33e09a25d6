"""The limits of a server, from environment variables `LAB_…`. The defaults are safe for a server that strangers use."""

from __future__ import annotations

from functools import cache

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from perturb.core.errors import SettingError
from perturb.sandbox.process import Limits

PREFIX = "LAB_"


class HostLimits(BaseSettings):
    """The limits of a server. Each attribute is read from `LAB_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

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

    def for_local_use(self) -> HostLimits:
        """The limits for whoever sits at the server itself: none on computing, except those that were set."""
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
        name = f"{PREFIX}{str(first['loc'][0]).upper()}"
        raise SettingError(
            f"The environment variable {name} is not usable: got '{str(first['input'])[:60]}'. {first['msg']}. Correct it, or "
            "unset it to use the default."
        ) from error


def described(limits: HostLimits) -> str:
    """The settings as lines `NAME=value`, each with its meaning, as a shell or an environment file takes them."""
    return "\n".join(
        f"{PREFIX}{name.upper()}={getattr(limits, name):g}  # {field.description}"
        for name, field in HostLimits.model_fields.items()
    )
