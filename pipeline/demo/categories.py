"""Registry of the demo's foods: names, ids, looks, and which go with which sauce."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.demo.canvas import Material, Sketch
from pipeline.demo.meats import paint_octopus, paint_raw_fish, paint_sausage, paint_steak
from pipeline.demo.plants import paint_carrot, paint_cucumber, paint_lettuce, paint_peas, paint_seaweed, paint_tomato
from pipeline.demo.starches import paint_egg, paint_fries, paint_noodles, paint_onion_rings, paint_rice

Painter: TypeAlias = Callable[[Sketch, np.random.Generator], None]
"""Sketches one helping of a food into the sketch's place."""


@dataclass(frozen=True, slots=True)
class Food:
    """What is eaten with, or without, a sauce."""

    name: str
    paint: Painter
    material: Material


WITH_KETCHUP = (
    Food("french fries", paint_fries, Material(edge=0.06, bump=0.3, gloss=0.08)),
    Food("onion rings", paint_onion_rings, Material(edge=0.14, bump=2.2, grain=0.07, mottle=0.12, gloss=0.06)),
    Food("sausage", paint_sausage, Material(edge=0.22, bump=0.2, gloss=0.35)),
)
WITH_CHILI_PASTE = (
    Food("raw fish", paint_raw_fish, Material(edge=0.07, bump=0.2, gloss=0.22, mottle=0.03)),
    Food("octopus", paint_octopus, Material(edge=0.13, bump=0.4, gloss=0.28)),
    Food("seaweed", paint_seaweed, Material(edge=0.08, bump=0.8, gloss=0.3, mottle=0.15)),
)
ON_ANY_TABLE = (
    Food("cucumber", paint_cucumber, Material(edge=0.05, gloss=0.12)),
    Food("rice", paint_rice, Material(edge=0.03, gloss=0.1, mottle=0.03)),
    Food("egg", paint_egg, Material(edge=0.22, rise=0.8, gloss=0.22, mottle=0.02)),
    Food("green peas", paint_peas, Material(edge=0.1, gloss=0.25)),
    Food("lettuce", paint_lettuce, Material(edge=0.1, bump=1.2, grain=0.12, mottle=0.12)),
    Food("steak", paint_steak, Material(edge=0.12, bump=1.4, grain=0.05, mottle=0.15, gloss=0.15)),
    Food("noodles", paint_noodles, Material(edge=0.035, gloss=0.15)),
    Food("tomato", paint_tomato, Material(edge=0.05, bump=0.2, gloss=0.22)),
    Food("carrot", paint_carrot, Material(edge=0.05, gloss=0.12)),
)
FOODS = WITH_KETCHUP + WITH_CHILI_PASTE + ON_ANY_TABLE

SAUCE, KETCHUP, CHILI_PASTE = "sauce", "ketchup", "chili paste"

CATEGORIES = (*(food.name for food in FOODS), SAUCE, KETCHUP, CHILI_PASTE)
"""Names; the id in a label map is the position plus 1, since 0 is background."""

CATEGORY_IDS = {name: position for position, name in enumerate(CATEGORIES, start=1)}
"""Id in the label maps by name."""
