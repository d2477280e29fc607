"""Engines that turn Gaussians into pixels, behind one interface."""
