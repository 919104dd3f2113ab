"""The parts of `Images` that services bringing images from elsewhere work with; there is one set per engine."""

from dataclasses import dataclass

from landbridge.images.effects import Layers
from landbridge.images.layers import LayerShelf
from landbridge.images.names import ImageNames
from landbridge.images.records import ImageRecords
from landbridge.oci.archive import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParts:
    """`platform` is what this machine runs."""

    records: ImageRecords
    names: ImageNames
    shelf: LayerShelf
    layers: Layers
    platform: Platform
