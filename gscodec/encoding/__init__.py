"""From a picture and a target to the bytes of a file: how many Gaussians, how they are fitted, and what is written."""
