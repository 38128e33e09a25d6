"""The report as assembled by a visitor, and the guide of a first visit."""

from tests.pages.test_image_choice import file, photograph
from tests.pages.test_pages import visit, words


def dialog(app):
    app.sidebar.button(key="report_open").click().run()
    return app


def entries(app):
    return app.session_state["report"].entries


def test_results_are_added_once_reordered_annotated_and_removed():
    # Start on a page that runs nothing, so that the run is on a small image.
    app = visit("faithfulness", fai_view="cards", source="upload")
    app.sidebar.file_uploader(key="upload_0").set_value(file("one.png", photograph(1)))
    app.run()
    app.switch_page("pages/occlusion.py")
    for name, value in {"source": "upload", "occ_size": "64", "occ_stride": "64"}.items():
        app.query_params[name] = value
    app.run()
    app.run()
    assert not [button for button in app.sidebar.button if button.key == "report_open"], "nothing to open yet"
    app.button(key="occ_report").click().run()
    assert not app.exception
    assert app.button(key="occ_report").disabled
    assert app.button(key="occ_report").label == "In the report"
    app.segmented_control(key="occ_map").set_value("gained").run()
    app.button(key="occ_report").click().run()  # another map of it
    assert [button.label for button in app.sidebar.button if button.key == "report_open"] == ["Report (2)"]
    first, second = entries(app)
    assert [plate.title for plate in first.item.plates[2:]] == ["Heat map: score"]
    assert [plate.title for plate in second.item.plates[2:]] == ["Heat map: score", "Heat map: gained"]

    dialog(app)
    assert app.button(key="report_up_1").disabled
    app.text_area(key="report_note_2").set_value("look here").run()
    assert second.note == "look here"
    dialog(app).button(key="report_up_2").click().run()
    assert entries(app) == [second, first]
    dialog(app).text_input(key="report_title").set_value("Mine").run()
    assert app.session_state["report"].title == "Mine"
    dialog(app).button(key="report_remove_1").click().run()
    assert entries(app) == [second]
    assert [item.note for item in app.session_state["report"].latest()] == ["look here"]


def test_the_guide_is_shown_without_a_link_until_it_is_dismissed():
    app = visit()
    assert "**Check it.**" in words(app)
    app.button(key="guide_done").click().run()
    assert "Check it" not in words(app)
    app.switch_page("pages/faithfulness.py")
    app.query_params["fai_view"] = "cards"
    app.run()
    assert "Check it" not in words(app)
    assert "Check it" not in words(visit("faithfulness", fai_view="cards")), "a link shows its result at once"
