"""Every rule of the stylesheets means something to a browser, which passes over in silence what it does not know."""

import pytest
import tinycss2

from .driver import ROOT

SHEETS = sorted(path for folder in ("pages", "perturb") for path in (ROOT / folder).rglob("*.css"))
NOT_OF_CHROMIUM = {"-webkit-touch-callout"}
UNKNOWN = """
([selectors, declarations]) => {
  const valid = selector => { try { document.querySelector(selector); return true } catch { return false } }
  return [selectors.filter(each => !valid(each)), declarations.filter(each => !CSS.supports(...each))]
}
"""


def rules(nodes):
    """Selectors with their declarations, those inside `@media` included."""
    for node in nodes:
        assert node.type in ("qualified-rule", "at-rule"), f"line {node.source_line}: {node.serialize()}"
        if node.type == "at-rule":
            yield from rules(tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True))
            continue
        inside = tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
        assert all(each.type == "declaration" for each in inside), f"line {node.source_line}: {node.serialize()}"
        yield tinycss2.serialize(node.prelude), inside


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_a_browser_understands_every_selector_and_declaration(page, path):
    text = path.read_text(encoding="utf-8")
    read = list(rules(tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)))
    declared = [[each.name, tinycss2.serialize(each.value)] for _, inside in read for each in inside]
    declared = [each for each in declared if each[0] not in NOT_OF_CHROMIUM]
    assert len(declared) > 10
    assert page.evaluate(UNKNOWN, [[selector for selector, _ in read], declared]) == [[], []]
