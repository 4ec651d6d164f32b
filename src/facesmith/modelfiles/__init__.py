"""Model files and what belongs to them: find, read, write, download, upload.

run_folder.py   names of the files in a run folder, and its log
checkpoint.py   state.pt, from which a run resumes, and model.safetensors, the averaged networks
sidecar.py      files that belong to one model: directions, inversion encoder, latents
classifier_file.py   the attribute classifier, so that faces can be described without labeled faces
evaluation_file.py  the report.json of an evaluation
locate.py       from what `--model` names to the model file
hub.py          models on the Hugging Face Hub
frontmatter.py  the YAML header of model cards
"""
