"""A visitor's own network on the other pages: what works, and the reasons where it does not."""

from streamlit.testing.v1 import AppTest

from tests.pages.test_pages import words
from tests.segmenters.onnx.test_layers import Net, exported


def visit(page, **query):
    app = AppTest.from_file("../../streamlit_app.py", default_timeout=120)
    app.session_state["own_segmenter"] = exported(Net().eval())
    app.query_params["segmenter"] = "model"
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(f"pages/{page}.py")
    app.run()
    return app.run()


def test_its_layers_are_offered_and_ablated():
    app = visit("inspect")
    assert not app.exception
    assert not app.error
    assert app.sidebar.selectbox(key="segmenter").value == "model"
    assert "second.relu" in app.selectbox(key="cam_layer").options
    assert "6 forward passes for the map" in words(app)
    assert "Raw range:" in words(app)


def test_its_layers_are_shown_without_gradients():
    app = visit("inspect", ins_view="layers")
    assert not app.exception
    assert not app.error
    assert app.selectbox(key="ins_walk").options == ["ablation-cam", "activations"]
    assert len(app.multiselect(key="ins_layers").value) == 3
    assert "of all attribution above zero" in words(app).lower()
    assert "Activation maps" in words(app)


def test_its_weights_cannot_be_randomized_and_the_page_says_so():
    app = visit("faithfulness", fai_view="sanity")
    assert not app.exception
    assert "cannot reach its weights" in words(app)
