"""Input of an encode: pictures and the maps of materials, discovered, identified and stacked."""
