"""Hostile names where pages put names: in text, captions, messages, buttons and help, for `test_names.py`."""

import streamlit as st

from perturb.core.quoting import markdown_text

NAMES = (
    "![x](http://127.0.0.1:9/x.png)",
    "[x](http://127.0.0.1:9/)",
    "http://127.0.0.1:9/ www.example.org a@example.org",
    "<img src=http://127.0.0.1:9/x.png onerror=alert(1)>",
    "**bold** _i_ ~~s~~ `code`",
    ":red[x] :material/home: :smile: :gray-badge[x]",
    "$x^2$ $$y$$",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "a | b",
    "[^1]: note",
    "&lt;b&gt; &copy;",
    "\\*x\\*",
    "--- === ***",
)

if __name__ == "__main__":
    for index, name in enumerate(NAMES):
        with st.container(key=f"name{index}"):
            st.markdown(markdown_text(name))
            st.markdown(f"**{markdown_text(name)}** and more")
            st.caption(f"Of {markdown_text(name)}.")
            st.error(markdown_text(name))
            st.button(markdown_text(name), key=f"button{index}")
