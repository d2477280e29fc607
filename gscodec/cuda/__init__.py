"""CUDA kernels and the maths header that every compiled engine shares."""
