"""What a visitor may run: said before the press, with what would fit, and held to."""

import re
import time

import numpy as np
import pytest
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

import perturb
from pages.parts.runs import expected, jobs, visitors
from pages.parts.runs.allowance import Budget, overrun, refusal
from pages.parts.runs.paces import Meter, Pace, Paces
from perturb.core import stopwatch
from perturb.experiments.estimates import changes_that_fit
from perturb.lab.limits import HostLimits
from perturb.methods.base import Request
from tests.pages.test_pages import FAST, visit, words


def limits_of(**given):
    return HostLimits(**({"run_seconds": 600, "visitor_seconds": 1800} | given))


def stride(_: float) -> str:
    return "stride 8 → 16"


def test_a_run_that_fits_is_not_refused():
    assert refusal(600, 0, limits_of(), stride) == ""
    assert refusal(100, 1700, limits_of(), stride) == ""
    assert refusal(1e9, 1e9, limits_of(run_seconds=0, visitor_seconds=0), stride) == ""


def test_a_refusal_says_the_rule_and_what_would_fit():
    asked = []
    text = refusal(2700, 0, limits_of(), lambda most: asked.append(most) or "stride 8 → 16, or masks 500 → 100")
    assert text == (
        "This run is estimated at 45 min; this server allows 10 min a run: stride 8 → 16, or masks 500 → 100."
    )
    assert asked == [600]
    text = refusal(500, 1500, limits_of(), lambda most: asked.append(most) or "fewer masks")
    assert "estimated at 8 min; you have 5 min left of the 30 min of computing an hour" in text
    assert asked == [600, 300]
    assert "you have used the 30 min of computing an hour that this server gives each visitor: run it later" in refusal(
        5, 1800, limits_of(), stride
    )
    # Both rules: the narrower one is named.
    assert "10 min a run" in refusal(1900, 0, limits_of(), stride)
    assert "you have 2 min left" in refusal(1900, 1680, limits_of(), stride)
    assert refusal(700, 0, limits_of(run_seconds=0), stride) == ""


def test_the_budget_is_that_of_the_last_hour_and_of_each_visitor():
    now = [0.0]
    budget = Budget(lambda: now[0])
    budget.spend("anna", 100)
    now[0] = 1800
    budget.spend("anna", 50)
    budget.spend("ben", 7)
    assert (budget.used("anna"), budget.used("ben"), budget.used("cleo")) == (150, 7, 0)
    now[0] = 3601
    assert budget.used("anna") == 50
    now[0] = 6000
    assert (budget.used("anna"), budget.used("ben")) == (0, 0)
    assert budget._used == {}, "nothing is kept of visitors who left"


def test_a_run_is_stopped_well_above_the_limit_only():
    assert not overrun(899, limits_of())
    assert overrun(901, limits_of())
    assert not overrun(1e9, limits_of(run_seconds=0))


@pytest.mark.parametrize(
    ("address", "host", "headers", "local"),
    [
        ("127.0.0.1", "127.0.0.1:8501", ["Host"], True),
        ("localhost", "localhost:8501", [], True),
        ("::1", "[::1]:8501", [], True),
        ("127.0.0.1", "lab.example.org", [], False),  # a proxy that passes the name on
        ("127.0.0.1", "localhost:8501", ["X-Forwarded-For"], False),  # a visitor behind a proxy who claims to be here
        ("127.0.0.1", "localhost", ["via"], False),
        ("0.0.0.0", "localhost:8501", [], False),  # anybody can name this host
        (None, "localhost:8501", [], False),
        ("", "", [], False),
        ("127.0.0.1", "", [], False),
        ("127.0.0.1", "[::", [], False),
        ("127.0.0.1", "localhost.example.org", [], False),
    ],
)
def test_only_visits_from_the_server_itself_are_local(address, host, headers, local):
    assert visitors.is_local(address, host, headers) is local


