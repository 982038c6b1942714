"""The table of shown images: one row an image, named by a digest of its pixels. Needs no torch."""

from __future__ import annotations

from stimuli.files import Pixels, image_id_of, read_image
from stimuli.manifest.network import (
    FIRST,
    SECOND,
    SetNetwork,
    pair_of,
    read_set_network,
    read_set_networks,
    recorded_network,
)
from stimuli.manifest.rows import COLUMNS, TYPES, Manifest, Stimulus
from stimuli.manifest.table import MANIFEST, read_manifest, read_pixels, write_manifest

__all__ = ["COLUMNS", "FIRST", "MANIFEST", "SECOND", "TYPES", "Manifest", "Pixels", "SetNetwork", "Stimulus",
           "image_id_of", "pair_of", "read_image", "read_manifest", "read_pixels", "read_set_network",
           "read_set_networks", "recorded_network", "write_manifest"]
