"""The networks that can be asked for by name."""

from __future__ import annotations

import copy
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from stimuli.networks.alexnet import TAPS
from stimuli.networks.caffe_alexnet import NAME, usual_path
from stimuli.networks.named_taps import tap_network
from stimuli.networks.preprocessing import PREPROCESSINGS
from stimuli.networks.protocol import Images, Network, Tapped, TorchNetwork, cpu_threads, to_pixels, to_tensor
from stimuli.networks.taps import plain_module
from stimuli.networks.torchvision_networks import default_weights, torchvision_names, weights_path
from stimuli.networks.weights import digest_weights, fit_weights, read_weights
from subjects.errors import NetworkError, StudyError, nearest
from subjects.provenance import digest_json
from subjects.settings.images import StimuliSettings

__all__ = ["NETWORKS", "Images", "Network", "Tapped", "TorchNetwork", "cpu_threads", "load_network", "network_of",
           "to_pixels", "to_tensor"]

MARK = "@"
"""Stands between a network's name and a label for other weights of it."""

_MEMBERS = ("name", "digest", "input_size", "class_names", "layers", "tap", "mean_image", "logits", "probabilities",
            "features")


def _load_demo(*, weights: Path | None = None, preprocessing: str | None = None, tap: str | None = None) -> Network:
    from stimuli.networks.alexnet import AFTER, LAYERS, require_tap
    from stimuli.networks.demo import network as demo_network

    for what, value, own in (("weights", weights, None), ("preprocessing", preprocessing, "unit")):
        if value not in (None, own):
            label = f", or name the network demo{MARK}LABEL" if what == "weights" else ""
            raise NetworkError("demo", came=f"{what} {str(value)!r}", expected="the network as it ships",
                               remedy=f"Leave {what} unset, or choose another network (--network){label}.")
    module, names = demo_network.load_module(), demo_network.class_names()
    module.tap = require_tap(tap or AFTER)
    digest = digest_json({"weights": demo_network.weights_digest(), "preprocessing": "rgb, (x - 0.5) / 0.25",
                          "widths": module.widths, "fc": module.fc_widths, "class_names": names})
    return TorchNetwork(name="demo", digest=digest, class_names=names, layers=LAYERS, tap=module.tap,
                        mean_image=demo_network.mean_image(), module=module, preprocess=demo_network.preprocess)


def _load_caffe(**options: Any) -> Network:
    from stimuli.networks.caffe_alexnet import load_alexnet_caffe

    return load_alexnet_caffe(**options)


def _load_alexnet_torchvision(**options: Any) -> Network:
    from stimuli.networks.torchvision_networks import load_torchvision

    return load_torchvision("alexnet", called="alexnet-torchvision", **options)


NETWORKS: Mapping[str, Callable[..., Network]] = MappingProxyType({
    "demo": _load_demo, "alexnet-caffe": _load_caffe, "alexnet-torchvision": _load_alexnet_torchvision})
"""Name -> loader; torchvision's other classification networks are found by their own names. A loader imports what it
needs when it is called, and takes the options of :func:`load_network` that are given."""


def load_network(name: str, *, weights: Path | None = None, preprocessing: str | None = None,
                 tap: str | None = None) -> Network:
    """Load a network by name.

    Parameters
    ----------
    name : str
        ``"demo"``; ``"alexnet-caffe"``; ``"alexnet-torchvision"``; the name of any classification network of
        torchvision, ``"squeezenet1_0"`` for example; or ``"package.module:function"``, a function of the user's own
        that takes nothing and returns a :class:`Network`. Any of them with a label of one's own, ``"demo@harmonized"``:
        the network with other weights, under a name that keeps the two apart.
    weights : Path, optional
        A file that :func:`stimuli.networks.weights.read_weights` reads. Default: for torchvision its own file,
        from its cache or downloaded to it; for ``alexnet-caffe`` Caffe's file in the same folder.
    preprocessing : str, optional
        As :func:`stimuli.networks.preprocessing.find_preprocessing` takes it. Default: the network's own.
    tap : str, optional
        ``"after norm and pool"`` (default) or ``"before norm and pool"``.

    Raises
    ------
    NetworkError
        If no network has that name (the nearest one is named), or its files are not there or do not fit.
    """
    options = {"weights": weights, "preprocessing": preprocessing, "tap": tap}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if MARK in name:
        return _load_labelled(name, given)
    if ":" in name:
        return _load_own(name, given)
    if name in NETWORKS:
        return NETWORKS[name](**given)
    from stimuli.networks.torchvision_networks import load_torchvision, torchvision_names

    if name not in torchvision_names():
        raise NetworkError("network", came=repr(name), expected="a network that is installed",
                           remedy=nearest(name, [*NETWORKS, *torchvision_names()]))
    return load_torchvision(name, **given)


