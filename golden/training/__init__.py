"""Training of the float network from scratch: `triovit train ARCHIVE.npz -o FILE.safetensors`.

`recipe` holds every number of a run, `images` the decoded images and the random numbers, `augment` what happens to a
batch, `state` the file from which an interrupted run goes on, `train` the run itself.
"""
