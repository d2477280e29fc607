"""Engines that render Gaussians and compute gradients, behind one interface."""
