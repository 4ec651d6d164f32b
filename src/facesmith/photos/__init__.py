"""photos -> faces: find, align, judge and write every face of a collection of photos."""