def network_of(settings: StimuliSettings, *, name: str | None = None, root: Path | None = None) -> Network:
    """Load the network that a study's settings ask for.

    Parameters
    ----------
    settings : StimuliSettings
        ``network``, ``weights``, ``preprocessing``, ``tap``, ``layers`` and ``taps``.
    name : str, optional
        Another network; weights, preprocessing, layers and taps of the settings are not its, and are left out then.
    root : Path, optional
        The study's folder, from where relative paths start. Default: the working directory.

    Raises
    ------
    NetworkError
        As :func:`load_network`.
    """
    if name is not None and name != settings.network:
        return load_network(name, tap=settings.tap)
    folder, preprocessing = Path(root or "."), settings.preprocessing
    if preprocessing is not None and ":" in preprocessing:
        kind, _, file = preprocessing.partition(":")
        preprocessing = f"{kind}:{folder / file}"
    weights = None if settings.weights is None else folder / settings.weights
    network = load_network(settings.network, weights=weights, preprocessing=preprocessing, tap=settings.tap)
    return tap_network(network, layers=settings.layers, taps=settings.taps)


def _load_labelled(name: str, given: Mapping[str, Any]) -> Network:
    """Load a network with other weights than its own, and let it have a name of its own."""
    plain, _, label = name.partition(MARK)
    if "weights" not in given or not re.fullmatch(r"[A-Za-z0-9_-]+", label):
        raise NetworkError(name, came="no weights" if "weights" not in given else f"the label {label!r}",
                           expected=f"the weights that {plain} shall have under this name"
                           if "weights" not in given else "letters, digits, - and _",
                           remedy=f"Name their file with --weights, or leave {MARK}{label} out.")
    if ":" not in plain and plain != "demo":
        found = load_network(plain, **given)
        return replace(found, name=name) if isinstance(found, TorchNetwork) else found
    network = load_network(plain, **{key: value for key, value in given.items() if key != "weights"})
    if not isinstance(network, TorchNetwork) or not isinstance(network.module, nn.Module):
        raise NetworkError(name, came=f"a {type(network).__name__}, into which no weights can be put",
                           expected="a TorchNetwork around a torch module",
                           remedy=f"Load the weights in the function, and leave {MARK}{label} out.")
    module: Any = copy.deepcopy(network.module)
    digest = digest_json({"network": network.digest, "weights": digest_weights(
        fit_weights(plain_module(module), read_weights(given["weights"])))})
    return replace(network, name=name, digest=digest, module=module)


def _load_own(name: str, given: Mapping[str, Any]) -> Network:
    """Call a function of the user's own and check what it returns against the protocol."""
    unused = [key for key in given if key != "tap"]
    if unused:
        raise NetworkError(name, came=f"{unused[0]} {str(given[unused[0]])!r}",
                           expected="a function that loads all by itself",
                           remedy=f"Leave {unused[0]} unset; choose inside the function.")
    network = _called(name)
    missing = [member for member in _MEMBERS if not hasattr(network, member)]
    if missing or not isinstance(network, Network):
        raise NetworkError(name, came=f"a {type(network).__name__} without {', '.join(missing)}",
                           expected="a Network (stimuli.networks.registry.Network)",
                           remedy="Return a TorchNetwork, or complete the class.")
    side, names = network.input_size, network.class_names
    for holds, came, expected in (
            (len(names) == len(set(names)) > 1, f"{len(names)} class names, {len(set(names))} different",
             "a name of its own for every output"),
            (len(network.layers) == len(set(network.layers)) > 0, f"layers {network.layers}", "named layers"),
            (network.mean_image.shape == (side, side, 3), f"a mean image of shape {network.mean_image.shape}",
             f"({side}, {side}, 3)"),
            (given.get("tap") in (None, network.tap), f"tap {network.tap!r}", f"{given.get('tap')!r}, as asked for")):
        if not holds:
            raise NetworkError(name, came=came, expected=expected, remedy="Correct what the function returns.")
    return network


