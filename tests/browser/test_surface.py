"""What a server shows to strangers: its address, the headers of every kind of answer, frames, errors, uploads, health."""

import contextlib
import functools
import http.client
import http.server
import io
import re
import sys
import threading
import time
from urllib.parse import urlsplit

import PIL.Image
import psutil
import pytest
from playwright.sync_api import expect

from perturb.images.samples import sample

from .driver import free_port, open_page, serve_by, wait_idle
from .lab import RUN_SECONDS, download, numbers

KINDS = {
    "page": r"/segmenters$",
    "static": r"/static/.*\.(js|css|woff2)$",
    "media": r"/media/.*\.(png|zip)$",
    "health": r"/_stcore/health$",
    "host configuration": r"/_stcore/host-config$",
    "upload": r"/_stcore/upload_file/",
}


def wrong(headers):
    """What the headers of an answer lack."""
    policy = headers.get("content-security-policy", "")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; ") if " " in rule)
    missing = [] if rules.get("default-src") == "'none'" else [f"policy {policy!r}"]
    missing += [] if "frame-ancestors" in rules else ["frame-ancestors"]
    missing += [] if "unsafe" not in rules.get("script-src", "unsafe") else ["script-src"]
    missing += [] if headers.get("x-content-type-options") == "nosniff" else ["nosniff"]
    return missing + ([] if headers.get("referrer-policy") == "same-origin" else ["referrer-policy"])


def ask(url, path, method="GET", **headers):
    """The status, headers and body of one answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def png():
    """A street of half the size as a file."""
    buffer = io.BytesIO()
    PIL.Image.fromarray((sample().pixels[::2, ::2] * 255).round().astype("uint8")).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def plain(browser, tmp_path_factory):  # noqa: ARG001 — no server is started in vain where there is no browser
    """`streamlit run streamlit_app.py`, with nothing said about the address."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    log = tmp_path_factory.mktemp("plain") / "server.log"
    with serve_by([*command, "--server.headless", "true"], port, log) as url:
        yield url, log


@pytest.fixture(scope="module")
def frames():
    """The address of a page on another port, and the folder that it is served from."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def start(folder):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    servers = []
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def told(browser, frames, tmp_path_factory):  # noqa: ARG001
    """`perturb lab` that a page of another server may frame, with uploads of 1 MB, and that page's address."""
    port, folder = free_port(), tmp_path_factory.mktemp("told")
    other = frames(folder)
    (folder / "index.html").write_text(f"<iframe width=1200 height=800 src=http://127.0.0.1:{port}></iframe>")
    command = [sys.executable, "-m", "perturb", "lab", "--port", str(port)]
    settings = {"LAB_FRAME_ANCESTORS": f"self {other}", "LAB_UPLOAD_MB": "1", "STREAMLIT_SERVER_HEADLESS": "true"}
    with serve_by(command, port, folder / "server.log", **settings) as url:
        yield url, other


@pytest.mark.parametrize("server", ["plain", "told"])
def test_only_this_machine_is_served(server, request):
    url, _ = request.getfixturevalue(server)
    listening = [each.laddr for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening if address.port == urlsplit(url).port} == {"127.0.0.1"}


def test_every_kind_of_answer_has_the_headers(page, plain):
    url, log = plain
    seen = {}
    page.on("response", lambda answer: seen.update({(answer.request.method, answer.url): answer.all_headers()}))
    open_page(page, f"{url}/segmenters?source=upload")
    page.locator("input[type=file]").first.set_input_files(
        {"name": "secret-street.png", "mimeType": "image/png", "buffer": png()}
    )
    wait_idle(page, 60)
    page.get_by_role("link", name="Occlusion").click()
    numbers(page)
    download(page, "Download everything")
    seen |= {
        ("GET", path): ask(url, path)[1] for path in ("/component/none/x.js", "/media/none.png", "/static/none.js")
    }
    seen |= {
        ("GET", path): ask(url, path)[1] for path in ("/_stcore/agent/openapi.json", "/occlusion/", "/a%00b", "//x")
    }
    status, headers, _ = ask(url, "/_stcore/upload_file/a/b", "PUT")
    assert status == 403
    seen["PUT", "/refused"] = headers
    status, headers, _ = ask(url, "/_stcore/stream")  # the WebSocket's route, without one
    seen["GET", "/stream"] = headers
    assert {each: wrong(headers) for each, headers in seen.items() if wrong(headers) and "blob:" not in each[1]} == {}
    for kind, pattern in KINDS.items():
        assert any(re.search(pattern, urlsplit(path).path) for _, path in seen), (kind, sorted(seen))
    lines = [line for line in log.read_text().splitlines() if " run " in line]
    assert any("method=occlusion" in line and "image=" in line and "network=registered" in line for line in lines)
    assert "secret-street" not in log.read_text()


