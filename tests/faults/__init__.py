"""`make faults`: a whole cell under attack while clients retry, and the proof that nothing was lost or doubled."""