def test_local_use_has_the_limits_that_were_set_and_no_others(monkeypatch):
    for name in ("LAB_RUN_SECONDS", "LAB_VISITOR_SECONDS"):
        monkeypatch.delenv(name)
    assert (HostLimits().run_seconds, HostLimits().visitor_seconds) == (300, 1800)
    local = HostLimits().for_local_use()
    assert (local.run_seconds, local.visitor_seconds) == (0, 0)
    monkeypatch.setenv("LAB_RUN_SECONDS", "40")
    local = HostLimits().for_local_use()
    assert (local.run_seconds, local.visitor_seconds) == (40, 0)
    assert local.slice_seconds == HostLimits().slice_seconds


def test_a_browser_is_one_visitor_and_a_forged_cookie_breaks_nothing():
    token = bytes(range(16))
    first, second = (visitors._browser(generate_xsrf_token_string(token)) for _ in range(2))
    assert first == second == f"browser {token.hex()}"
    assert visitors._browser(generate_xsrf_token_string()) != first
    for cookie in ("", "2|x|y|z", "2|0011|22|3", "|||", "2||||", "\x00", "2|00112233|" + "00" * 5000 + "|1"):
        assert visitors._browser(cookie) == ""


def test_what_fits_does_fit(limits):  # noqa: ARG001
    image, segmenter = perturb.sample(), perturb.load_segmenter("streets-unet")
    labels = np.zeros((image.height, image.width), np.int64)
    frozen = perturb.Target(segmenter.classes[0], region="all").freeze(image, labels, segmenter.classes)
    for name, settings, most in (
        ("occlusion", {"size": 32, "stride": 4}, 1000),
        ("occlusion", {"size": 8, "stride": 4}, 300),
        ("rise", {"masks": 20_000}, 1234),
        ("lime", {"samples": 5000}, 999),
        ("integrated-gradients", {"steps": 1000}, 100),
        ("feature-ablation", {"count": 400}, 60),
    ):
        method = perturb.METHODS[name]
        every = {each.name: each.default for each in method.settings} | settings
        request = Request(image, segmenter, frozen, every)
        (text, *others) = changes_that_fit(request, name, lambda passes, most=most: passes <= most)
        assert not others
        changed = {key: int(value.replace(",", "")) for key, value in re.findall(r"(\w+) [\d,]+ → ([\d,]+)", text)}
        assert changed
        passes = method.forwards(Request(image, segmenter, frozen, every | changed))
        assert most / 6 < passes <= most, (name, text)
    assert changes_that_fit(request, "feature-ablation", lambda _: False) == []


def test_a_meter_tells_passes_from_what_a_run_takes_besides():
    seen = []
    meter = Meter(seen.append, 40)
    time.sleep(0.3)
    for index in range(1, 11):
        time.sleep(0.04)
        meter(index / 10)
    pace = meter.pace()
    assert pace.each == pytest.approx(0.01, rel=0.3)
    assert pace.start == pytest.approx(0.3, rel=0.4)
    assert seen == [index / 10 for index in range(1, 11)]
    assert pace.seconds(400) == pytest.approx(4.3, rel=0.3)


def test_a_meter_counts_no_waiting():
    meter = Meter(lambda _: None, 10)
    for index in range(1, 6):
        time.sleep(0.01)
        with stopwatch.paused():
            time.sleep(0.1)
        meter(index / 5)
    assert meter.pace().seconds(10) < 0.3


def test_paces_are_those_of_the_kind_and_scale_with_the_image():
    paces = Paces()
    paces.keep("net", 100, 100, "a", Pace(1.0, 2.0))
    paces.keep("net", 200, 100, "b", Pace(3.0))
    assert paces.find("net", 100, 100, ["a", "b"]) == ("a", Pace(1.0, 2.0))
    assert paces.find("net", 200, 100, ["a", "b"]) == ("b", Pace(3.0)), "this size comes first"
    assert paces.find("net", 300, 100, ["a", "b"]) == ("a", Pace(3.0, 6.0))
    assert paces.find("other", 100, 100, ["a"]) is None
    for index in range(5000):
        paces.keep("net", index, 1, "c", Pace(1.0))
    assert len(paces._known) == 2000, "visitors cannot fill the memory"


