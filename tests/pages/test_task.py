"""Why the latest run of a task did not finish, and for which settings that is said."""

from streamlit.testing.v1 import AppTest


def script():
    import streamlit as st

    from pages.parts.runs.task import Task

    state = st.session_state
    task = Task("toy", state["settings"])
    if state.pop("halt", False):
        task.stop()
    if state.pop("start", False):
        state["toy_pending"] = task.key
    st.text(task.ended)
    st.text(str(task.stopped))


def shown(app, **state):
    for name, value in state.items():
        app.session_state[name] = value
    app.run()
    assert not app.exception
    return [text.value for text in app.text]


def test_a_stop_is_told_for_its_own_settings_only():
    app = AppTest.from_function(script)
    assert shown(app, settings="one image") == ["", "False"]
    told = ["The run was stopped. Press Run to start it again.", "True"]
    assert shown(app, halt=True) == told
    assert shown(app) == told
    assert shown(app, settings="another image") == ["", "False"]
    assert shown(app, settings="one image") == told


def test_a_run_that_a_change_of_settings_has_ended_is_told_with_the_new_ones():
    app = AppTest.from_function(script)
    shown(app, settings="stride 8", start=True)
    words, stopped = shown(app, settings="stride 16")
    assert words.startswith("The run was stopped because a setting changed.")
    assert stopped == "False", "the new settings may start by themselves"
    assert shown(app, settings="stride 24") == ["", "False"]
    assert shown(app, settings="stride 8") == ["", "True"]
