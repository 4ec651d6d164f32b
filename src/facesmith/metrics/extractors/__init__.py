"""The networks that compute features, one file each. `facesmith.metrics.features` finds them by file name."""
