"""The viewer for browsers: one page of HTML with decoder, renderer and, where asked for, the files; a local server."""

from gscodec.viewer.page import EmbeddedFile, LinkedFile, viewer_page

__all__ = ["EmbeddedFile", "LinkedFile", "viewer_page"]
