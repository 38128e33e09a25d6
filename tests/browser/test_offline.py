"""The app requests nothing from other hosts: every request of the browser goes to its own server."""

import re

from .driver import open_page


def test_a_visit_reaches_no_other_server(page, app_url):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("", "segmenters"):
        open_page(page, f"{app_url}/{path}")
    page.wait_for_timeout(500)
    assert any(url.startswith(app_url) for url in asked)
    elsewhere = [url for url in asked if re.match(r"(https?|wss?)://", url) and not url.startswith(app_url)]
    assert not elsewhere
    icon = page.eval_on_selector("link[rel*=icon]", "link => link.href")
    assert icon.startswith(app_url)
