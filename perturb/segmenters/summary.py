"""Summary of a network: its parts as a tree, with their output shapes for an image and their numbers of weights.

A part is a torch module or a node of an ONNX graph. Operations between torch modules, such as an addition or a function
of `torch.nn.functional`, are not modules, so the tree of a torch network does not contain them. In a graph every
operation is a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]

GROUP = "group of nodes"


@dataclass(frozen=True)
class Part:
    """A part of a network, with the parts inside it.

    Attributes:
        name: its dotted path, such as `decoder3.mix`; empty for the whole network.
        kind: the module's class name, or the node's operator; `GROUP` for a group of nodes.
        calls: number of calls for one image; 0 for a mere container or an unused part.
        shapes: distinct shapes of its outputs, without the batch axis, in the order of their first occurrence; for a
            group, those of its last node.
        own: number of its own weights, without its parts. A shared weight counts for the first part only.
        parts: its parts, in the order of definition; in a graph, in execution order.
        same_as: name of the first occurrence of the same module, which has its parts and weights; else empty.
        layer: its name for layer methods; empty if they cannot use it.
    """

    name: str
    kind: str
    calls: int
    shapes: tuple[Shape, ...]
    own: int
    parts: tuple[Part, ...] = ()
    same_as: str = ""
    layer: str = ""

    @property
    def parameters(self) -> int:
        """Number of weights, including all parts."""
        return self.own + sum(part.parameters for part in self.parts)

    def walk(self) -> Iterator[Part]:
        """This part and all parts within it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True)
class KindCount:
    """All parts of one kind.

    Attributes:
        kind: the class name or operator.
        count: number of parts; one that occurs several times counts once.
        parameters: total number of their own weights.
    """

    kind: str
    count: int
    parameters: int


def by_kind(whole: Part) -> tuple[KindCount, ...]:
    """Kinds of the parts that are innermost or have weights of their own, by number of weights, then of parts."""
    found: dict[str, list[int]] = {}
    for part in whole.walk():
        if not part.same_as and (part.own or not part.parts):
            tally = found.setdefault(part.kind, [0, 0])
            tally[0] += 1
            tally[1] += part.own
    kinds = (KindCount(name, count, own) for name, (count, own) in found.items())
    return tuple(sorted(kinds, key=lambda kind: (-kind.parameters, -kind.count, kind.kind)))


def why_not(part: Part) -> str:
    """Why layer methods cannot use a part, as a sentence; empty if they can."""
    if part.layer:
        return ""
    if part.same_as:
        return f"It is the same module as {part.same_as}, which is used in several places."
    if part.calls == 0:
        return "It is not run by itself for this image: it only contains other parts, or is not used at all."
    if part.calls > 1:
        return f"It is used {part.calls} times for one image, so it has no single output."
    if not any(len(shape) == 3 and shape[1] * shape[2] > 1 for shape in part.shapes):
        return "Its output is not a map with channels, rows and columns."
    return "It is not a layer: it is an identity operation, a group, has several maps as output, or is the network's output."


def without_batch(shape: Shape) -> Shape:
    """The shape for one image, without the batch axis if there is one."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
