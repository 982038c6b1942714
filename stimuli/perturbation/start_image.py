"""Where adversarial noise starts: the network's mean image, its channel means, Caffe's file, or a folder's mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stimuli.files import build_again
from stimuli.networks.caffe_files import read_binaryproto
from stimuli.networks.preprocessing import centre
from stimuli.networks.registry import Images, Network
from stimuli.regular_images.photographs import enlarged, read_photograph, to_square
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import FileFormat, digest_array, digest_file, digest_json, is_current, sidecar
from subjects.settings.images import StimuliSettings
from subjects.store import whole_file

Mean = NDArray[np.float32]
MEAN_IMAGE = FileFormat("mean image", version=1)
_ENDINGS = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class WithMeanImage:
    """A network with another mean image; in everything else it is the network that it wraps.

    Parameters
    ----------
    network : Network
        The network itself.
    mean_image : float32 array, (side, side, 3)
        Where adversarial noise starts, RGB in 0..255.
    """

    network: Network
    mean_image: Mean = field(repr=False)

    @property
    def name(self) -> str:
        """By which it is found."""
        return self.network.name

    @property
    def digest(self) -> str:
        """Of weights, preprocessing and class names."""
        return self.network.digest

    @property
    def input_size(self) -> int:
        """Side of an image, px."""
        return self.network.input_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each output."""
        return self.network.class_names

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the taps."""
        return self.network.layers

    @property
    def tap(self) -> str:
        """Where in a layer the taps sit."""
        return self.network.tap

    def logits(self, images: Tensor) -> Tensor:
        """Give (n, n_classes) before the softmax."""
        return self.network.logits(images)

    def probabilities(self, images: Images, *, batch: int = 20) -> NDArray[np.float64]:
        """Give (n, n_classes)."""
        return self.network.probabilities(images, batch=batch)

    def features(self, images: Images, *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        """Give every layer's units."""
        return self.network.features(images, batch=batch)


