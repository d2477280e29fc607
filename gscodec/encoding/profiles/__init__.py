"""How pictures become files of each profile: sizes known ahead, and what follows the fit. One module per profile."""
