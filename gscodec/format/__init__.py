"""The `.igs` container: bytes <-> GaussianSet. Needs numpy and the standard library only (spec/igs.md)."""

from gscodec.format.atomic import write_atomic
from gscodec.format.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.format.contents import Contents, Json
from gscodec.format.describe import describe
from gscodec.format.layout import SIGNATURE, Header
from gscodec.format.metadata import Metadata
from gscodec.format.reader import IgsReader
from gscodec.format.source import SourceLike
from gscodec.format.validate import Issue, Severity, validate
from gscodec.format.writer import file_size, pack, packed_size, quantize

__all__ = [
    "SIGNATURE",
    "AlphaMode",
    "ChannelGroup",
    "Contents",
    "Header",
    "IgsReader",
    "Issue",
    "Json",
    "Metadata",
    "NormalConvention",
    "Role",
    "SampleType",
    "Severity",
    "SourceLike",
    "Transfer",
    "describe",
    "file_size",
    "pack",
    "packed_size",
    "quantize",
    "validate",
    "write_atomic",
]
