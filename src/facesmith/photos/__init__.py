"""Photos -> a folder of aligned faces. The modules in the order in which a photo passes them.

sources.py            a folder, zip, picture or video -> a list of photos to load
photo_labels.py       label tables beside the photos -> columns for their faces
near_duplicates.py    perceptual hashes, and groups of near-duplicates
crop.py               one batch of photos -> faces and rejections (calls detection/)
collect.py            batches -> records of kept and rejected faces, without near-duplicates
journal.py            the finished batches on disk, so that an interrupted extraction resumes
split.py              training, validation or test: a fixed function of a face's group
extraction_report.py  the counts, and the HTML page
faces_folder.py       what the output folder contains: tables, faces.json, report
extract.py            the loop over all batches, started by `facesmith extract`

With `--shards`, several processes or machines share the work:

shard_files.py        the files of one shard: a tar of faces, and its record
shard_notes.py        where each worker is, so that a photo that ends its process is left out
extract_shard.py      one slice of the photos -> one shard
shard_worker.py       a worker process on this machine
engines.py            chooses the engine that extracts the shards
local_engine.py       extracts shards in processes of this machine
ray_engine.py         extracts shards as tasks of Ray, on this machine or on a cluster
extract_shards.py     slices of the photos, the engine, and the pass over all shards at the end
"""
