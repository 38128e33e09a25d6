"""How the embedded weights are made, `python -m training --camvid DIR`, and those of the flawed twin.

Not part of the library: nothing in `perturb` imports this package.
"""
