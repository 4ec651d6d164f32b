"""Models as ONNX: one file that draws the same faces in any ONNX runtime, without torch.

onnx_format.py   inputs, outputs and metadata of an exported file
to_onnx.py       export a model and compare its faces with torch's; the only module here that imports torch
check_onnx.py    check a file before it is opened: metadata, operators, sizes
run_onnx.py      draw faces from an exported file with onnxruntime
seeded_noise.py  seeds to z in NumPy, with the same numbers as torch
"""
