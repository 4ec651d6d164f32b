// The generator: from seeds, edits and sums to latents, and from latents to pixels. As facesmith/latent computes them.

import { bytesOf, decodeConstants } from './constants.js';
import { DRAWS, drawLabels, RandomWords } from './noise.js';
import { preparePrograms } from './program.js';
import { createMarker } from './watermark.js';

const CACHE_SIZE = 256; // latents of seeds

// Returns {draw(picture), kernelName}.
//   model: the JSON of ../page_data.py.
//   constants, code: base64 text. Without code, the page's own JavaScript computes everything.
//
// A picture is one of
//   {kind: 'face', ...face, psi, condition}
//   {kind: 'walk', from: face, to: face, t, edits, psi, condition}; t from 0 to 1
// A face is {seed, edits}, or a sum {terms: [{...face, weight}], edits}, with edits {direction: strength}. psi is from 0
// to 1, and condition [number of labels] has for each label -1, 1, or 0 for one that is drawn. A face is truncated first
// and edited afterwards; the faces of a sum or walk are edited first. The edits of a walk itself come last.
//
// `draw` returns {pixels, side}: Uint8ClampedArray of RGBA, with the watermark.
export function createEngine(model, constants, code) {
  const tensors = decodeConstants(model.tensors, bytesOf(constants));
  const numbersOf = (number) => tensors[number].numbers;
  const programs = preparePrograms(model.programs, tensors, code && bytesOf(code));
  const average = numbersOf(model.w_avg);
  const shares = model.label_dim ? numbersOf(model.label_shares) : null;
  const directions = new Map(model.directions.map((name, i) => [name, numbersOf(model.direction_vectors).subarray(i * model.w_dim, (i + 1) * model.w_dim)]));
  const [weights, offsets, inverse] = model.mark ? ['weights', 'offsets', 'inverse'].map((name) => numbersOf(model.mark[name])) : [];
  const mark = model.mark && createMarker({ ...model.mark, weights, offsets, inverse }, model.resolution, model.channels);
  const cache = new Map();

  function latentOfSeed(seed, condition) {
    const key = `${seed} ${condition}`;
    if (!cache.has(key)) {
      if (cache.size >= CACHE_SIZE) cache.delete(cache.keys().next().value);
      const words = new RandomWords(seed);
      const inputs = [DRAWS[model.draw](words, model.z_dim)];
      if (shares) inputs.push(drawLabels(words, shares, model.label_dim, condition));
      cache.set(key, programs.run('mapping', ...inputs).numbers.slice());
    }
    return cache.get(key);
  }

  function edited(w, edits = {}) {
    const result = w.slice();
    for (const [name, strength] of Object.entries(edits)) {
      const direction = directions.get(name);
      if (!direction) throw new Error(`This model has no direction ${name}.`);
      for (let i = 0; i < result.length; i++) result[i] += strength * direction[i];
    }
    return result;
  }

  // Towards the average face; labels stay.
  function truncated(w, psi) {
    if (psi === 1) return w;
    const count = model.w_dim - model.label_dim;
    return w.map((x, i) => (i >= count ? x : psi < 0.5 ? average[i] + psi * (x - average[i]) : x - (x - average[i]) * (1 - psi)));
  }

  // See `combine` in facesmith/latent/arithmetic.py.
  function sum(latents, weights) {
    const total = new Float64Array(model.w_dim);
    latents.forEach((w, n) => w.forEach((x, i) => { total[i] += weights[n] * (model.spherical ? x : x - average[i]); }));
    if (!model.spherical) return Float32Array.from(total, (x, i) => average[i] + x);
    const squares = latents.map((w) => squareOf(w));
    const weightSquares = weights.map((weight) => weight ** 2);
    const target = Math.sqrt(squares.reduce((all, square, n) => all + weightSquares[n] * square, 0) / weightSquares.reduce((all, square) => all + square, 0));
    const norm = Math.sqrt(squareOf(total));
    if (!(norm > 1e-5 * target)) throw new Error('The terms cancel, so their sum has no direction.');
    return Float32Array.from(total, (x) => x * target / norm);
  }

  // See `walk_latents` in facesmith/latent/interpolation.py.
  function between(start, end, t) {
    const line = (a, b) => a + (b - a) * t;
    if (!model.spherical) return start.map((x, i) => line(x, end[i]));
    const norms = [start, end].map((w) => Math.max(1e-12, Math.sqrt(squareOf(w))));
    const cosine = start.reduce((all, x, i) => all + x * end[i], 0) / (norms[0] * norms[1]);
    const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
    const sine = Math.sin(angle);
    if (sine < 1e-6) return start.map((x, i) => line(x, end[i]));
    const [a, b] = [Math.sin((1 - t) * angle) / norms[0], Math.sin(t * angle) / norms[1]];
    return start.map((x, i) => (a * x + b * end[i]) / sine * line(norms[0], norms[1]));
  }

  const unedited = ({ seed, terms }, condition) => (terms ? sum(terms.map((term) => latentOf(term, condition)), terms.map(({ weight }) => weight)) : latentOfSeed(seed, condition));
  const latentOf = (face, condition) => edited(unedited(face, condition), face.edits);
  function latentOfPicture({ kind, edits, psi, condition, from, to, t, ...face }) {
    const w = kind === 'face' ? unedited(face, condition) : between(latentOf(from, condition), latentOf(to, condition), t);
    return edited(truncated(w, psi), edits);
  }

  function draw(picture) {
    const { numbers, channels, width } = programs.run('synthesis', latentOfPicture(picture));
    const area = width * width;
    const pixels = new Uint8ClampedArray(area * channels); // rounds like NumPy
    for (let i = 0, k = 0; i < area; i++) for (let c = 0; c < channels; c++) pixels[k++] = (numbers[c * area + i] + 1) * 127.5;
    mark?.(pixels);
    const rgba = new Uint8ClampedArray(area * 4);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) rgba[4 * i + c] = pixels[i * channels + (c % channels)];
      rgba[4 * i + 3] = 255;
    }
    return { pixels: rgba, side: width };
  }
  return { draw, kernelName: programs.name };
}

const squareOf = (vector) => vector.reduce((sum, x) => sum + x * x, 0);
