"""Links to Seg-Ablation-CAM from when it had a page of its own: the same result, on the page that has it now."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

query: dict[str, str | list[str]] = {name: st.query_params.get_all(name) for name in st.query_params}
st.switch_page("pages/inspect.py", query_params={**query, "cam_method": "ablation-cam"})
