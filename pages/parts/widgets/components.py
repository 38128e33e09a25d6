"""Components whose HTML, CSS and JavaScript are files in the folder `frontend` beside their module."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def component(module: str) -> ComponentRenderer:
    """Declare the component of a module, from the files of its name.

    To be called once, as the module is imported: a second declaration under the same name would replace the first under
    the feet of other sessions.

    Args:
        module: its `__file__`.
    """
    path = Path(module)

    def read(suffix: str) -> str:
        return (path.parent / "frontend" / f"{path.stem}.{suffix}").read_text(encoding="utf-8")

    return st.components.v2.component(path.stem, html=read("html"), css=read("css"), js=read("js"))
