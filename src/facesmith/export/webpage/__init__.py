"""A generator as one web page, a single file that draws faces in the reader's browser.

program.py    the format of a network as a list of steps, and a reference in PyTorch
trace.py      networks -> programs
constants.py  tensors -> bytes
page_data.py  a model -> what the page needs, after comparing its faces with PyTorch's
scripts.py    join the JavaScript modules to one script
to_html.py    write the page
page/         HTML, style and JavaScript of the page. worker.js describes the messages between page and worker
kernel/       the expensive layers in C, their compiled WebAssembly, and the command that builds it
"""
