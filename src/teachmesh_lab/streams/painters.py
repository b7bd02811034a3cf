"""Painters of simple images, one per kind of task.

A painter takes a class index and a random generator and returns one image. Position, size,
colours, thickness and background are random; only the property that defines the class is fixed.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from teachmesh.data.procedural_images import procedural_images

SIDE = 64
_SCALE = 2  # images are drawn at twice their size and reduced, so that edges are smooth
_CANVAS = SIDE * _SCALE
_LEAST_CONTRAST = 90
"""Minimum difference in mean grey level (0 to 255) between figure and background."""

Painter = Callable[[int, np.random.Generator], Image.Image]
Point = tuple[float, float]


def count_of(kind: str) -> Painter:
    """Make a painter that draws n + 1 separate discs or bars for class n."""

    def paint(label: int, random: np.random.Generator) -> Image.Image:
        image, draw, colour = _canvas(random)
        for x, y in _apart(label + 1, random):
            radius = random.uniform(0.07, 0.11)
            if kind == "discs":
                _ellipse(draw, x, y, radius, colour)
            else:
                _stroke(draw, x, y, radius * 1.2, random.uniform(0, math.pi), 0.035, colour)
        return _finish(image)

    return paint


def shape_of(corners: tuple[int, ...], *, filled: bool) -> Painter:
    """Make a painter of polygons by corner count; 0 means a circle, -n an n-pointed star."""

    def paint(label: int, random: np.random.Generator) -> Image.Image:
        image, draw, colour = _canvas(random)
        radius, turn = random.uniform(0.18, 0.36), random.uniform(0, 2 * math.pi)
        x, y = random.uniform(radius, 1 - radius, 2)
        n = corners[label]
        if n == 0:
            _ellipse(draw, x, y, radius, colour, filled=filled)
        else:
            points = _figure(abs(n), x, y, radius, turn, star=n < 0)
            if filled:
                draw.polygon(_pixels(points), fill=colour)
            else:
                draw.line(_pixels([*points, points[0]]), fill=colour, width=3 * _SCALE)
        return _finish(image)

    return paint


def glyph_of(alphabet: int, *, curved: bool) -> Painter:
    """Make a painter of invented characters, with strokes between points of a 3 x 3 grid."""

    def paint(label: int, random: np.random.Generator) -> Image.Image:
        image, draw, colour = _canvas(random)
        # A generator seeded by the class draws the strokes, so all images of a class share them.
        strokes = np.random.default_rng([alphabet, label]).integers(0, 3, (4, 2, 2))
        scale, slant = random.uniform(0.2, 0.3), random.uniform(-0.2, 0.2)
        centre = random.uniform(0.42, 0.58, 2)
        width = int(random.integers(2, 5)) * _SCALE
        for stroke in strokes:
            ends = (stroke - 1) * scale + random.normal(0, 0.012, (2, 2))
            ends[:, 0] += slant * ends[:, 1]
            (x0, y0), (x1, y1) = ends + centre
            if curved:
                middle = (x0 + x1) / 2 + 0.5 * (y1 - y0), (y0 + y1) / 2 - 0.5 * (x1 - x0)
                points = _bow((x0, y0), middle, (x1, y1))
            else:
                points = [(x0, y0), (x1, y1)]
            draw.line(_pixels(points), fill=colour, width=width)
        return _finish(image)

    return paint


def grating(label: int, random: np.random.Generator) -> Image.Image:
    """Draw a sine grating of random frequency and phase, rotated by 30 degrees per class index."""
    angle = math.radians(30 * label + random.uniform(-5, 5))
    return _waves(angle, random.uniform(3, 9), random)


def bar(label: int, random: np.random.Generator) -> Image.Image:
    """Draw one bar, which is horizontal, rising, vertical or falling."""
    image, draw, colour = _canvas(random)
    x, y = random.uniform(0.35, 0.65, 2)
    angle = math.radians(45 * label + random.uniform(-8, 8))
    _stroke(draw, x, y, random.uniform(0.2, 0.33), angle, random.uniform(0.03, 0.09), colour)
    return _finish(image)


def pattern(label: int, random: np.random.Generator) -> Image.Image:
    """Draw checks, dots, a grid, rings or zigzags."""
    rows, columns = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j] + random.uniform(0, 1, (2, 1, 1))
    period = random.uniform(0.12, 0.25)
    u, v = (columns % period) / period, (rows % period) / period
    if label == 0:
        mask = (u < 0.5) ^ (v < 0.5)
    elif label == 1:
        mask = (u - 0.5) ** 2 + (v - 0.5) ** 2 < random.uniform(0.06, 0.12)
    elif label == 2:
        mask = (u < 0.22) | (v < 0.22)
    elif label == 3:
        centre = random.uniform(0.8, 1.2, 2)
        distance = np.hypot(rows - centre[0], columns - centre[1])
        mask = (distance % period) < 0.5 * period
    else:
        mask = ((rows + 0.5 * np.abs(u - 0.5) * period * 2) % period) < 0.4 * period
    return _two_tone(mask.astype(np.float64), random)


def roughness(label: int, random: np.random.Generator) -> Image.Image:
    """Draw noise with amplitude 1 / frequency^p, where p is 0, 0.75, 1.5 or 2.25."""
    noise = np.fft.rfft2(random.standard_normal((SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = 1.0
    field = np.fft.irfft2(noise * frequency ** (-0.75 * label), s=(SIDE, SIDE))
    field = (field - field.mean()) / (4 * float(field.std()))
    return _two_tone(np.clip(field + 0.5, 0, 1), random)


def hue(label: int, random: np.random.Generator) -> Image.Image:
    """Draw a texture tinted with one of six hues."""
    texture = procedural_images(1, SIDE, seed=int(random.integers(1 << 30)))[0]
    grey = texture.mean(axis=0)[:, :, None] / 255  # (S, S, 1)
    angle = (label + random.uniform(-0.25, 0.25)) / 6 % 1.0
    colour = colorsys.hsv_to_rgb(angle, random.uniform(0.5, 0.9), 1.0)
    return _image(255 * grey * np.array(colour))


def place(label: int, random: np.random.Generator) -> Image.Image:
    """Draw a disc in the middle or near one of the four corners."""
    image, draw, colour = _canvas(random)
    x, y = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))[label]
    x, y = np.array([x, y]) + random.uniform(-0.06, 0.06, 2)
    _ellipse(draw, x, y, random.uniform(0.08, 0.16), colour)
    return _finish(image)


def _canvas(random: np.random.Generator) -> tuple[Image.Image, ImageDraw.ImageDraw, str]:
    """Make an uneven background and choose a colour that contrasts with it."""
    while True:
        back, front = random.integers(0, 256, (2, 3))
        if abs(float(back.mean() - front.mean())) > _LEAST_CONTRAST:
            break
    ramp = np.linspace(-18, 18, _CANVAS)
    turn = random.uniform(0, 2 * math.pi)
    shade = math.cos(turn) * ramp[:, None] + math.sin(turn) * ramp[None, :]
    image = _image(back + shade[:, :, None] + random.normal(0, 6, (_CANVAS, _CANVAS, 1)))
    red, green, blue = (int(value) for value in front)
    return image, ImageDraw.Draw(image), f"rgb({red},{green},{blue})"


def _finish(image: Image.Image) -> Image.Image:
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _two_tone(share: np.ndarray, random: np.random.Generator) -> Image.Image:
    """Mix two colours; the (S, S) values in `share`, from 0 to 1, determine each pixel."""
    dark, light = random.integers(0, 110, 3), random.integers(146, 256, 3)
    if random.random() < 0.5:
        dark, light = light, dark
    noise = random.normal(0, 6, (SIDE, SIDE, 1))
    return _image(dark + share[:, :, None] * (light - dark) + noise)


def _waves(angle: float, cycles: float, random: np.random.Generator) -> Image.Image:
    rows, columns = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    along = columns * math.cos(angle) + rows * math.sin(angle)
    phase = random.uniform(0, 2 * math.pi)
    return _two_tone(0.5 + 0.5 * np.sin(2 * math.pi * cycles * along + phase), random)


def _apart(count: int, random: np.random.Generator) -> list[Point]:
    """Choose separate positions: the centres of cells of a 3 x 3 grid, slightly displaced."""
    cells = random.permutation(9)[:count]
    shake = random.uniform(-0.04, 0.04, (count, 2))
    return [
        (0.2 + 0.3 * (cell % 3) + dx, 0.2 + 0.3 * (cell // 3) + dy)
        for cell, (dx, dy) in zip(cells.tolist(), shake.tolist(), strict=True)
    ]


def _figure(n: int, x: float, y: float, radius: float, turn: float, *, star: bool) -> list[Point]:
    count = 2 * n if star else n
    radii = [radius if i % 2 == 0 or not star else 0.45 * radius for i in range(count)]
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _bow(start: Point, middle: Point, end: Point) -> list[Point]:
    """Approximate a quadratic Bezier curve by 9 points."""
    points = []
    for t in np.linspace(0, 1, 9).tolist():
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append(
            (
                a * start[0] + b * middle[0] + c * end[0],
                a * start[1] + b * middle[1] + c * end[1],
            )
        )
    return points


def _ellipse(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius: float,
    colour: str,
    *,
    filled: bool = True,
) -> None:
    box = _pixels([(x - radius, y - radius), (x + radius, y + radius)])
    if filled:
        draw.ellipse(box, fill=colour)
    else:
        draw.ellipse(box, outline=colour, width=3 * _SCALE)


def _stroke(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    half: float,
    angle: float,
    width: float,
    colour: str,
) -> None:
    dx, dy = half * math.cos(angle), -half * math.sin(angle)  # rows count downwards
    ends = _pixels([(x - dx, y - dy), (x + dx, y + dy)])
    draw.line(ends, fill=colour, width=max(1, round(width * _CANVAS)))


def _pixels(points: list[Point]) -> list[Point]:
    return [(x * _CANVAS, y * _CANVAS) for x, y in points]
