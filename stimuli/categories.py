"""The five classes of the study and the eight demo categories of each."""

from __future__ import annotations

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
