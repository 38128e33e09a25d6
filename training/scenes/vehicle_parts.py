"""What is set into a car's body: screens, side windows, doors, lamps, grille, plates, mirrors."""

import numpy as np

from training.scenes.canvas import Array, Colour, mix
from training.scenes.vehicle_shell import Pose

GLASS: Colour = (34, 40, 48)
TRIM: Colour = (28, 28, 31)


def _mirrored(painter: Pose, share: float) -> Colour:
    light = painter.stage.light
    return mix(mix(GLASS, (0, 0, 0), 0.3 if light.lamps else 0.0), light.sky_low, share)


def screens(painter: Pose) -> None:
    """Windscreen and rear window."""
    shell = painter.shell
    for foot, head, sign in ((shell.w0, shell.w1, 1.0), (shell.r0, shell.r1, -1.0)):
        if shell.boxy and sign < 0 and painter.car.body == "van":
            continue
        inset = 0.014 * sign if not shell.boxy else 0.002 * sign
        t = np.linspace(foot - inset, head + inset, 6)
        left, right = shell.upper(t, np.full(6, -0.86)), shell.upper(t, np.full(6, 0.86))
        left, right = _lift(left, sign), _lift(right, sign)
        rise = float(shell.top(np.array([head]))[0] - shell.top(np.array([foot]))[0])
        run = abs(head - foot) * shell.length
        slope = np.hypot(rise, run)
        normal = (sign * rise / slope, run / slope, 0.0)
        if not painter.sees((left[3] + right[3]) / 2, normal):
            continue
        painter.face(np.concatenate([left, right[::-1]]), _mirrored(painter, 0.10))
        # A slanting sheet of sky, and a darker lower part where the dashboard shows.
        a = [0.10, 0.45]
        p, q = left + (right - left) * a[0], left + (right - left) * a[1]
        r, s = left + (right - left) * (a[0] + 0.18), left + (right - left) * (a[1] + 0.22)
        painter.face(np.array([p[0], q[0], s[-1], r[-1]]), _mirrored(painter, 0.34))
        painter.face(np.concatenate([left[:2], right[1::-1]]), _mirrored(painter, 0.02))
        if sign > 0 and painter.pixels > 30:
            for across in (0.3, 0.68):
                head_rest = left + (right - left) * across
                x0, x1 = head_rest[3], head_rest[4]
                wide = (right[3] - left[3]) * 0.06
                painter.face(np.array([x0 - wide, x0 + wide, x1 + wide * 0.7, x1 - wide * 0.7]), (20, 22, 26))


def _lift(points: Array, sign: float) -> Array:
    return np.asarray(points + np.array([0.02 * sign, 0.01, 0.0]))


def flanks(painter: Pose) -> None:
    """Side windows, door seams, handles, sill and mirror on the visible side."""
    shell = painter.shell
    for hand in (-1, 1):
        if not painter.sees(np.array([0, shell.belt, hand * shell.width / 2]), (0, 0.15, hand)):
            continue
        for t0, t1 in _windows(painter):
            t = np.linspace(t0, t1, 7)
            high = np.minimum(shell.top(t) - 0.085, shell.high - 0.10)
            low = np.full(7, shell.belt + 0.035)
            keep = high > low
            if keep.sum() < 2:
                continue
            outline = np.concatenate(
                [shell.side(t[keep], low[keep], hand), shell.side(t[keep][::-1], high[keep][::-1], hand)]
            )
            painter.face(outline, _mirrored(painter, 0.13))
            middle = low + (high - low) * 0.55
            band = np.concatenate(
                [shell.side(t[keep], middle[keep], hand), shell.side(t[keep][::-1], high[keep][::-1], hand)]
            )
            painter.face(band, _mirrored(painter, 0.27))
        if painter.pixels > 22:
            _doors(painter, hand)
        mirror = shell.side(np.array([shell.w0 - 0.035]), np.array([shell.belt + 0.09]), hand)[0]
        f, u, r = np.array([0.06, 0, 0]), np.array([0, 0.09, 0]), np.array([0, 0, 0.17 * hand])
        painter.face(np.array([mirror, mirror + u, mirror + u + r, mirror + r]) - f, TRIM, (-1, 0.2, 0))
        painter.face(np.array([mirror - f, mirror + f, mirror + f + u + r, mirror - f + u + r]),
                     painter.paint, (0.2, 0.4, hand))  # fmt: skip


def _windows(painter: Pose) -> list[tuple[float, float]]:
    shell, body = painter.shell, painter.car.body
    if body == "bus":
        return [(a, a + 0.125) for a in np.arange(-0.46, 0.42, 0.14)]
    front, rear = shell.w0 - 0.03, shell.r0 + 0.035
    if body == "van":
        return [(0.12, 0.315)]
    pillar = (shell.w1 + shell.r1) / 2 + 0.015
    return [(pillar + 0.012, front), (rear, pillar - 0.012)]


