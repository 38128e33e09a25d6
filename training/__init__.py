"""How the weights of `streets-unet` are made, `python -m training --camvid DIR`, and those of its flawed twin.

Not part of the library: nothing in `perturb` imports this package.
"""