@pytest.mark.parametrize("path", ["", "/", "/x", "?families=session_events_total"])
def test_metrics_are_closed(path, plain):
    for place in ("/_stcore/metrics", "/%5Fstcore/metrics", "//_stcore/metrics", "/occlusion/_stcore/metrics"):
        for method in ("GET", "OPTIONS", "HEAD"):
            status, headers, body = ask(plain[0], place + path, method)
            assert (status, body, wrong(headers)) == (404, b"", [])


def test_a_frame_of_another_site_is_shown_only_where_the_setting_names_it(browser, page, plain, told, frames, tmp_path):
    url, allowed = told
    page.goto(allowed)
    expect(page.frame_locator("iframe").get_by_role("heading", name="What does a segmenter")).to_be_visible(
        timeout=60_000
    )
    policy = ask(url, "/")[1]["content-security-policy"]
    assert policy.endswith(f"frame-ancestors 'self' {allowed}")
    (tmp_path / "index.html").write_text(f"<iframe src={plain[0]}></iframe>")
    refused = browser.new_page()
    with refused.expect_event("console", lambda message: "frame-ancestors 'self'" in message.text):
        refused.goto(frames(tmp_path))
    refused.close()


def test_an_upload_over_the_limit_is_refused_by_the_server(page, told):
    url, _ = told
    open_page(page, f"{url}/segmenters?source=upload")
    with page.expect_request(lambda request: "/upload_file/" in request.url and request.method == "PUT") as sent:
        page.locator("input[type=file]").first.set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": png()}
        )
    put = """async ([url, size, token]) => {
        const form = new FormData();
        form.append("file", new Blob([new Uint8Array(size)]), "b.png");
        return (await fetch(url, {method: "PUT", body: form, headers: {"X-Xsrftoken": token}})).status;
    }"""
    token = sent.value.headers["x-xsrftoken"]
    wait_idle(page, 60)
    got = [page.evaluate(put, [sent.value.url + "2", size, token]) for size in (900_000, 1_100_000, 40_000_000)]
    assert got == [204, 413, 413]


def test_health_answers_while_a_run_is_busy(page, plain):
    url, log = plain
    open_page(page, f"{url}/perturbation?per_method=rise&per_masks=20000&sample=rain")
    page.get_by_role("button", name="Run", exact=True).first.click()
    expect(page.get_by_text(re.compile("[1-9][0-9,]* of .* forward passes"))).to_be_visible(timeout=RUN_SECONDS)
    waits = []
    for _ in range(60):
        began = time.monotonic()
        status, _, body = ask(url, "/_stcore/health")
        waits.append(time.monotonic() - began)
        assert (status, body) == (200, b"ok")
        page.wait_for_timeout(50)
    expect(page.get_by_text(re.compile("[1-9][0-9,]* of .* forward passes"))).to_be_visible()  # still busy
    print(f"health while busy: median {sorted(waits)[30] * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms")
    assert max(waits) < 3
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The run was stopped")).to_be_visible(timeout=RUN_SECONDS)
    line = re.compile(r" run job=per_run method=rise image=\d+x\d+ network=registered .* outcome=stopped\n")
    deadline = time.monotonic() + 20  # the run ends with its batch
    while not line.search(log.read_text()) and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    assert line.search(log.read_text())


def test_an_error_of_the_code_shows_neither_its_type_nor_its_text(page, tmp_path):
    script = tmp_path / "broken_app.py"
    script.write_text("raise ValueError('the password is in /etc/lab')\n")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    with serve_by([*command, "--server.headless", "true"], port, tmp_path / "server.log") as url:
        open_page(page, url)
        expect(page.get_by_test_id("stException")).to_be_visible()
        shown = page.content()
    assert "password" not in shown
    assert "ValueError" not in shown
    assert "the password is in /etc/lab" in (tmp_path / "server.log").read_text()


def test_the_camera_works_under_the_policy(new_page, plain):
    page = new_page(permissions=["camera"])
    open_page(page, f"{plain[0]}/segmenters?source=camera")
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_text("camera-1").first).to_be_visible(timeout=RUN_SECONDS)
