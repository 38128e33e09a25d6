"""Where Seg-Ablation-CAM had a page of its own: its links open the same result on the Inspect page."""

from pages.parts.app import shell

shell.require_entrypoint()  # which sends them on
