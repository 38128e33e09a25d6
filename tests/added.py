"""What a copy of the project offers after the four additions of the documentation, printed as JSON.

`python added.py OUT` runs in a process of its own, with the copy as its working directory and on its path.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from streamlit.testing.v1 import AppTest

import perturb
from docs.labdocs import GENERATORS
from docs.labdocs.commands import listed, run

KINDS = ("methods", "fills", "metrics", "segmenters")
TARGET = {"class": "bright", "region": "all"}


def command(*words):
    code, out, err = run(words)
    assert code == 0, err
    return out


def from_the_command_line(out):
    """Maps of the method under two fills, and the metric of them, all for the segmenter."""
    asked = ("--segmenter", "brightness", "--target", "bright", "--region", "all", "--method", "halves", "--no-curves")
    found = {}
    for fill in ("black", "mirror"):
        for cut in ("vertical", "horizontal"):
            folder = out / f"{fill}-{cut}"
            command(
                "explain", "quiet-street", *asked, "--set", f"fill={fill}", "--set", f"cut={cut}", "--out", str(folder)
            )
            heatmap = np.load(folder / "heatmap.npy")
            found[folder.name] = [float(heatmap[0, 0]), float(heatmap[-1, -1])]
            found[f"{folder.name} values"] = len(np.unique(heatmap))
    told = ("--segmenters", "brightness", "--classes", "bright", "--methods", "halves,saliency")
    command("evaluate", "quiet-street", *told, "--metrics", "left_share", "--out", str(out / "table"))
    table = pd.read_parquet(out / "table" / "table.parquet")
    return found | {"evaluated": dict(zip(table["map"], table["left_share"], strict=True))}


def from_python():
    """The metric of the method's map."""
    image, segmenter = perturb.sample("quiet-street"), perturb.load_segmenter("brightness")
    target = perturb.Target("bright", region="all")
    result = perturb.explain(image, segmenter, target, method="halves", fill="black")
    return perturb.compare([result], metrics=["left_share"]).maps[0].values["left_share"]


def visit(page, **query):
    app = AppTest.from_file(str(Path("streamlit_app.py").resolve()), default_timeout=120)
    app.query_params.update(query)
    app.switch_page(f"pages/{page}.py")
    app.run()  # comes to a page through the entry point; the second run settles what the rest runs on
    app.run()
    assert not app.exception, app.exception
    assert not app.error, app.error
    return app


def words(app):
    kinds = (app.title, app.caption, app.markdown, app.info, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def pages():
    """The method, the fill and the segmenter on one page with a map made, then the catalogue and the metric's card."""
    chosen = {"per_method": "halves", "per_fill": "mirror", "per_class": "bright", "per_region": "all"}
    app = visit("perturbation", segmenter="brightness", sample="quiet-street", **chosen)
    if not app.button(key="per_run").disabled:  # a busy machine leaves it to the visitor
        app.button(key="per_run").click().run()
        assert not app.exception, app.exception
        assert not app.error, app.error
    found = {
        "method": [app.segmented_control(key="per_method").options, app.segmented_control(key="per_method").value],
        "fill": [app.selectbox(key="per_fill").options, app.selectbox(key="per_fill").value],
        "cut": app.selectbox(key="per_cut").options,
        "sidebar": [app.sidebar.selectbox(key="segmenter").options, app.sidebar.selectbox(key="segmenter").value],
        "perturbation": words(app),
        "line": app.code[1].value,
    }
    app = visit("segmenters", seg_view="catalogue")
    found |= {"catalogue": words(app), "catalogue table": list(app.dataframe[0].value["name"])}
    app = visit("faithfulness", fai_view="cards")
    cards = {expander.label: expander.markdown[0].value for expander in app.expander if len(expander.markdown)}
    return found | {"cards": cards}


def main(out):
    here = Path.cwd()
    assert Path(perturb.__file__).is_relative_to(here), perturb.__file__
    found = {"listed": {kind: [entry["name"] for entry in listed(kind)] for kind in KINDS}}
    if out is not None:
        found |= {
            "documented": {kind: GENERATORS[kind](None) for kind in KINDS},
            "command line": from_the_command_line(out),
            "compared": from_python(),
            "pages": pages(),
        }
        assert Path(sys.modules["pages.parts.app.shell"].__file__).is_relative_to(here)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
