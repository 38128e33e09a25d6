"""The headers of the server around Starlette itself: also on an answer to an exception, and instead of an app's own."""

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit import file_util

from pages.parts.app import server
from perturb.lab.headers import security_headers


def broken(_request):
    raise ValueError("secret")


def lax(_request):
    return PlainTextResponse(
        "ok", headers={"X-Content-Type-Options": "lax", "Content-Security-Policy": "default-src *"}
    )


def test_an_exception_is_answered_with_the_headers_and_without_its_words():
    routes = [Route("/broken", broken), Route("/lax", lax)]
    app = Starlette(routes=routes, middleware=server.middleware(), exception_handlers=server.exception_handlers())
    client = TestClient(app, raise_server_exceptions=False)
    page = (Path(file_util.get_static_dir()) / "index.html").read_text(encoding="utf-8")
    wanted = {name.lower(): value for name, value in security_headers(page, "self").items()}
    for path, status, text in (
        ("/broken", 500, "Internal Server Error"),
        ("/lax", 200, "ok"),
        ("/gone", 404, "Not Found"),
        ("/_stcore/metrics", 404, ""),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (status, text)
        for name, value in wanted.items():
            assert answer.headers.get_list(name) == [value], (path, name)


def test_inline_scripts_are_allowed_by_their_own_hashes_and_nothing_else_is():
    # The digest of `alert(1)` as other tools print it: openssl dgst -sha256 -binary | base64
    page = "<script>alert(1)</script><script type='module' src='a.js'></script>"
    policy = security_headers(page, "none https://a.example")["Content-Security-Policy"]
    (scripts,) = re.findall(r"script-src ([^;]*)", policy)
    assert scripts == "'self' blob: 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    assert policy.endswith("frame-ancestors 'none' https://a.example")
