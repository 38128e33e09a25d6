"""What all pages share: navigation, the choice of image and segmenter, the address, the report."""
