// Runs a network that is a list of steps. The table in ../program.py says what each step computes.

import { createKernel, Space } from './kernel.js';

const TILES = 64; // as in ../kernel/kernel.c
const ROWS = 4;
const LANES = 8;

// Returns {run(...inputs), name}: the programs of a model, ready to run.
//   programs: {name: {inputs, steps}}; inputs are lengths of vectors.
//   constants[i]: {shape, numbers}
//   code: the WebAssembly module, or null.
// `run(name, ...inputs)` returns {numbers, channels, height, width}. The numbers are valid until the next run.
export function preparePrograms(programs, constants, code) {
  const space = new Space();
  const plans = Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, planProgram(program, constants, space)]));
  const kernel = createKernel(space.bytes, code);
  for (const { loads } of Object.values(plans)) for (const load of loads) load(kernel);

  function run(name, ...inputs) {
    const { values, steps, inputCount } = plans[name];
    for (let i = 0; i < inputCount; i++) kernel.numbers.set(inputs[i], values[i].pointer >> 2);
    for (const step of steps) step(kernel);
    const { pointer, channels, height, width } = values.at(-1);
    return { numbers: kernel.numbers.subarray(pointer >> 2, (pointer >> 2) + channels * height * width), channels, height, width };
  }
  return { run, name: kernel.name };
}

// Values are {pointer, channels, height, width}; a vector is 1x1. `loads` copy the constants, `steps` compute.
function planProgram({ inputs, steps }, constants, space) {
  const value = (channels, height = 1, width = 1) => ({ pointer: space.reserve(channels * height * width), channels, height, width });
  const plan = { values: inputs.map((length) => value(length)), loads: [], steps: [], inputCount: inputs.length };
  for (const step of steps) {
    const chosen = step.from.map((number) => plan.values[number]);
    const tensors = step.tensors.map((number) => (number === null ? null : constants[number]));
    plan.values.push(STEPS[step.op]({ plan, space, value, chosen, tensors, options: step.options }));
  }
  return plan;
}

// Reserves space for a constant, which is filled once the memory exists. Returns its pointer; 0 if it is missing.
function constant({ plan, space }, numbers) {
  if (!numbers) return 0;
  const pointer = space.reserve(numbers.length);
  plan.loads.push((kernel) => kernel.numbers.set(numbers, pointer >> 2));
  return pointer;
}

const sizeOf = ({ channels, height, width }) => channels * height * width;

// A step that computes each number of its result from one of each input.
//   compute(numbers, from, to, count, second)
function elementwise(task, compute) {
  const [x, second] = task.chosen;
  const to = task.value(x.channels, x.height, x.width);
  task.plan.steps.push(({ numbers }) => compute(numbers, x.pointer >> 2, to.pointer >> 2, sizeOf(x), second && second.pointer >> 2));
  return to;
}
const mapped = (f) => (task) => elementwise(task, (m, from, to, count) => { for (let i = 0; i < count; i++) m[to + i] = f(m[from + i]); });

// A 3x3 convolution of padding 1, with 2 x 2 phases or one. See `conv3x3` in ../kernel/kernel.c.
function conv3x3(task, weights, bias, cOut, phases) {
  const { plan, space, value, chosen: [x] } = task;
  const blocks = Math.ceil(cOut / ROWS);
  const kernels = space.reserve(16 * blocks * ROWS * x.channels);
  const original = constant(task, weights);
  plan.loads.push((kernel) => kernel.transform_kernels(original, kernels, cOut, x.channels));
  const biasPointer = constant(task, bias);
  const work = space.reserve(16 * TILES * (x.channels + blocks * ROWS));
  const to = phases === 2 ? value(cOut / 4, 2 * x.height, 2 * x.width) : value(cOut, x.height, x.width);
  plan.steps.push((kernel) => kernel.conv3x3(kernels, biasPointer, x.pointer, to.pointer, cOut, x.channels, x.height, x.width, phases, work));
  return to;
}

// Four 3x3 kernels per output channel, one for each phase (even or odd row, even or odd column).
//   taps[phase][position]: the taps of the original kernel, of `size`, that fall on the same input pixel.
//   at(out, in): where the original kernel starts.
function phaseKernels(weights, cOut, cIn, size, taps, at) {
  const kernels = new Float32Array(4 * cOut * cIn * 9);
  let i = 0;
  for (let phase = 0; phase < 4; phase++)
    for (let c = 0; c < cOut; c++)
      for (let channel = 0; channel < cIn; channel++)
        for (const rows of taps[phase >> 1])
          for (const columns of taps[phase & 1]) {
            let sum = 0;
            for (const y of rows) for (const x of columns) sum += weights[at(c, channel) + y * size + x];
            kernels[i++] = sum;
          }
  return kernels;
}
const UP_TAPS = [[[0, 1], [2, 3], [4]], [[0], [1, 2], [3, 4]]]; // as in `UpConv2d`
const TRANSPOSED_TAPS = [[[3], [1], []], [[], [2], [0]]];
const fourTimes = (bias) => bias && Float32Array.from({ length: 4 * bias.length }, (_, i) => bias[i % bias.length]);

