"""The settings of a server: printed in a form that gives them back, and each bad value is one sentence."""

import os
import shlex
import subprocess

import pytest

from perturb.cli.main import main
from perturb.lab.limits import HostLimits, described, host_limits, variable


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in HostLimits.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    host_limits.cache_clear()
    yield
    host_limits.cache_clear()


def test_what_is_printed_is_read_back_by_a_shell(monkeypatch, capsys):
    monkeypatch.setenv("LAB_FRAME_ANCESTORS", "'self' https://*.hf.space:443 https://huggingface.co")
    monkeypatch.setenv("LAB_MODEL_SECONDS", "0.1234567")
    monkeypatch.setenv("LAB_MODEL_MEMORY_MB", "123456")
    monkeypatch.setenv("LAB_MODELS", "")  # as a compose file passes what is not set
    before = HostLimits()
    assert main(["lab", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert printed == described(before) + "\n"
    for name, field in HostLimits.model_fields.items():
        assert f"# {field.description}\n{variable(name)}=" in printed
    empty = {"PATH": os.environ["PATH"]}
    command = f"set -a\n{printed}\nexec env"
    told = subprocess.run(["sh", "-c", command], env=empty, capture_output=True, text=True, check=True).stdout
    for name in HostLimits.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    for line in told.splitlines():
        name, _, value = line.partition("=")
        if name.startswith("LAB_"):
            monkeypatch.setenv(name, value)
    assert HostLimits() == before
    assert before.frame_ancestors == "self https://*.hf.space:443 https://huggingface.co"
    assert before.models == HostLimits.model_fields["models"].default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAB_MODELS", "many"),
        ("LAB_UPLOAD_MB", "0"),
        ("LAB_ADDRESS", "0.0.0.0/0"),
        ("LAB_ADDRESS", "http://localhost"),
        ("LAB_FRAME_ANCESTORS", "self; script-src *"),
        ("LAB_FRAME_ANCESTORS", "self, *"),
        ("LAB_FRAME_ANCESTORS", "none https://a.example"),
        ("LAB_FRAME_ANCESTORS", "https://a.example\r\nSet-Cookie: x"),
        ("LAB_FRAME_ANCESTORS", "javascript:"),
        ("LAB_FRAME_ANCESTORS", "' '"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--print-config"]])
def test_a_value_that_does_not_fit_is_one_sentence_and_nothing_is_started(name, value, options, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("the app was started"))
    assert main(["lab", *options]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: The environment variable {name} is not usable: got {value!r}. ")
    assert (told.err.count("\n"), told.out) == (1, "")


def test_the_defaults_are_words_a_shell_takes_as_they_are():
    for line in described(HostLimits()).splitlines():
        assert line.startswith("# ") or shlex.split(line) == [line]
