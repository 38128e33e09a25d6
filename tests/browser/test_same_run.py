"""Several visitors who open the same link at the same time, on a real server."""

import re

from .driver import serve
from .lab import numbers


def test_a_link_opened_by_several_visitors_at_a_time_is_computed_once(new_page, tmp_path):
    log = tmp_path / "server.log"
    with serve(log) as url:
        pages = [new_page() for _ in range(3)]
        for page in pages:
            page.goto(f"{url}/occlusion?sample=rain&occ_size=40&occ_stride=20", wait_until="commit")
        shown = [numbers(page) for page in pages]
    assert shown[0] == shown[1] == shown[2]
    seconds = sorted(float(found) for found in re.findall(r"job=occ_run .* seconds=([\d.]+) ", log.read_text()))
    assert seconds[-1] > 1, "one has computed"
    assert sum(seconds[:-1]) < 0.2 * seconds[-1], f"the others have waited for its result: {seconds}"
