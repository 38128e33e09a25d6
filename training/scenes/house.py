"""What a house is: its place, its size and the colours houses come in."""

from dataclasses import dataclass

from training.scenes.canvas import Colour

WALLS: tuple[tuple[Colour, ...], ...] = (
    ((196, 116, 88), (222, 202, 168), (178, 96, 76), (206, 168, 128), (232, 222, 204), (160, 128, 112)),
    ((226, 208, 178), (214, 170, 146), (188, 196, 190), (232, 226, 214), (204, 150, 110), (172, 184, 196)),
    ((150, 92, 76), (172, 112, 88), (186, 160, 130), (138, 116, 108), (210, 196, 172), (122, 84, 74)),
    ((236, 214, 188), (226, 180, 150), (170, 190, 186), (238, 230, 216), (216, 196, 140), (206, 140, 122)),
    ((190, 186, 178), (162, 160, 158), (206, 200, 188), (176, 150, 132), (146, 150, 158), (218, 212, 204)),
)
TRIMS: tuple[Colour, ...] = ((244, 240, 230), (236, 228, 212), (230, 232, 232), (90, 84, 84), (206, 200, 190))
ROOFS: tuple[Colour, ...] = ((150, 82, 62), (104, 100, 106), (126, 90, 76), (86, 90, 100), (164, 100, 72))
ACCENTS: tuple[Colour, ...] = (
    (44, 96, 104), (164, 52, 48), (52, 70, 116), (60, 104, 70), (206, 150, 52), (98, 56, 82), (40, 44, 52), (212, 110, 70),
)  # fmt: skip


@dataclass
class House:
    """One building of a row: ``side`` -1 left, 1 right, 0 closes the street; u runs along its front."""

    side: int
    start: float  # nearest z, or leftmost x when side is 0
    width: float
    height: float
    kind: str  # terrace, shop, block, office, wall
    wall: Colour
    trim: Colour
    accent: Colour
    roof: Colour
    setback: float = 0.0
    pitched: bool = True
    brick: bool = False
    gap: bool = False  # nothing stands directly in front of it, so its end wall shows
    depth: float = 9.0

    @property
    def far(self) -> float:
        """The z of its far end."""
        return self.start + self.width
