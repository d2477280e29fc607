"""Blender add-on that opens `.igs` files as images: File > Import, and Image > Open IGS in the image editor.

It needs the package gscodec in Blender's Python. `pixels.py` has what concerns pixels, and no `bpy`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

if TYPE_CHECKING:
    from .pixels import BlenderPicture

SPACES = {"srgb": ("sRGB",), "linear": ("Linear Rec.709", "Linear"), "data": ("Non-Color", "Raw")}
"""Names of colour spaces in Blender's configuration; the first that is there is taken."""


class OpenIgs(bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Open a picture, or the maps of a material, from an .igs file."""

    bl_idname = "image.open_igs"
    bl_label = "Open IGS"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - Blender's way

    filename_ext = ".igs"
    filter_glob: StringProperty(default="*.igs", options={"HIDDEN"})
    lod: IntProperty(
        name="Level of detail", description="0 is the finest; -1 chooses it by the size", default=-1, min=-1, max=255
    )
    reduction: EnumProperty(
        name="Size",
        items=[("1", "Full", ""), ("2", "Half", ""), ("4", "Quarter", ""), ("8", "Eighth", "")],
        description="Sides of the images beside those of the pictures",
        default="1",
    )
    only: StringProperty(name="Maps", description="Names or roles of maps, with commas between; empty means all")
    pack: BoolProperty(name="Pack", description="Keep the pixels in the .blend file", default=True)

    def execute(self, context: Any) -> set[str]:
        """Open the file; called by Blender."""
        try:
            from gscodec.errors import GsCodecError

            from .pixels import levels, read_pictures
        except ImportError as fault:
            self.report({"ERROR"}, f"the package gscodec is not in Blender's Python ({fault}); install its wheel there")
            return {"CANCELLED"}
        only = [name.strip() for name in self.only.split(",") if name.strip()] or None
        lod = None if self.lod < 0 else self.lod
        try:
            pictures = read_pictures(self.filepath, lod=lod, reduction=int(self.reduction), only=only)
            n_levels = len(levels(self.filepath))
        except GsCodecError as fault:
            self.report({"ERROR"}, str(fault))
            return {"CANCELLED"}
        images = [add_image(picture, pack=self.pack) for picture in pictures]
        space = getattr(context, "space_data", None)
        if space is not None and space.type == "IMAGE_EDITOR":
            space.image = images[0]
        names = ", ".join(image.name for image in images)
        self.report({"INFO"}, f"{Path(self.filepath).name}: {names}; the file has {n_levels} levels of detail")
        return {"FINISHED"}


def add_image(picture: "BlenderPicture", *, pack: bool) -> Any:
    """The new image of a picture.

    Args:
        picture: as `pixels.read_pictures` returns it.
        pack: whether the .blend file keeps its pixels; else Blender drops them when it closes.
    """
    is_data = picture.colour_space == "data"
    image = bpy.data.images.new(
        picture.name,
        picture.width,
        picture.height,
        alpha=picture.alpha != "NONE",
        float_buffer=picture.is_float,
        is_data=is_data,
    )
    settings = image.colorspace_settings
    known = settings.bl_rna.properties["name"].enum_items.keys()
    settings.name = next((name for name in SPACES[picture.colour_space] if name in known), settings.name)
    image.alpha_mode = picture.alpha
    image.pixels.foreach_set(picture.pixels)
    image.update()
    if pack:
        image.pack()
        image.use_fake_user = True  # else Blender does not save it before a material uses it
    return image


def _menu(menu: Any, _context: Any) -> None:
    menu.layout.operator(OpenIgs.bl_idname, text="IGS image (.igs)")


def register() -> None:
    """Add operator and menu entries; called by Blender."""
    bpy.utils.register_class(OpenIgs)
    bpy.types.TOPBAR_MT_file_import.append(_menu)
    bpy.types.IMAGE_MT_image.append(_menu)


def unregister() -> None:
    """Remove them; called by Blender."""
    bpy.types.IMAGE_MT_image.remove(_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_menu)
    bpy.utils.unregister_class(OpenIgs)
