"""Models as ONNX: one file that draws the same faces wherever an ONNX runtime runs, without torch.

form.py    what such a file holds: its inputs, outputs and metadata
draws.py   seed -> z in numpy, as torch draws it
export.py  a model -> ONNX, checked against torch (the only one that loads it)
run.py     ONNX -> pictures
"""
