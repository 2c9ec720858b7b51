"""Displays of kernels, spectra and training, in the style of scikit-learn."""
