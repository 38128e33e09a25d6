"""Entry point of the Streamlit app.

Streamlit imports this file once, as a module, for the server `app`, and runs it as a script each time a visitor's page is
drawn: page configuration, navigation, the sidebar (image and segmenter), and the page.
"""

import streamlit as st

if __name__ == "__main__":
    from pages.parts.app import address, guide, shell, upload_store

    upload_store.guard()
    page = shell.navigation()
    shell.enter(page.url_path)
    shell.sidebar()
    guide.show()
    with address.followed():
        page.run()
    shell.tell_dropped()
else:
    from pages.parts.app import server

    server.log()
    app = st.App(__file__, middleware=server.middleware(), exception_handlers=server.exception_handlers())
