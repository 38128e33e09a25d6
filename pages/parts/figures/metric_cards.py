"""The metric cards: what each metric measures, assumes, and how it can be gamed."""

from __future__ import annotations

import json

import streamlit as st

from perturb.metrics.base import GROUPS, Metric
from perturb.metrics.registry import METRICS

READ = {
    "lower": "lower is better",
    "higher": "higher is better",
    "read": "neither good nor bad",
    "control": "an uninformative baseline",
}


def tip(metric: Metric) -> str:
    """A metric's card in short, for the tooltip of its column."""
    return (
        f"{metric.summary} **Range** {metric.range}; {READ[metric.better]}. **Assumes:** {metric.assumptions} "
        f"**Can be gamed:** {metric.gamed} **Source:** {metric.citation}."
    )


def section() -> None:
    """All cards by group, with a download as JSON."""
    st.download_button(
        "Download the cards (JSON)",
        data=json.dumps([metric.as_dict() for metric in METRICS.values()], indent=2, ensure_ascii=False),
        file_name="metrics.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
        help="The same as `python -m perturb list metrics --json`.",
    )
    for group, title in GROUPS.items():
        st.subheader(title)
        for metric in METRICS.values():
            if metric.group == group:
                with st.expander(f"{metric.title} {metric.arrow} — {metric.summary}"):
                    st.markdown(
                        f"`{metric.name}` · {READ[metric.better]} · range {metric.range}\n\n"
                        f"- **Formula:** {metric.formula}\n- **Assumes:** {metric.assumptions}\n"
                        f"- **Can be gamed:** {metric.gamed}\n- **Costs:** {metric.cost} (forward passes for one map)\n"
                        f"- **Source:** {metric.citation}"
                    )