const STEPS = {
  linear(task) {
    const [{ shape: [rows, columns], numbers }, bias] = task.tensors;
    const [weights, biasPointer, to] = [constant(task, numbers), constant(task, bias?.numbers), task.value(rows)];
    const { pointer } = task.chosen[0];
    task.plan.steps.push((kernel) => kernel.linear(weights, biasPointer, pointer, to.pointer, rows, columns));
    return to;
  },
  maps: ({ chosen: [x], options: { channels, height, width } }) => ({ ...x, channels, height, width }),
  conv(task) {
    const { plan, space, value, chosen: [x], options: { padding }, tensors: [{ shape: [cOut, cIn, size], numbers }, bias] } = task;
    if (size === 3 && padding === 1) return conv3x3(task, numbers, bias?.numbers, cOut, 1);
    const [height, width] = [x.height, x.width].map((side) => side + 2 * padding - size + 1);
    const rowLength = Math.ceil(width / LANES) * LANES + size - 1;
    const plane = (height + size - 1) * rowLength;
    const padded = space.reserve(cIn * plane + LANES); // its borders stay 0
    const [weights, biasPointer, to] = [constant(task, numbers), constant(task, bias?.numbers), value(cOut, height, width)];
    plan.steps.push((kernel) => {
      const m = kernel.numbers;
      for (let c = 0; c < cIn; c++)
        for (let y = 0; y < x.height; y++) {
          const from = (x.pointer >> 2) + (c * x.height + y) * x.width;
          m.copyWithin((padded >> 2) + c * plane + (y + padding) * rowLength + padding, from, from + x.width);
        }
      kernel.conv(weights, biasPointer, padded, to.pointer, cOut, cIn, size, height, width);
    });
    return to;
  },
  up_conv(task) {
    const [{ shape: [cOut, cIn], numbers }, bias] = task.tensors;
    const kernels = phaseKernels(numbers, cOut, cIn, 5, UP_TAPS, (out, channel) => (out * cIn + channel) * 25);
    return conv3x3(task, kernels, fourTimes(bias?.numbers), 4 * cOut, 2);
  },
  transposed(task) {
    const [{ shape: [cIn, cOut], numbers }, bias] = task.tensors;
    const kernels = phaseKernels(numbers, cOut, cIn, 4, TRANSPOSED_TAPS, (out, channel) => (channel * cOut + out) * 16);
    return conv3x3(task, kernels, fourTimes(bias?.numbers), 4 * cOut, 2);
  },
  affine(task) {
    const [scale, shift] = task.tensors.map(({ numbers }) => numbers);
    const area = task.chosen[0].height * task.chosen[0].width;
    return elementwise(task, (m, from, to, count) => {
      for (let i = 0, c = 0; i < count; c++) for (const end = i + area; i < end; i++) m[to + i] = m[from + i] * scale[c] + shift[c];
    });
  },
  modulate(task) {
    const { channels, height, width } = task.chosen[0];
    const area = height * width;
    return elementwise(task, (m, from, to, count, by) => {
      for (let i = 0, c = 0; i < count; c++) {
        const [scale, shift] = [m[by + c], m[by + channels + c]];
        for (const end = i + area; i < end; i++) m[to + i] = m[from + i] * scale + shift;
      }
    });
  },
  add: (task) => elementwise(task, (m, from, to, count, second) => { for (let i = 0; i < count; i++) m[to + i] = m[from + i] + m[second + i]; }),
  scaled: (task) => mapped((x) => x * task.options.times + task.options.plus)(task),
  concat({ plan, value, chosen: [x, y] }) {
    const to = value(x.channels + y.channels);
    plan.steps.push(({ numbers }) => {
      numbers.copyWithin(to.pointer >> 2, x.pointer >> 2, (x.pointer >> 2) + x.channels);
      numbers.copyWithin((to.pointer >> 2) + x.channels, y.pointer >> 2, (y.pointer >> 2) + y.channels);
    });
    return to;
  },
  relu(task) {
    const { slope } = task.options;
    return elementwise(task, (m, from, to, count) => {
      for (let i = 0; i < count; i++) { const x = m[from + i]; m[to + i] = x > 0 ? x : slope * x; }
    });
  },
  elu: mapped((x) => (x > 0 ? x : Math.expm1(x))),
  tanh: mapped(Math.tanh),
  sigmoid: mapped((x) => 1 / (1 + Math.exp(-x))),
  upsample({ plan, value, chosen: [x], options: { times } }) {
    const to = value(x.channels, x.height * times, x.width * times);
    plan.steps.push(({ numbers: m }) => {
      const rows = x.channels * to.height;
      for (let row = 0, i = to.pointer >> 2; row < rows; row++) {
        const from = (x.pointer >> 2) + Math.floor(row / times) * x.width;
        for (let column = 0; column < to.width; column++) m[i++] = m[from + Math.floor(column / times)];
      }
    });
    return to;
  },
  pixel_norm(task) {
    const { channels, height, width } = task.chosen[0];
    const area = height * width;
    return elementwise(task, (m, from, to) => {
      for (let i = 0; i < area; i++) {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += m[from + c * area + i] ** 2;
        const scale = 1 / Math.sqrt(sum / channels + 1e-8);
        for (let c = 0; c < channels; c++) m[to + c * area + i] = m[from + c * area + i] * scale;
      }
    });
  },
  blur(task) {
    const { channels, height, width } = task.chosen[0];
    const within = (i, size) => Math.max(0, Math.min(size - 1, i));
    return elementwise(task, (m, from, to) => {
      for (let c = 0, i = to; c < channels; c++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++, i++) {
            let sum = 0;
            for (let dy = -1; dy <= 1; dy++)
              for (let dx = -1; dx <= 1; dx++)
                sum += m[from + (c * height + within(y + dy, height)) * width + within(x + dx, width)] / (4 << (Math.abs(dy) + Math.abs(dx)));
            m[i] = sum;
          }
    });
  },
  crop({ plan, value, chosen: [x], options: { first, side } }) {
    const to = value(x.channels, side, side);
    plan.steps.push(({ numbers }) => {
      for (let c = 0; c < x.channels; c++)
        for (let y = 0; y < side; y++) {
          const from = (x.pointer >> 2) + (c * x.height + first + y) * x.width + first;
          numbers.copyWithin((to.pointer >> 2) + (c * side + y) * side, from, from + side);
        }
    });
    return to;
  },
};
