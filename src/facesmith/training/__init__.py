"""faces -> a run folder with a trained model.

train.py                 the training loop: step, log, validate, save, diagnose, stop or roll back
open_run.py              create a run or resume it, in one process or in several
run.py                   a run: validate, save, diagnose and roll back
choose_recipe.py         which recipe a run uses
defaults_for_faces.py    the resolution that fits the faces; few faces: fine-tune, gently
as_in_text.py            train as the text of a recipe does
plan.py                  what the user requests, and the plan that the run folder stores
make_plan.py             a plan for a new run, or the stored one checked against the options
memory_estimate.py       the memory of a training, estimated before it is allocated
processes.py             the processes of torchrun, which train one run together
speed.py                 training speed and precision, measured before a run
pace.py                  a budget in minutes, and the threads, adjusted at each checkpoint
finetune.py              start from the networks of a model
state.py                 networks, averages, optimizers, counters; saved and loaded
step.py                  one training step, for any recipe
averages.py              moving averages, and the networks that are saved and sampled
validation.py            validation during training
loss_history.py          losses of every step, as a CSV file
monitor.py               progress line, log, sheets, TensorBoard
diagnosis.py             recognizes how training fails
discriminator_scores.py  D(x) compared with D(G(z)), and overfitting
reconstructions.py       held-out faces and G(E(x))
curves.py                the log as a figure
progress_film.py         the samples of a run as a film
"""
