"""Textures of glTF 2.0 models as `.igs` files, and back: the extension `GSCODEC_texture_igs` of `spec/gltf/`."""
