"""Images: reading and decoding them, ground truth, class names, and the bundled samples."""
