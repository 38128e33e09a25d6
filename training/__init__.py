"""How the embedded weights are made, `python -m training --camvid DIR`, and those of the flawed twin; and how the bundled
streets are drawn, `python -m training.scenes`.

Not part of the library: neither `perturb` nor `pages` imports this package.
"""
