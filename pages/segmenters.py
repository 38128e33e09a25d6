"""Segmenters: bring your own network as an ONNX file."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

from pages.parts import onnx_form  # noqa: E402 — the page may have to start over first

st.title("Segmenters")
st.caption("The lab explains any network that gives a score for each class and pixel.")
onnx_form.section()
