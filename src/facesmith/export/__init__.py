"""Models in other formats: an ONNX file that draws the same faces in any ONNX runtime, or a web page.

onnx_format.py   inputs, outputs and metadata of an exported file
to_onnx.py       export a model and compare its faces with torch's
check_onnx.py    check a file before it is opened: metadata, operators, sizes
run_onnx.py      draw faces from an exported file with onnxruntime
seeded_noise.py  seeds to z in NumPy, with the same numbers as torch
noise_kind.py    which of these noises a generator draws
webpage/         a page that draws faces in the reader's browser
"""
