"""The five classes of the study: eight demo categories of each, and the thousand categories of ImageNet.

The ImageNet table (``data/imagenet_classes.tsv``) has the indices, wnids and names of ILSVRC 2012, in the order in
which every ImageNet network here counts its outputs. Its column ``class`` is this project's: dogs are 151-268 (the
breeds), birds 7-24, 80-100 and 127-146; aquatic animals are those that live in the sea or its like (fish, sea turtles,
whales, seals, crustaceans, corals, ...); cars are road vehicles for people or loads; fruits are fruits. The column
``wide`` says of 25 of them why a subject may not see them as what their class says (rapeseed is a field in bloom, a
streetcar runs on rails, an isopod is a woodlouse): they are on the wide list of their class only, all others on the
core list too (the setting ``class_lists``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

from subjects.errors import StimulusError, nearest

CLASSES = ("dogs", "birds", "cars", "fruits", "aquatic")
"""The five classes of the study, in the order in which everything else counts them."""

IS_ANIMAL = MappingProxyType({"dogs": True, "birds": True, "cars": False, "fruits": False, "aquatic": True})
"""Class -> whether "animal" is the right answer (the default of the setting ``animal_classes``)."""

DEMO_CATEGORIES = MappingProxyType({
    "dogs": ("beagle", "dalmatian", "poodle", "dachshund",
             "husky", "golden retriever", "Scottish terrier", "pug"),
    "birds": ("flamingo", "penguin", "owl", "peacock", "toucan", "ostrich", "rooster", "swan"),
    "cars": ("taxi", "police car", "fire engine", "school bus",
             "pickup truck", "convertible", "racing car", "limousine"),
    "fruits": ("banana", "strawberry", "orange", "pineapple", "apple", "pear", "grapes", "watermelon"),
    "aquatic": ("shark", "octopus", "jellyfish", "turtle", "starfish", "clownfish", "seahorse", "crab"),
})
"""Class -> the eight categories that can be drawn and that the demo network knows."""


def demo_categories() -> tuple[tuple[str, str], ...]:
    """List the categories of the demo network as (class, category).

    Returns
    -------
    tuple of (str, str)
        40 pairs; a category's place is its index among the network's outputs.

    Examples
    --------
    >>> demo_categories()[0], len(demo_categories())
    (('dogs', 'beagle'), 40)
    """
    return tuple((name, category) for name in CLASSES for category in DEMO_CATEGORIES[name])


def class_of(category: str) -> str:
    """Name the class that a demo category belongs to.

    Raises
    ------
    StimulusError
        If no class holds the category.

    Examples
    --------
    >>> class_of("penguin")
    'birds'
    """
    known = {category: name for name, category in demo_categories()}
    if category not in known:
        raise StimulusError("category", came=repr(category), expected="one of the 40 demo categories",
                            remedy=nearest(category, known))
    return known[category]


@dataclass(frozen=True)
class ImagenetCategory:
    """One of ImageNet's thousand categories.

    Parameters
    ----------
    index : int
        Among a network's outputs, 0 to 999.
    wnid : str
        WordNet's name: ``n`` and eight digits.
    name : str
        In English, unique.
    class_name : str or None
        One of the study's classes, or None.
    wide : str or None
        Why it is on the wide list of its class only; None: it is on the core list.
    """

    index: int
    wnid: str
    name: str
    class_name: str | None
    wide: str | None = field(default=None, repr=False)


@lru_cache(maxsize=1)
def imagenet_categories() -> tuple[ImagenetCategory, ...]:
    """Read the thousand categories, in the order of their indices.

    Examples
    --------
    >>> imagenet_categories()[954]
    ImagenetCategory(index=954, wnid='n07753592', name='banana', class_name='fruits')
    """
    path = files("stimuli") / "data" / "imagenet_classes.tsv"
    with path.open(encoding="utf-8") as file:
        return tuple(ImagenetCategory(int(row["index"]), row["wnid"], row["name"],
                                      None if row["class"] == "n/a" else row["class"],
                                      None if row["wide"] == "n/a" else row["wide"])
                     for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@lru_cache(maxsize=1)
def wide_reasons() -> Mapping[tuple[str, str], str]:
    """Give why categories are on the wide list only, by wnid and class.

    Examples
    --------
    >>> wide_reasons()["n11879895", "fruits"]
    'photographs show fields in bloom'
    """
    return MappingProxyType({(one.wnid, str(one.class_name)): one.wide for one in imagenet_categories() if one.wide})


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """Name the thousand outputs of an ImageNet network, in order."""
    return tuple(one.name for one in imagenet_categories())


def imagenet_category(key: int | str) -> ImagenetCategory:
    """Look a category up by index, wnid or name.

    Raises
    ------
    StimulusError
        If ImageNet has no such category; the nearest one is named.

    Examples
    --------
    >>> imagenet_category("n02085620").name, imagenet_category("Chihuahua").index, imagenet_category(151).class_name
    ('Chihuahua', 151, 'dogs')
    """
    known = _imagenet_by_key()
    if key not in known:
        like = [one for one in known if isinstance(one, str) and _is_wnid(one) == _is_wnid(str(key))]
        raise StimulusError("ImageNet category", came=repr(key), expected="an index in 0..999, a wnid or a name",
                            remedy=nearest(str(key), like) if isinstance(key, str) else "Correct the index.")
    return known[key]


def _is_wnid(text: str) -> bool:
    return text[:1] == "n" and text[1:].isdigit()


@lru_cache(maxsize=1)
def _imagenet_by_key() -> Mapping[int | str, ImagenetCategory]:
    return MappingProxyType({key: one for one in imagenet_categories() for key in (one.index, one.wnid, one.name)})
