"""Former page of Seg-Ablation-CAM: its links open the same result on the Inspect page."""

from pages.parts.app import shell

shell.require_entrypoint()  # redirects to the Inspect page
