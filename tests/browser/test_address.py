"""The address in the browser is a link to what the page shows, whatever came and went on the page before."""

import re

import pytest
from playwright.sync_api import Page, expect

from .driver import open_page, query, wait_idle
from .lab import choose, run_button

MILLISECONDS = 60_000


def _expect_query(page: Page, wanted: dict[str, str]) -> None:
    in_any_order = "".join(f"(?=.*[?&]{re.escape(f'{name}={value}')}(&|$))" for name, value in wanted.items())
    expect(page).to_have_url(re.compile(f"^{in_any_order}" if wanted else "^[^?]*$"), timeout=MILLISECONDS)
    wait_idle(page, MILLISECONDS / 1000)
    assert query(page) == wanted


def _method(page: Page, name: str) -> None:
    page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True).click()


def _expect_method(page: Page, name: str) -> None:
    expect(page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True)).to_be_checked(
        timeout=MILLISECONDS
    )


def _dismiss_guide(page: Page) -> None:
    button = page.get_by_role("button", name="Got it")
    button.click()
    expect(button).to_have_count(0)
    wait_idle(page, MILLISECONDS / 1000)


def test_settings_are_in_the_address_after_the_guide_went_away(new_page, app_url):
    """The widgets below it move up, and the browser forgets which of them belong to the address."""
    page = new_page()
    open_page(page, f"{app_url}/perturbation")
    _dismiss_guide(page)
    _method(page, "lime")
    _expect_query(page, {"per_method": "lime"})
    choose(page, "^Fill$", "blur")
    _expect_query(page, {"per_method": "lime", "per_fill": "blur"})

    other = new_page()
    open_page(other, page.url)
    _expect_method(other, "lime")
    expect(other.get_by_role("combobox", name="Fill", exact=True)).to_have_value("blur")
    _expect_query(other, {"per_method": "lime", "per_fill": "blur"})


def test_a_run_after_the_guide_went_away_is_in_the_address(page, app_url):
    open_page(page, f"{app_url}/occlusion")
    _dismiss_guide(page)
    choose(page, "^Fill$", "white")
    run_button(page).click()
    _expect_query(page, {"occ_fill": "white"})


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        (
            "perturbation",
            [
                (lambda page: _method(page, "lime"), {"per_method": "lime"}),
                (lambda page: _method(page, "rise"), {"per_method": "rise"}),
                (lambda page: choose(page, "^Fill$", "blur"), {"per_method": "rise", "per_fill": "blur"}),
                (lambda page: choose(page, "^Fill$", "grey"), {"per_method": "rise"}),
            ],
        ),
        (
            "occlusion",
            [
                (_dismiss_guide, {}),
                (lambda page: choose(page, "^Fill$", "white"), {"occ_fill": "white"}),
                (lambda page: choose(page, "^Fill$", "blur"), {"occ_fill": "blur"}),
                (lambda page: choose(page, "^Region$", "all"), {"occ_fill": "blur", "occ_region": "all"}),
            ],
        ),
    ],
)
def test_the_address_follows_changes_in_a_row(page, app_url, path, steps):
    open_page(page, f"{app_url}/{path}")
    for change, wanted in steps:
        change(page)
        _expect_query(page, wanted)


def test_back_and_forward_go_through_what_the_address_held(page, app_url):
    open_page(page, f"{app_url}/perturbation")
    _dismiss_guide(page)
    _method(page, "lime")
    _expect_query(page, {"per_method": "lime"})
    _method(page, "rise")
    _expect_query(page, {"per_method": "rise"})
    page.go_back()
    _expect_method(page, "lime")
    _expect_query(page, {"per_method": "lime"})
    page.go_forward()
    _expect_method(page, "rise")
    _expect_query(page, {"per_method": "rise"})
