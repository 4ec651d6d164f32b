"""One photo -> its faces: where they are, how they are cut, and why one is rejected.

mtcnn.py              the three networks of the face detector and their weights
detect.py             photos -> boxes and landmarks of all faces
align.py              landmarks -> the crop in which eyes and mouth lie at fixed places
search.py             photos -> faces, also those that are hard to see; the reason if there is none
quality.py            reasons to reject a face: too small, cut off, blurred
"""
