"""Names that users choose from: presets, tunes and policies, each list in one place."""

from typing import Final, Literal, get_args

PresetName = Literal["paper", "draft", "fast", "balanced", "best"]
TuneName = Literal["psnr", "visual"]
NanPolicy = Literal["error", "zero", "hole"]
MetadataPolicy = Literal["all", "none"]

PRESET_NAMES: Final[tuple[PresetName, ...]] = get_args(PresetName)
TUNE_NAMES: Final[tuple[TuneName, ...]] = get_args(TuneName)
NAN_POLICIES: Final[tuple[NanPolicy, ...]] = get_args(NanPolicy)
METADATA_POLICIES: Final[tuple[MetadataPolicy, ...]] = get_args(MetadataPolicy)
