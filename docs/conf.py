"""The configuration of the documentation site; `make docs` builds it into `docs/_build/html`, without a network."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import perturb  # noqa: E402 — found by the path above

project = "Perturbation Lab"
author = "The Perturbation Lab developers"
copyright = "2026, The Perturbation Lab developers"
version = release = perturb.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "labdocs"]
exclude_patterns = ["_build", "labdocs"]
templates_path: list[str] = []

# Pages are Markdown that also reads well on a repository's own page.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write code in single backticks.
default_role = "code"
smartquotes_action = "D"  # dashes; quotation marks stay what was typed
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Types of other libraries are named but not linked: links would need their inventories, and a network at each build.
# Neither are types that are not public.
nitpick_ignore_regex = [("py:.*", r"(?!perturb\.\w+$).*")]

# Where links of the gallery open the lab; a host of the lab sets its own address.
lab_url = os.environ.get("LAB_URL", "http://localhost:8501")

html_theme = "furo"
html_title = "Perturbation Lab"
html_static_path = ["_static"]
html_css_files = ["lab.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#9d1528",
        "color-brand-content": "#9d1528",
        "color-brand-visited": "#7a3b46",
    },
    "dark_css_variables": {
        "color-brand-primary": "#ef8a62",
        "color-brand-content": "#ef8a62",
        "color-brand-visited": "#d7a894",
    },
}
