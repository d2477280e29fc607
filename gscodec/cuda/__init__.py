"""CUDA kernels, and the maths header that all compiled engines share."""
