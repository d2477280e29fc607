"""Blending on any GPU that WebGPU reaches, by Vulkan, Metal or Direct3D 12: the shader, and its launch code."""
