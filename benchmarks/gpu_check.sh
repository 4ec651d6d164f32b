#!/usr/bin/env bash
# Does everything work on a GPU? Takes about ten minutes, and ends with "all checks passed" or at the first failure.
#
# 1. The losses of the first steps agree with those of the CPU, for every recipe.
# 2. One recipe of each kind trains; it is stopped in the middle, and the same command resumes it.
# 3. Each model draws samples; the first one is exported to ONNX.
# 4. With several GPUs, torchrun trains on all of them.
#
# Run: benchmarks/gpu_check.sh FACES [cuda|cpu] [MINUTES]
#
# FACES: images of at least 64x64. MINUTES: for each recipe, default 0.7. The variable RECIPES selects recipes.
set -euo pipefail
faces=$1 device=${2:-cuda} minutes=${3:-0.7}
python=${PYTHON:-python}
read -ra recipes <<<"${RECIPES:-quick dcgan64 wgan-gp64 progressive64 vaegan64 vae64 balanced64}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$(dirname "$0")/.."

"$python" benchmarks/device_losses.py --device "$device"

for recipe in "${recipes[@]}"; do
  echo "== $recipe"
  run=$folder/$recipe
  train=("$python" -m facesmith train "$recipe" --data "$faces" --out "$run" --device "$device" --minutes "$minutes")
  "${train[@]}" & process=$!
  until [ -e "$run/log.jsonl" ] && [ -s "$run/log.jsonl" ]; do
    kill -0 $process 2>/dev/null || break
    sleep 1
  done
  kill -TERM $process 2>/dev/null || true # stops after the step, and saves
  wait $process || echo "stopped with exit code $?"
  "${train[@]}"
  "$python" -m facesmith sample --model "$run" --out "$folder/$recipe.png"
  tail -n 1 "$run/log.jsonl" | grep -o '"images_per_second": [0-9.]*'
done

"$python" -m facesmith export --model "$folder/${recipes[0]}" --onnx "$folder/model.onnx"

gpus=$("$python" -c 'import torch; print(torch.cuda.device_count())')
if [ "$gpus" -gt 1 ]; then
  echo "== torchrun on $gpus GPUs"
  "$python" -m torch.distributed.run --nproc-per-node "$gpus" -m facesmith train --data "$faces" \
    --out "$folder/several" --device "$device" --minutes "$minutes"
fi
echo "all checks passed"
