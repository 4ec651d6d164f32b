"""The networks that give features, one file each; `facesmith.metrics.features` finds them by the files' names."""
