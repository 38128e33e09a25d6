"""Training of the embedded weights (`python -m training --camvid DIR`), and of the network with a shortcut. The bundled
streets are drawn by `python -m training.scenes`.

Not part of the library: neither `perturb` nor `pages` imports this package.
"""
