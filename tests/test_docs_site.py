"""The documentation site builds without a warning, names whatever there is, and its packaging files say the truth."""

import re
import subprocess
import sys
import tomllib
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import PIL.Image
import pytest
import yaml
from streamlit.testing.v1 import AppTest

import perturb
from docs.labdocs.commands import commands, help_of, listed
from docs.labdocs.gallery import examples
from perturb.lab.limits import HostLimits, variable, written

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, made as `make docs` makes it."""
    out = tmp_path_factory.mktemp("site")
    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--doctree-dir", str(out / "doctrees")]
    command = [sys.executable, "-m", "sphinx", "--builder", "html", *strict, str(DOCS), str(out / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def words(site):
    """The text of all pages by their paths, without markup."""

    def text(path):
        return unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")))

    return {path.relative_to(site).as_posix(): text(path) for path in site.rglob("*.html")}


def test_the_site_names_everything_there_is(words):
    for kind in ("methods", "fills", "metrics", "segmenters"):
        page = words[f"reference/{kind}.html"]
        for entry in listed(kind):
            assert re.search(rf"(?<![\w-]){re.escape(entry['name'])}(?![\w-])", page), f"{kind}: {entry['name']}"
    for entry in listed("samples"):
        assert entry["name"] in words["reference/command-line.html"]


def test_every_setting_stands_with_its_default_and_help(words):
    page = " ".join(words["reference/methods.html"].split())
    for method in listed("methods"):
        for setting in method["settings"]:
            assert f"{setting['name']} {setting['default']}".strip() in page, (method["name"], setting["name"])
            assert " ".join(setting["help"].split()) in page, (method["name"], setting["name"])


def test_every_setting_of_a_server_stands_on_the_page_on_hosting(words):
    page = " ".join(words["how-to/host_the_lab.html"].split())
    for name, field in HostLimits.model_fields.items():
        assert f"{variable(name)} {written(field.default)} {field.description.replace('`', '')}" in page


def test_every_command_and_option_stands_on_its_page(words):
    page = words["reference/command-line.html"]
    assert {"explain", "study", "evaluate", "list"} <= set(commands())
    for command in commands():
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_of(command)))
        assert options, command
        for option in options:
            assert option in page, (command, option)


def test_the_reference_holds_every_public_name(site):
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    for name in perturb.__all__:
        assert f'id="perturb.{name}"' in page, name


def test_the_site_asks_nobody_else_for_anything(site):
    for path in (*site.rglob("*.html"), *site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        fetched = re.findall(
            r"""(?:<script[^>]+src|<link[^>]+href|<img[^>]+src|url\()=?["'(]?(https?://[^"')\s]+)""", text
        )
        assert not fetched, (path.name, fetched)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 120
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", readme):
        assert (ROOT / link).exists(), link


def test_gallery_links_say_only_what_the_lab_knows():
    shown = {entry["name"] for entry in listed("samples")}
    methods = {entry["name"]: {s["name"] for s in entry["settings"]} for entry in listed("methods")}
    known = {"class", "view", "walk", "map", "method", "panes", "region", "score", "layers"}
    for example in examples():
        assert (ROOT / "pages" / f"{example.page}.py").exists(), example.name
        query = parse_qs(urlsplit(example.link("http://lab")).query, strict_parsing=True)
        assert query.pop("sample")[0] in shown, example.name
        for name, (value,) in query.items():
            setting = re.sub(r"^[a-z]{3}_(\d_)?", "", name)
            assert setting in known or any(setting in settings for settings in methods.values()), (example.name, name)
            if setting == "method":
                assert value in methods, (example.name, value)


def test_images_of_the_documentation_are_small():
    total = 0
    for example in examples():
        with PIL.Image.open(example.image) as image:
            assert image.width >= 600, example.name
        total += example.image.stat().st_size
    assert total < 2_000_000
    for path in DOCS.glob("*.png"):
        assert path.stat().st_size < 300_000, path.name


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation), "required by CFF 1.2.0"
    assert citation["cff-version"] == "1.2.0"
    assert all("name" in author or {"family-names", "given-names"} & set(author) for author in citation["authors"])
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert citation["version"] == perturb.__version__ == project.get("version", perturb.__version__)
    assert citation["license"] == "MIT"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert released[0] == (citation["version"], str(citation["date-released"])), "the latest release is the cited one"
    assert [version for version, _ in released] == sorted((version for version, _ in released), reverse=True)


@pytest.mark.long
@pytest.mark.parametrize("example", examples(), ids=[example.name for example in examples()])
def test_the_lab_takes_all_of_a_gallery_link(example):
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=280)
    for name, value in example.query.items():
        app.query_params[name] = value
    app.switch_page(f"pages/{example.page}.py")
    app.run()  # comes to the page through the entry point
    app.run()
    assert not app.exception
    assert not app.error
    assert not [toast.value for toast in app.toast if "does not fit here" in toast.value]
    for name, value in example.query.items():
        assert str(app.session_state[name]) == value, name