@dataclass(frozen=True)
class Start:
    """A mean image that the settings ask for.

    Parameters
    ----------
    mean : float32 array, (side, side, 3)
        RGB in 0..255.
    inputs : dict of str to str
        Digests of what it was made from.
    left_out : tuple of str
        Photographs that could not be read, with their reasons.
    """

    mean: Mean = field(repr=False)
    inputs: dict[str, str]
    left_out: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the values."""
        return digest_array(self.mean)


def mean_path(layout: Layout) -> Path:
    """Spell the path where a set keeps the mean image that its settings asked for."""
    return layout.stimuli / "mean_image.npy"


def find_start(layout: Layout, stimuli: StimuliSettings, *, network: Network,
               progress: ProgressWrapper = silent) -> Start | None:
    """Make the mean image that ``stimuli.mean_image`` asks for, or find it made; None if it asks for none.

    Parameters
    ----------
    layout, stimuli
        The study. ``"channels"``: the network's own mean image, averaged over pixels; ``"folder"``: the
        mean of all photographs in ``stimuli.images``; anything else: a file of Caffe's.
    network : Network
        Gives size and own mean image.
    progress : ProgressWrapper
        Told of photographs.

    Raises
    ------
    StimulusError
        If a file is missing or holds no mean image, or a folder no photograph.
    """
    asked, side = stimuli.mean_image, network.input_size
    if asked is None:
        return None
    if asked == "channels":
        own = network.mean_image.mean(axis=(0, 1), dtype=np.float64)
        return Start(np.tile(own.astype(np.float32), (side, side, 1)), {"network": network.digest})
    if asked != "folder":
        path = layout.root / asked
        mean = fit_mean(read_caffe_mean(path), side=side)
        return Start(mean, {"file": digest_file(path)})
    return _folder_start(layout, stimuli, side=side, progress=progress)


def _folder_start(layout: Layout, stimuli: StimuliSettings, *, side: int, progress: ProgressWrapper) -> Start:
    if stimuli.images is None:
        raise StimulusError("stimuli.mean_image", came='"folder" without stimuli.images',
                            expected="a folder of photographs",
                            remedy="Set stimuli.images (--images), or give mean_image a file.")
    folder = layout.root / stimuli.images
    files = photographs_in(folder)
    inputs = {"folder": digest_json([[path.relative_to(folder).as_posix(), path.stat().st_size] for path in files])}
    made = mean_path(layout)
    if is_current(made, inputs=inputs, parameters=_parameters(stimuli)):
        return Start(np.load(made, allow_pickle=False), inputs)
    running = RunningMean(side=side, resize=stimuli.resize)
    for path in progress(files, label="averaging photographs", total=len(files)):
        running.add(path)
    return Start(running.mean(), inputs, tuple(running.left_out))


def photographs_in(folder: Path) -> tuple[Path, ...]:
    """List all JPEG and PNG files below a folder, by name.

    Raises
    ------
    StimulusError
        If there is none.
    """
    found = tuple(sorted(path for path in Path(folder).rglob("*")
                         if path.suffix.lower() in _ENDINGS and path.is_file()))
    if not found:
        raise StimulusError(str(folder), came="no JPEG or PNG", expected="a folder of photographs",
                            remedy="Correct stimuli.images (--images).")
    return found


class RunningMean:
    """The mean of photographs that come one at a time; one sum is all that is kept.

    Parameters
    ----------
    side : int
        Of the mean image, px.
    resize : str
        How a photograph is brought to it; see :func:`stimuli.regular_images.photographs.to_square`.
    """

    def __init__(self, *, side: int, resize: str) -> None:
        self._side, self._resize = side, resize
        self._sum, self._n = np.zeros((side, side, 3), dtype=np.int64), 0
        self.left_out: list[str] = []

    def add(self, path: Path) -> None:
        """Take a photograph in, or note why it cannot be read."""
        try:
            pixels = read_photograph(path).pixels
        except StimulusError as error:
            self.left_out.append(str(error))
            return
        self._sum += to_square(pixels, side=self._side, resize=self._resize)
        self._n += 1

    def mean(self) -> Mean:
        """Give the mean of what was taken in.

        Raises
        ------
        StimulusError
            If that is nothing.
        """
        if not self._n:
            raise StimulusError("stimuli.mean_image", came=f"no readable photograph ({self.left_out[:1]})",
                                expected="at least one", remedy="Correct stimuli.images (--images).")
        return (self._sum / self._n).astype(np.float32)


def _parameters(stimuli: StimuliSettings) -> dict[str, object]:
    return {name: getattr(stimuli, name) for name in ("mean_image", "resize", "size_px")}


def keep_start(layout: Layout, stimuli: StimuliSettings, *, start: Start) -> None:
    """Write the mean image into the study, so that the check needs nothing else."""
    path = mean_path(layout)
    with whole_file(path, overwrite=True) as beside:
        np.save(beside, start.mean, allow_pickle=False)
    sidecar(path, inputs=start.inputs, parameters=_parameters(stimuli), form=MEAN_IMAGE,
            extra={"left_out": list(start.left_out)})


def with_kept_mean(layout: Layout, stimuli: StimuliSettings, *, network: Network) -> Network:
    """Give a network the mean image that the set was made with, as it is kept in the study.

    Raises
    ------
    StimulusError
        If the settings ask for one and it is missing or of another size.
    """
    if stimuli.mean_image is None:
        return network
    path, side = mean_path(layout), network.input_size
    again = f"Build the set again with {build_again(layout.stimuli)}."
    mean = _load(path, again)
    if mean.shape != (side, side, 3):
        raise StimulusError(str(path), came=f"an array of shape {mean.shape}", expected=f"({side}, {side}, 3)",
                            remedy=again)
    return WithMeanImage(network, mean.astype(np.float32))


def read_caffe_mean(path: Path) -> NDArray[np.float64]:
    """Read a mean image of Caffe's: ``.npy`` or ``.binaryproto``, (3, height, width), BGR in 0..255.

    Returns
    -------
    float64 array, (height, width, 3)
        RGB in 0..255.

    Raises
    ------
    StimulusError
        If it is missing, of another shape, or holds values that no mean image has.
    """
    path = Path(path)
    values = read_binaryproto(path) if path.suffix == ".binaryproto" else _load(path, "Correct stimuli.mean_image.")
    if values.ndim != 3 or values.shape[0] != 3:
        raise StimulusError(str(path), came=f"an array of shape {values.shape}",
                            expected="(3, height, width) in the order BGR, as Caffe writes it",
                            remedy="Name Caffe's mean file.")
    if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 255.0 and values.max() > 1.0):
        raise StimulusError(str(path), came=f"values from {values.min():g} to {values.max():g}",
                            expected="grey levels in 0..255", remedy="Name Caffe's mean file.")
    return np.moveaxis(values[::-1].astype(np.float64), 0, -1)


def _load(path: Path, remedy: str) -> NDArray[np.generic]:
    try:
        result: NDArray[np.generic] = np.load(path, allow_pickle=False)
        return result
    except FileNotFoundError:
        raise StimulusError(str(path), came="no such file", expected="a mean image (.npy)", remedy=remedy) from None
    except (ValueError, EOFError, OSError) as error:
        raise StimulusError(str(path), came=f"a file that is no array ({error})", expected="a mean image (.npy)",
                            remedy=remedy) from error


def fit_mean(mean: NDArray[np.float64], *, side: int) -> Mean:
    """Bring a mean image to a network's input: a centre cut, as Caffe takes 227 of 256 pixels.

    Parameters
    ----------
    mean : float64 array, (height, width, 3)
        RGB in 0..255.
    side : int
        Of the network's input. A mean image of that size is left as it is; one that is neither that
        nor the size from which it is cut (:func:`stimuli.regular_images.photographs.enlarged`) is resampled first.
    """
    if mean.shape[:2] == (side, side):
        return mean.astype(np.float32)
    wide = enlarged(side)
    if mean.shape[:2] != (wide, wide):
        mean = np.stack(list(_resampled(mean, wide)), axis=-1)
    return centre(mean, side=side).astype(np.float32)


def _resampled(mean: NDArray[np.float64], wide: int) -> Iterator[NDArray[np.float32]]:
    for channel in np.moveaxis(mean, -1, 0):
        yield np.asarray(Image.fromarray(channel.astype(np.float32)).resize((wide, wide), Image.Resampling.BILINEAR))
