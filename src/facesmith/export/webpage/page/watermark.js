// The invisible watermark, as in facesmith/watermark: each pattern's strength gets near a multiple of a step.

const BLOCK_PX = 8;
const ROUNDS = 3; // rounding to whole gray levels disturbs the patterns, so the rest is corrected
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601
const LANCZOS = 3;

// Returns a function that adds the watermark to pixels: Uint8ClampedArray [side * side * channels], changed in place.
//   mark: {step, way, half_power, frame_px, frequencies, weights, offsets, inverse}; see ../page_data.py.
//     Weights are [blocks, patterns, frequencies]; `inverse` is [blocks * patterns, blocks * patterns].
export function createMarker({ step, way, half_power: halfPower, frame_px: frame, frequencies, weights, offsets, inverse }, side, channels) {
  const blocks = frame / BLOCK_PX;
  const patterns = offsets.length / blocks ** 2;
  const dct = dctMatrix(BLOCK_PX);
  const basis = frequencies.map(([i, j]) => Float64Array.from({ length: BLOCK_PX ** 2 }, (_, k) => dct[i][k >> 3] * dct[j][k & 7]));
  const shrink = side === frame ? null : asTable(lanczosRows(side, frame), side);
  const grow = side === frame ? null : asTable(smoothRows(frame, side), frame);
  const waves = dctMatrix(frame);
  const [forward, backward] = [(i) => waves[i], (i) => Float64Array.from(waves, (wave) => wave[i])].map(
    (shares) => asTable(Array.from({ length: frame }, (_, i) => ({ first: 0, shares: shares(i) })), frame));

  function brightness(pixels) {
    const sums = new Float32Array(side * side);
    for (let i = 0, k = 0; i < sums.length; i++, k += channels)
      sums[i] = channels === 1 ? pixels[k] : LUMA[0] * pixels[k] + LUMA[1] * pixels[k + 1] + LUMA[2] * pixels[k + 2];
    return shrink ? resample(sums, side, shrink) : sums;
  }

  // The position in a frame of pixel `k` of a block.
  const pixelOf = (block, k) => (Math.floor(block / blocks) * BLOCK_PX + (k >> 3)) * frame + (block % blocks) * BLOCK_PX + (k & 7);

  // The strength of each pattern in a frame.
  function strengths(picture) {
    const result = new Float64Array(offsets.length);
    const coefficients = new Float64Array(frequencies.length);
    for (let block = 0; block < blocks ** 2; block++) {
      basis.forEach((wave, f) => { let sum = 0; for (let k = 0; k < wave.length; k++) sum += wave[k] * picture[pixelOf(block, k)]; coefficients[f] = sum; });
      for (let p = block * patterns; p < (block + 1) * patterns; p++)
        for (let f = 0; f < frequencies.length; f++) result[p] += weights[p * frequencies.length + f] * coefficients[f];
    }
    return result;
  }

  // A frame in which each pattern has this strength, with as little power as possible at high frequencies.
  function pictureOf(strength) {
    const sum = new Float32Array(frame * frame);
    for (let p = 0; p < offsets.length; p++) {
      let share = 0;
      for (let q = 0; q < offsets.length; q++) share += inverse[p * offsets.length + q] * strength[q];
      for (let f = 0; f < frequencies.length; f++) {
        const amount = share * weights[p * frequencies.length + f];
        if (amount) for (let k = 0; k < BLOCK_PX ** 2; k++) sum[pixelOf(Math.floor(p / patterns), k)] += amount * basis[f][k];
      }
    }
    const spectrum = resample(sum, frame, forward);
    for (let i = 0; i < spectrum.length; i++) spectrum[i] /= 1 + (Math.floor(i / frame) ** 2 + (i % frame) ** 2) / halfPower ** 2;
    return resample(spectrum, frame, backward);
  }

  return (pixels) => {
    const original = Float32Array.from(pixels);
    const change = new Float32Array(frame * frame);
    const wanted = strengths(brightness(pixels)).map((strength, p) => {
      const nearest = step * (Math.round(strength / step - offsets[p]) + offsets[p]);
      return strength + way * (nearest - strength);
    });
    for (let round = 0; round < ROUNDS; round++) {
      const strength = strengths(brightness(pixels));
      pictureOf(wanted.map((each, p) => each - strength[p])).forEach((each, i) => { change[i] += each; });
      const added = grow ? resample(change, frame, grow) : change;
      for (let i = 0, k = 0; i < added.length; i++) for (let c = 0; c < channels; c++, k++) pixels[k] = original[k] + added[i];
    }
  };
}

// The orthonormal DCT-II: one frequency per row.
function dctMatrix(size) {
  const row = (_, i) => Float64Array.from({ length: size }, (_, x) => Math.cos(Math.PI * (x + 0.5) * i / size) * Math.sqrt((i ? 2 : 1) / size));
  return Array.from({ length: size }, row);
}

// Resizes a square picture. `rows` is of `asTable`: which pixels make each new pixel, and how much of each.
function resample(picture, side, { count, width, firsts, shares }) {
  const wide = new Float32Array(side * count);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < count; x++) {
      let sum = 0;
      for (let k = 0, from = y * side + firsts[x], share = x * width; k < width; k++) sum += shares[share + k] * picture[from + k];
      wide[y * count + x] = sum;
    }
  const result = new Float32Array(count * count);
  const sums = new Float64Array(count);
  for (let y = 0; y < count; y++) {
    sums.fill(0);
    for (let k = 0; k < width; k++) {
      const share = shares[y * width + k];
      for (let x = 0, from = (firsts[y] + k) * count; x < count; x++) sums[x] += share * wide[from + x];
    }
    result.set(sums, y * count);
  }
  return result;
}

// Typed arrays of rows [{first, shares}], all of the same width, because loops over them are several times faster.
//   side: of the picture that is resized.
function asTable(rows, side) {
  const width = Math.max(...rows.map(({ shares }) => shares.length));
  const table = { count: rows.length, width, firsts: new Int32Array(rows.length), shares: new Float64Array(rows.length * width) };
  rows.forEach(({ first, shares }, i) => {
    table.firsts[i] = Math.min(first, side - width);
    table.shares.set(shares, i * width + first - table.firsts[i]);
  });
  return table;
}

// Lanczos, as Pillow computes it.
function lanczosRows(from, to) {
  const sinc = (x) => (x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1);
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - LANCZOS * stretch + 0.5));
    const end = Math.min(from, Math.trunc(center + LANCZOS * stretch + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => { const x = (k + first - center + 0.5) / stretch; return Math.abs(x) < LANCZOS ? sinc(x) * sinc(x / LANCZOS) : 0; });
    const total = raw.reduce((sum, share) => sum + share, 0);
    return { first, shares: raw.map((share) => share / total) };
  });
}

// Resizing without new frequencies: by the DCT, padded with zeros or cut.
function smoothRows(from, to) {
  const [forward, backward] = [dctMatrix(from), dctMatrix(to)];
  const kept = Math.min(from, to);
  const gain = Math.sqrt(to / from);
  return Array.from({ length: to }, (_, y) => ({ first: 0, shares: Float64Array.from({ length: from }, (_, x) => {
    let sum = 0;
    for (let f = 0; f < kept; f++) sum += backward[f][y] * forward[f][x];
    return gain * sum;
  }) }));
}