def _called(name: str) -> Any:
    """Call the function; what it raises is told with the line that raised it."""
    function = _own_function(name)
    try:
        return function()
    except StudyError:
        raise
    except Exception as error:
        raise _fault(name, error, expected="a function that returns a Network") from error


def _fault(name: str, error: Exception, *, expected: str) -> NetworkError:
    """Tell what code of the user's own raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return NetworkError(name, came=f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})",
                        expected=expected,
                        remedy="Correct it; called by itself in Python, it shows the whole traceback.")


def _own_function(name: str) -> Callable[[], Any]:
    place, _, function = name.partition(":")
    try:
        module = import_module(place)
    except (ImportError, ValueError) as error:
        raise NetworkError(name, came=f"a module that cannot be imported ({error})", expected="package.module:function",
                           remedy="Run from the folder that holds the package, or install it.") from error
    except Exception as error:
        raise _fault(name, error, expected="a module that can be imported") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise NetworkError(name, came=f"{function!r}, which is no function of {place}",
                           expected="package.module:function",
                           remedy=nearest(function, [one for one in vars(module) if not one.startswith("_")]))
    result: Callable[[], Any] = found
    return result


def list_networks() -> dict[str, Any]:
    """List the networks, where their weights are, and the preprocessings. Only the demo network is loaded.

    Returns
    -------
    dict
        ``networks`` (``name``, ``n_classes``, ``input_px``, ``weights``, ``found``: whether the weights are on this
        computer), ``preprocessings``, ``taps``, ``folder``: where weights are looked for.
    """
    demo = load_network("demo")
    found = [{"name": demo.name, "n_classes": len(demo.class_names), "input_px": demo.input_size,
              "digest": demo.digest, "weights": None, "found": True},
             {"name": NAME, "n_classes": 1000, "input_px": 227, "weights": usual_path().name,
              "found": usual_path().is_file()}]
    for name in torchvision_names():
        side, = set(default_weights(name).transforms().crop_size)
        path = weights_path(name)
        found.append({"name": "alexnet-torchvision" if name == "alexnet" else name, "n_classes": 1000,
                      "input_px": side, "weights": path.name, "found": path.is_file()})
    return {"networks": found, "preprocessings": list(PREPROCESSINGS), "taps": list(TAPS),
            "folder": usual_path().parent}


def network_lines(listed: Mapping[str, Any]) -> Iterator[str]:
    """Spell :func:`list_networks` for people, a network a line."""
    for one in listed["networks"]:
        head = f"{one['name']}: {one['input_px']} px"
        if one["weights"] is None:
            yield f"{head}, {one['n_classes']} classes, ships with the project, digest {one['digest']}"
        else:
            missing = "bring" if one["name"] == NAME else "downloads"
            yield f"{head}, {'found' if one['found'] else missing} {one['weights']}"
    yield "package.module:function: a network of your own"
    yield f"NAME{MARK}LABEL: any of them with other weights (--weights), under a name of its own"
    yield f"preprocessings: {', '.join(listed['preprocessings'])};"
    yield "  caffe-...:FILE subtracts a mean image"
    yield f"taps: {', '.join(listed['taps'])}"
    yield "Networks other than demo have ImageNet's 1000 classes. Weights are looked for in"
    yield f"{listed['folder']}, or named with --weights."