def _doors(painter: Pose, hand: int) -> None:
    shell = painter.shell
    width = max(0.004, 0.6 / painter.pixels / shell.length)
    seams = [shell.w0 - 0.06, (shell.w1 + shell.r1) / 2 + 0.015] + ([] if shell.boxy else [shell.r0 + 0.13])
    y = np.linspace(shell.sill + 0.08, shell.belt, 4)
    dark = mix(painter.paint, (0, 0, 0), 0.45)
    for t in seams:
        a, b = shell.side(np.full(4, t), y, hand), shell.side(np.full(4, t + width), y, hand)
        painter.face(np.concatenate([a, b[::-1]]), dark, (0, 0, hand))
    for t in seams[1:] if not shell.boxy else seams[1:2]:
        box_t = np.array([t + 0.02, t + 0.06, t + 0.06, t + 0.02])
        box_y = shell.belt - np.array([0.12, 0.12, 0.085, 0.085])
        painter.face(shell.side(box_t, box_y, hand, 0.03), mix(painter.paint, (230, 230, 230), 0.25), (0, 0.4, hand))
    along = np.linspace(-0.44, 0.44, 8)
    # A crease along the flank catches the sky; the sill below stays dark.
    crease = np.concatenate(
        [
            shell.side(along, np.full(8, shell.belt - 0.2), hand),
            shell.side(along[::-1], np.full(8, shell.belt - 0.225), hand),
        ]
    )
    painter.face(crease, mix(painter.paint, (255, 255, 255), 0.14), (0, 0.8, hand * 0.6))
    sill = np.concatenate(
        [
            shell.side(along * 0.9, np.full(8, shell.sill), hand),
            shell.side(along[::-1] * 0.9, np.full(8, shell.sill + 0.07), hand),
        ]
    )
    painter.face(sill, TRIM, (0, 0, hand))


def ends(painter: Pose) -> None:
    """Lamps, grille, bumper and plate of the visible end."""
    shell, light = painter.shell, painter.stage.light
    front = painter.sees(np.array([shell.length / 2, 0.6, 0]), (1, 0, 0))
    rear = painter.sees(np.array([-shell.length / 2, 0.6, 0]), (-1, 0, 0))
    if not (front or rear):
        return
    sign = 1.0 if front else -1.0
    edge = 0.5 * sign
    nose = float(shell.top(np.array([edge]))[0])
    half = float(shell.half(np.array([edge]), np.array([0.6]))[0])
    x = edge * shell.length + 0.02 * sign
    normal = (sign, 0.15, 0.0)
    deck = float(shell.top(np.array([0.495 * sign]))[0])

    def panel(
        a0: float, a1: float, y0: float, y1: float, colour: Colour, out: float = 0.0, shines: bool = False
    ) -> None:
        z0, z1 = a0 * half, a1 * half
        points = np.array(
            [[x + out * sign, y0, z0], [x + out * sign, y0, z1], [x + out * sign, y1, z1], [x + out * sign, y1, z0]]
        )
        painter.face(points, colour, None if shines else normal)

    panel(-0.88, 0.88, shell.sill + 0.1, shell.sill + 0.2, TRIM)
    lamps_on = light.lamps or light.wet > 0 or light.haze_per_metre > 0.02
    if front:
        panel(-0.52, 0.52, nose - 0.12, nose + 0.02, (26, 27, 30))
        for k in range(3):
            panel(-0.5, 0.5, nose - 0.10 + k * 0.04, nose - 0.088 + k * 0.04, (120, 122, 126), 0.005)
        panel(-0.66, 0.66, shell.sill + 0.12, shell.sill + 0.19, (58, 60, 64), 0.01)
    else:
        panel(-0.30, 0.30, nose + 0.04, nose + 0.19, mix(painter.paint, (0, 0, 0), 0.25), -0.01)
    if shell.boxy and not front:
        # Two door windows, or the one wide pane of a bus, and the seam between the doors.
        low, high = shell.high * 0.58, shell.high * 0.85
        for a0, a1 in ((-0.76, -0.06), (0.06, 0.76)) if painter.car.body == "van" else ((-0.8, 0.8),):
            panel(a0, a1, low, high, _mirrored(painter, 0.12), 0.03)
            panel(a0, a0 + (a1 - a0) * 0.4, low, high, _mirrored(painter, 0.26), 0.03)
        panel(-0.012, 0.012, shell.sill + 0.3, high + 0.05, mix(painter.paint, (0, 0, 0), 0.4), 0.03)
    plate: Colour = (240, 238, 226) if front else (238, 206, 88)
    plate_y = shell.sill + 0.21 if front else nose + 0.06
    panel(-0.27, 0.27, plate_y, plate_y + 0.11, plate, 0.015)
    if painter.pixels > 60:
        for k in range(6):
            a = -0.23 + k * 0.08 + (0.02 if k > 3 else 0)
            panel(a, a + 0.045, plate_y + 0.025, plate_y + 0.085, (40, 40, 44), 0.02)
    for hand in (-1, 1):
        y0, y1 = (nose - 0.10, deck + 0.02) if front else (nose + 0.06, deck + 0.04)
        if painter.car.body in ("van", "bus") and not front:
            y0, y1 = nose + 0.1, nose + 0.45
        inner, outer = (0.58, 0.98) if front else (0.62, 0.99)
        back = 0.055 if front else 0.035
        t = np.array([edge - back * sign])
        wrap = shell.side(np.concatenate([t, t]), np.array([y1, y0]), hand, 0.015)
        face = np.array([[x, y0, hand * inner * half], [x, y1 - 0.03, hand * inner * half], [x - 0.02 * sign, y1, hand * outer * half],
                         wrap[0], wrap[1], [x, y0, hand * outer * half]])  # fmt: skip
        on = lamps_on and (front or light.lamps)
        bright: Colour = (
            ((255, 250, 228) if front else (255, 70, 52)) if on else ((214, 220, 224) if front else (158, 30, 30))
        )
        painter.face(face, bright, None if on else normal)
        if not on and painter.pixels > 24:
            core = face * 0.55 + face.mean(0) * 0.45
            painter.face(core, (246, 248, 250) if front else (206, 66, 52), normal)
        if on:
            centre = painter.stage.cam.project(painter.world(face.mean(0)))
            size = painter.pixels * (0.6 if front else 0.4)
            light.glow(centre, size, (255, 236, 190) if front else (255, 60, 40), 0.55 if front else 0.3)
