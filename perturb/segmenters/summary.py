"""Summary of a network: its parts as a tree, what each gives for an image, and how many weights it holds.

A part is a module of torch, or a node of an ONNX graph. What a network computes between its modules, such as an addition
or a function of `torch.nn.functional`, is no module, so it does not stand in the tree of a torch network; in a graph
everything is a node.
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
        kind: the module's class name, or the node's operator; `GROUP` for nodes that belong together.
        calls: how often it was called for one image. 0 for one that only holds others, or that is not used.
        shapes: of what it gives, without the axis of the batch, each once, in the order in which they come; of a group, of
            what its last node gives.
        own: weights of its own, without those of its parts; a weight that several parts share counts for the first.
        parts: inside it, in the order in which they were written down; of a graph, in which they run.
        same_as: name of the place where the same module stands first; its parts and weights stand there.
        layer: the name by which methods that look at layers know it; empty where they cannot use it.
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
        """Weights in it and in all it contains."""
        return self.own + sum(part.parameters for part in self.parts)

    def walk(self) -> Iterator[Part]:
        """It, and all parts inside it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True)
class KindCount:
    """All parts of one kind.

    Attributes:
        kind: the class name or operator.
        count: how many there are; one that stands in several places counts once.
        parameters: their own weights together.
    """

    kind: str
    count: int
    parameters: int


def by_kind(whole: Part) -> tuple[KindCount, ...]:
    """The kinds of the innermost parts and of those with weights of their own: most weights first, then most parts."""
    found: dict[str, list[int]] = {}
    for part in whole.walk():
        if not part.same_as and (part.own or not part.parts):
            tally = found.setdefault(part.kind, [0, 0])
            tally[0] += 1
            tally[1] += part.own
    kinds = (KindCount(name, count, own) for name, (count, own) in found.items())
    return tuple(sorted(kinds, key=lambda kind: (-kind.parameters, -kind.count, kind.kind)))


def why_not(part: Part) -> str:
    """Why methods that look at layers cannot use a part, in words; an empty string if they can."""
    if part.layer:
        return ""
    if part.same_as:
        return f"It is the same module as {part.same_as}, which is used in several places."
    if part.calls == 0:
        return "It is not run by itself for this image: it only holds other parts, or is not used at all."
    if part.calls > 1:
        return f"It is used {part.calls} times for one image, so which of its outputs is meant cannot be said."
    if not any(len(shape) == 3 and shape[1] * shape[2] > 1 for shape in part.shapes):
        return "It gives no map: nothing with channels, rows and columns."
    return "It is no layer of its own: it is an identity operation, groups others, gives several maps, or is the output itself."


def without_batch(shape: Shape) -> Shape:
    """The shape for one image: without the batch's axis, if there is one."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