def test_ordinals():
    assert [jobs.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "111th"]
    )


def test_twenty_thousand_masks_are_refused_before_the_press_with_what_fits(limits):
    limits(run_seconds=30)
    app = visit("perturbation", per_method="rise", per_masks="20000")
    assert not app.exception
    assert app.button(key="per_run").disabled
    text = words(app)
    found = re.search(
        r"This run is estimated at [\d.]+ (min|h); this server allows 30 s a run: masks 20,000 → ([\d,]+)", text
    )
    assert found, text
    assert jobs.workshop().turns._all() == []
    # What it says does fit.
    app = visit("perturbation", per_method="rise", per_masks=found[2].replace(",", ""))
    assert "this server allows" not in words(app)


def test_four_large_panes_are_refused_before_the_press_with_what_fits(limits):
    limits(run_seconds=30)
    query = {"cmp_panes": "4"}
    for number in range(1, 5):
        query |= {f"cmp_{number}_method": "rise", f"cmp_{number}_masks": str(10_000 + 100 * number)}
    app = visit("compare", **query)
    assert not app.exception
    assert app.button(key="cmp_run_all").disabled
    text = words(app)
    assert "this server allows 30 s a run: pane 1: masks 10,100 →" in text
    assert all(f"pane {number}: masks" in text for number in range(1, 5))


def test_a_visitor_who_has_used_his_hour_is_told_so_and_keeps_what_is_computed(limits):
    app = visit("occlusion", **FAST, occ_fill="grey")
    limits(visitor_seconds=100)
    shop = jobs.workshop()
    who = "tab test session id"
    shop.budget.spend(who, 100)
    try:
        app.selectbox(key="occ_fill").select("blur").run()
        assert "you have used the 2 min of computing an hour" in words(app)
        assert app.button(key="occ_run").disabled
        assert "Deletion: area **" in words(app), "the old result is still there"
        app.selectbox(key="occ_fill").select("grey").run()
        assert "Up to date: the result below" in words(app), "what was computed before is there at once"
    finally:
        shop.budget._used.pop(who)


def test_the_limit_is_held_to_when_an_estimate_was_wrong(limits):
    limits(run_seconds=0.05)
    shop = jobs.workshop()
    before = dict(shop.paces._known)
    try:
        # As if passes had taken no time.
        image, name = perturb.sample(), "streets-unet"
        for way in ("whole", "incremental"):
            for kind in (f"occlusion {way}", expected._unit(way), expected.CURVES):
                shop.paces.keep(name, image.height, image.width, kind, Pace(0.0))
        app = visit("occlusion", occ_size="56", occ_stride="28", occ_fill="white")
        if "The run was stopped" not in words(app):
            app.button(key="occ_run").click().run()
        assert re.search(r"stopped after \d+ s: this server allows 1 s a run, and it took longer", words(app))
        assert shop.turns._all() == []
        assert shop.budget.used("tab test session id") > 0.05
    finally:
        shop.paces._known.clear()
        shop.paces._known.update(before)
        shop.budget._used.clear()


def test_a_job_of_a_new_kind_is_estimated_by_passes_of_other_runs_and_not_by_the_first_pass_of_all(monkeypatch):
    shop = jobs.Workshop()
    monkeypatch.setattr(jobs, "workshop", lambda: shop)
    size = ("net", 10, 20)
    assert expected.job_pace(size, "study", 0.2).seconds(2000) == pytest.approx(400)
    shop.paces.keep(*size, expected.CURVES, Pace(0.02))
    assert expected.job_pace(size, "study", 0.2).seconds(2000) == pytest.approx(40)
    shop.paces.keep(*size, "study", Pace(0.01))
    assert expected.job_pace(size, "study", 0.2).seconds(2000) == pytest.approx(20)
