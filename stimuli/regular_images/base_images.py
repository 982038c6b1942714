"""The base images of a set: which category each shows, and the regular image chosen for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stimuli.categories import DEMO_CATEGORIES
from stimuli.manifest import Pixels
from subjects.errors import StimulusError, nearest
from subjects.profile import base_images
from subjects.settings.images import StimuliSettings

MARGIN = 1e-3


@dataclass(frozen=True)
class BaseImage:
    """One base image, of which the set has an RE, an AN and an AI.

    Parameters
    ----------
    base_image : str
        For example ``"dogs-01"``.
    class_name, category : str
        What it shows.
    category_index : int
        The category among the network's outputs.
    """

    base_image: str
    class_name: str
    category: str
    category_index: int


@dataclass(frozen=True)
class Choice:
    """A regular image that was chosen.

    Parameters
    ----------
    base : BaseImage
        Of which base image.
    pixels : uint8 array, (side, side, 3)
        The image.
    p : float
        Probability of its category.
    candidates : int
        How many were looked at, this one included.
    """

    base: BaseImage
    pixels: Pixels
    p: float
    candidates: int


def certain(p: float) -> float:
    """Give the probability that is asked for while images are made, so that `p` holds on any machine.

    Another batch size or another processor changes a probability near the seventh digit; a
    thousandth of the way from `p` to 1 is far more than that.

    Examples
    --------
    >>> round(certain(0.99), 5)
    0.99001
    """
    return p + MARGIN * (1.0 - p)


def uncertain(p: float, *, above: float) -> float:
    """Give the probability below which an image is to end while it is made, so that it stays below `p` on any machine.

    Parameters
    ----------
    p : float
        The bound.
    above : float
        The least probability, below `p`.

    Examples
    --------
    >>> round(uncertain(0.995, above=0.99), 5)
    0.99475
    """
    return p - 0.05 * (p - above)


def plan_base_images(stimuli: StimuliSettings, *, class_names: Sequence[str]) -> tuple[BaseImage, ...]:
    """Give every base image of the study its category: the k-th of a class to its k-th image.

    Parameters
    ----------
    stimuli : StimuliSettings
        Classes and images a class.
    class_names : sequence of str
        The network's outputs.

    Raises
    ------
    StimulusError
        For an unknown class, more images than a class has categories, or a category that the
        network does not know.
    """
    for name in stimuli.classes:
        if name not in DEMO_CATEGORIES:
            raise StimulusError("stimuli.classes", came=repr(name), expected="a class that can be drawn",
                                remedy=nearest(name, DEMO_CATEGORIES))
        if stimuli.per_class > len(DEMO_CATEGORIES[name]):
            raise StimulusError("stimuli.per_class", came=f"{stimuli.per_class} images of {name}",
                                expected=f"at most {len(DEMO_CATEGORIES[name])}, one a category",
                                remedy="Lower stimuli.per_class.")
    n = stimuli.per_class
    categories = [(name, category) for name in stimuli.classes for category in DEMO_CATEGORIES[name][:n]]
    unknown = [category for _, category in categories if category not in class_names]
    if unknown:
        raise StimulusError("network", came=f"no output for {unknown[0]!r}", expected="one for every category",
                            remedy="Choose a network that knows the categories of the study.")
    return tuple(BaseImage(base, name, category, class_names.index(category))
                 for base, (name, category) in zip(base_images(stimuli), categories, strict=True))
