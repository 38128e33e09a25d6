"""A method that was added to METHODS stands on the page that its class names, and makes a map there."""

import pytest

import perturb
from tests.methods.toys import TOYS
from tests.pages.test_pages import visit, words


@pytest.fixture(autouse=True)
def added(monkeypatch):
    for toy in TOYS:
        monkeypatch.setitem(perturb.METHODS, toy.name, toy)


@pytest.mark.parametrize(("page", "prefix", "toy"), [("perturbation", "per_", TOYS[0]), ("inspect", "cam_", TOYS[1])])
def test_a_page_offers_and_runs_an_added_method(page, prefix, toy):
    app = visit(page, **{f"{prefix}method": toy.name, "sample": "lone-pedestrian"})
    if not app.button(key=f"{prefix}run").disabled:  # a busy machine leaves it to the visitor
        app.button(key=f"{prefix}run").click().run()
    assert not app.exception
    assert not app.error
    methods = app.segmented_control(key=f"{prefix}method")
    assert toy.name in methods.options
    assert methods.value == toy.name
    text = words(app)
    assert toy.summary in text
    assert toy.captions["score"] in text
    assert "Raw range:" in text
    assert "Deletion: area **" in text
    assert f"--method {toy.name}" in app.code[1].value
    assert ("Rank **1** of 4" in text) == (page == "perturbation"), "what hides pixels can be probed"
    if page == "perturbation":
        assert "4 segments · toy: 1.5" in text
