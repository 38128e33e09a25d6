"""Components whose HTML, CSS and JavaScript are files in the folder `frontend` next to their module."""

from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def component(module: str) -> ComponentRenderer:
    """Declare the component of a module from the files with its name.

    Call it once, when the module is imported. A second declaration with the same name would replace the first while
    other sessions use it.

    Args:
        module: its `__file__`.
    """
    path = Path(module)

    def read(suffix: str) -> str:
        return (path.parent / "frontend" / f"{path.stem}.{suffix}").read_text(encoding="utf-8")

    return st.components.v2.component(path.stem, html=read("html"), css=read("css"), js=read("js"))
