"""A small world of everyday things: scenes, their rendering, and questions about them.

Used to train the shipped model, to build its data, and by the scene composer of the app.
"""

from r2t2_core.scenes.render import render
from r2t2_core.scenes.world import BACKGROUNDS, KINDS, SETTINGS, Item, Light, Scene

__all__ = ["BACKGROUNDS", "KINDS", "SETTINGS", "Item", "Light", "Scene", "render"]
