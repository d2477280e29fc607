"""Encoders of each profile: file sizes known ahead, and the work after the fit. One module per profile."""
