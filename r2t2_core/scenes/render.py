"""Scenes to pictures."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from r2t2_core.scenes.backdrops import draw_backdrop
from r2t2_core.scenes.instruments import draw_chart, draw_gauge, draw_sign
from r2t2_core.scenes.sprites import placed_sprite, sprite_name
from r2t2_core.scenes.world import Item, Light, Scene

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def render(scene: Scene, size: int = 384) -> Image.Image:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
    size : int
        Width and height in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB, `size` × `size`.
    """
    picture = draw_backdrop(scene, size)
    # From the back to the front: what is lower in the picture is nearer.
    for item in sorted(scene.items, key=lambda item: item.y):
        if item.kind == "sign":
            draw_sign(picture, item, size)
        elif item.kind == "gauge":
            draw_gauge(picture, item, size)
        elif item.kind == "chart":
            draw_chart(picture, item, size)
        else:
            _paste_thing(picture, item, size)
    return _take(picture, scene.light)


def _paste_thing(picture: Image.Image, item: Item, size: int) -> None:
    pixels = max(4, round(item.size * size))
    sprite, shadow = placed_sprite(sprite_name(item.kind, item.colour), pixels, round(item.angle))
    left = round(item.x * size) - sprite.width // 2
    top = round(item.y * size) - sprite.height // 2
    offset = max(1, pixels // 18)
    picture.paste(shadow, (left + offset, top + offset), shadow)
    picture.paste(sprite, (left, top), sprite)


def _take(picture: Image.Image, light: Light) -> Image.Image:
    """Apply the light: blur, brightness, warmth and hue, then sensor noise."""
    if light.brightness == 1 and not (light.warmth or light.noise or light.blur or light.hue):
        return picture
    if light.blur:
        # Blur is in thousandths of the width, so that it looks the same at every size.
        picture = picture.filter(ImageFilter.GaussianBlur(light.blur * picture.width / 1000))
    pixels = np.asarray(picture, dtype=np.float32)
    gain = light.brightness * np.array([1 + light.warmth, 1, 1 - light.warmth], dtype=np.float32)
    pixels = pixels * gain
    if light.hue:
        pixels = pixels @ _turn(light.hue).T
    if light.noise:
        # Noise has the grain of a 64-pixel sensor at every size.
        grain = np.random.default_rng(light.seed).normal(0, light.noise, (64, 64, 3))
        repeats = -(-picture.width // 64)
        full = np.repeat(np.repeat(grain, repeats, 0), repeats, 1)
        pixels = pixels + full[: picture.height, : picture.width].astype(np.float32)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _turn(degrees: float) -> np.ndarray:
    """Return the matrix (3, 3) that turns hues of RGB and leaves greys as they are."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    matrix: np.ndarray = (np.linalg.inv(_TO_YIQ) @ turned @ _TO_YIQ).astype(np.float32)
    return matrix
