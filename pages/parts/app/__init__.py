"""What stands around every page: navigation, the choice of image and segmenter, the address, the report."""
