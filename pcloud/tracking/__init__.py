"""What only tracks need: the detector's geometry and the building of candidates."""
