"""Post-training quantization: a float network and calibration images -> an integer network."""
