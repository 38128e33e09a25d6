"""Compare: two to four explanations of one picture beside each other, what they do not have in common, and their curves."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.compare import differences, gallery, pane_curves, pane_files, panes

PREFIX = "cmp_"
VIEWS = {
    "maps": "A − B: where one map is higher than the other, and how far they agree.",
    "predictions": "Where the segmenters of A and B say different things about the clean picture.",
    "curves": "Deletion and insertion of all panes: which map points at pixels that matter?",
}

st.title("Compare")
st.caption(
    "Segmenters, methods and settings beside each other, on one picture and one target. Zoom into one pane, and all of them "
    "show the same place."
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
