"""The lab in the browser: page configuration, navigation, the sidebar (picture and segmenter), and the page."""

import streamlit as st

from pages.parts import address, guide, shell

st.set_page_config(page_title="Perturbation Lab", page_icon=":material/visibility_off:", layout="wide")
page = st.navigation(shell.pages())
shell.enter(page.url_path)
shell.sidebar()
guide.show()
with address.followed():
    page.run()
shell.tell_dropped()
