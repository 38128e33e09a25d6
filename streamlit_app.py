"""Entry point of the Streamlit app: page configuration, navigation, the sidebar (image and segmenter), and the page."""

from pathlib import Path

import streamlit as st

from pages.parts.app import address, guide, shell, upload_store

# A local file: an icon given by name would be fetched from a third-party server.
ICON = Path(__file__).parent / "pages" / "icon.png"
st.set_page_config(page_title="Perturbation Lab", page_icon=str(ICON), layout="wide")
upload_store.guard()
page = st.navigation(shell.pages())
shell.enter(page.url_path)
shell.sidebar()
guide.show()
with address.followed():
    page.run()
shell.tell_dropped()
