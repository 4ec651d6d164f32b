"""How distorted a generated face looks, so that the most distorted ones can be left out.

distort.py  random distortions of real faces, as generators make them
scorer.py   a small network that recognizes them -> a score per picture
"""
