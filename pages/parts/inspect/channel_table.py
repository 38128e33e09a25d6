"""The channel table of a layer: the effect of ablating each channel, and the activation maps of the strongest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import address, elements
from perturb.core.colour import colour_map
from perturb.core.quoting import markdown_text
from perturb.methods.ablation_cam import weights
from perturb.segmenters.layers import layer_access

SHOWN = 12


@address.fragment
def show(result: perturb.Attribution, prefix: str) -> None:
    """A sortable table of all channels, and the activations of those with the largest weights."""
    worth, plain = weights(result.clean, result.readings)
    order = np.argsort(-np.abs(worth), kind="stable")
    st.subheader(
        "Channels",
        help="One row for each channel of the layer. Its weight is the drop of the score when the channel is set to zero.",
    )
    st.caption(
        f"Layer {markdown_text(str(result.facts['layer']))}: {len(worth)} channels, {result.facts['silent_channels']} of them zero everywhere "
        "on this image. Below: activations of the channels with the largest weights, from zero (dark) to the channel's maximum (bright)."
    )
    maps = layer_access(result.segmenter).activations(result.image, str(result.facts["layer"]))
    with st.container(horizontal=True):
        for channel in order[:SHOWN]:
            values = maps[int(channel)]
            with st.container(width=150, gap="xsmall"):
                elements.show(
                    colour_map(np.maximum(values, 0), limit=float(values.max()), signed=False),
                    alt=f"Activation of channel {channel}",
                    caption=f"{channel}: weight {elements.number(float(worth[channel]), signed=True)}, "
                    f"up to {elements.number(float(values.max()))}",
                )
    readings = result.readings
    frame = pd.DataFrame(
        {
            "channel": order,
            "weight": worth[order],
            "drop": result.clean.score[0] - readings.score[order],
            "lost": readings.lost[order],
            "gained": readings.gained[order],
            "iou": readings.iou[order],
        }
    )
    score = result.frozen.target.score
    st.dataframe(
        frame,
        hide_index=True,
        height=320,
        key=f"{prefix}channels",
        column_config={
            "channel": st.column_config.NumberColumn("Channel", help="Its number in the layer."),
            "weight": st.column_config.NumberColumn(
                "Weight",
                format="%.4f",
                help="Drop of the score" + ("." if plain else ", relative to the clean score."),
            ),
            "drop": st.column_config.NumberColumn(
                f"Drop ({score})", format="%.4f", help="Clean score minus the score without the channel."
            ),
            "lost": st.column_config.NumberColumn(
                "Lost", help="Pixels that are no longer predicted as the class without the channel."
            ),
            "gained": st.column_config.NumberColumn(
                "Gained", help="Pixels that become predicted as the class without the channel."
            ),
            "iou": st.column_config.NumberColumn("IoU", format="%.3f", help="IoU of the new mask with the clean one."),
        },
    )
