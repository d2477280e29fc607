import io
from xml.etree import ElementTree

import numpy as np
from random_contents import random_contents

import gscodec
from gscodec.container.writer import pack
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, SampleType, Transfer

SPACE = "{http://www.w3.org/2000/svg}"


def test_ellipses_lie_as_the_gaussians_do_the_largest_first() -> None:
    data = pack(random_contents(50, 3, (30, 40), counts=(50,)))
    root = ElementTree.fromstring(gscodec.export_gaussians(data, "svg"))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("40", "30", "0 0 40 30")
    with np.load(io.BytesIO(gscodec.export_gaussians(data, "npz"))) as arrays:
        order = np.argsort(arrays["inv_scales"].prod(axis=1), kind="stable")
        means, inv_scales, features = (arrays[key][order] for key in ("means", "inv_scales", "features"))
    ellipses = root.findall(f"{SPACE}ellipse")
    assert len(ellipses) == 50
    for row, ellipse in enumerate(ellipses):
        place = str(ellipse.get("transform")).split("(")[1].split(")")[0]
        np.testing.assert_allclose([float(part) for part in place.split()], means[row], atol=6e-4)
        radii = [float(str(ellipse.get(key))) for key in ("rx", "ry")]
        np.testing.assert_allclose(radii, 1 / inv_scales[row], atol=6e-4)
        codes = np.floor(np.clip(features[row], 0, 1) * 255 + 0.5).astype(int)
        assert ellipse.get("fill") == "#" + "".join(f"{code:02x}" for code in codes)


def test_alpha_is_opacity_and_light_becomes_codes() -> None:
    half = ChannelGroup("color", n_channels=4, alpha=AlphaMode.PREMULTIPLIED)
    light = ChannelGroup("light", Role.COLOR, 1, 32, SampleType.FLOAT, Transfer.LINEAR, value_max=2.0)
    for group, wanted in ((half, 'fill="#ff0000" fill-opacity="0.502"'), (light, 'fill="#bcbcbc"')):
        contents = random_contents(1, group.n_channels, (8, 8), counts=(1,))
        features = np.array([[0.5, 0, 0, 0.5]] if group is half else [[0.25]], np.float32)
        gaussians = type(contents.gaussians)(**{**vars(contents.gaussians), "features": features})
        contents = type(contents)(**{**vars(contents), "groups": (group,), "gaussians": gaussians})
        (line,) = (
            line for line in gscodec.export_gaussians(pack(contents), "svg").decode().splitlines() if "ell" in line
        )
        assert wanted in line
