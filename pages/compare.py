"""Compare: two to four explanations of one image side by side, their differences, and their curves."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.compare import differences, gallery, pane_curves, pane_files, panes

PREFIX = "cmp_"
VIEWS = {
    "maps": "The difference A − B of two maps, and how well they agree.",
    "predictions": "Where the segmenters of A and B predict different classes on the clean image.",
    "curves": "Deletion and insertion curves of all panes: which map ranks the important pixels first?",
}

st.title("Compare")
st.caption(
    "Compare segmenters, methods and settings side by side on one image and one target. All panes zoom and move together."
)
asked = panes.choose(PREFIX)
made = panes.run(asked, PREFIX)
if made is not None:
    with st.container(key=f"{PREFIX}shown_{'fresh' if made.fresh else 'stale'}"):
        a, b = gallery.show(made.panes, len(asked), PREFIX)
        st.subheader("What differs")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            view = gallery.choice("Compare", VIEWS, f"{PREFIX}view")
            how = differences.normalisation(PREFIX) if view == "maps" else "none"
        st.caption(VIEWS[view])
        if view == "curves":
            pane_curves.section(made.panes, PREFIX)
        elif b is None:
            st.info("Choose a second pane with a map as B above to see what differs.", icon=":material/info:")
        elif view == "predictions":
            differences.predictions(a, b)
        else:
            differences.maps(a, b, how)
        pane_files.offer(made, (a, b), how, PREFIX)
