// The expensive layers: from ../kernel/kernel.c as WebAssembly, or the same functions in plain JavaScript.
//
// Arrays are in one block of memory. As in C, a pointer is the number of the first byte, and 0 is a missing array.

const PAGE_BYTES = 65_536;
const STACK_BYTES = PAGE_BYTES; // the start of the memory belongs to the compiled code

// Reserves space for arrays, before the memory exists.
export class Space {
  constructor() { this.bytes = STACK_BYTES; }

  reserve(count) {
    const pointer = this.bytes;
    this.bytes += Math.ceil((4 * count) / 16) * 16;
    return pointer;
  }
}

// Returns {numbers, linear, conv, conv3x3, transform_kernels, name}: the memory as Float32Array, and the functions.
//   bytes: of the memory.
//   code: of the WebAssembly module; null for JavaScript.
export function createKernel(bytes, code) {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  try {
    if (!code) throw new TypeError('JavaScript was requested.');
    const memory = new WebAssembly.Memory({ initial: pages });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
    return { ...exports, numbers: new Float32Array(memory.buffer), name: 'WebAssembly' };
  } catch { // an old browser, one without WebAssembly for safety, or a site that forbids it
    return javaScriptKernel(new Float32Array(pages * PAGE_BYTES / 4));
  }
}

function javaScriptKernel(numbers) {
  const at = (pointer, i) => numbers[(pointer >> 2) + i];

  function linear(weights, bias, from, to, rows, columns) {
    const x = from >> 2;
    for (let row = 0, w = weights >> 2; row < rows; row++, w += columns) {
      let sum = bias ? at(bias, row) : 0;
      for (let i = 0; i < columns; i++) sum += numbers[w + i] * numbers[x + i];
      numbers[(to >> 2) + row] = sum;
    }
  }

  // Adds weight * (input, moved by x and y) to a plane of sums, within the borders.
  function addMoved(sums, height, width, weight, input, inputHeight, inputWidth, y, x) {
    const [firstRow, lastRow] = [Math.max(0, -y), Math.min(height, inputHeight - y)];
    const [firstColumn, lastColumn] = [Math.max(0, -x), Math.min(width, inputWidth - x)];
    for (let row = firstRow; row < lastRow; row++) {
      const from = input + (row + y) * inputWidth + x;
      const to = row * width;
      for (let column = firstColumn; column < lastColumn; column++) sums[to + column] += weight * numbers[from + column];
    }
  }

  function conv(weights, bias, from, to, cOut, cIn, size, height, width) {
    const paddedWidth = Math.ceil(width / 8) * 8 + size - 1;
    const paddedHeight = height + size - 1;
    const sums = new Float32Array(height * width);
    for (let c = 0, w = weights >> 2; c < cOut; c++) {
      sums.fill(bias ? at(bias, c) : 0);
      for (let channel = 0; channel < cIn; channel++)
        for (let y = 0; y < size; y++)
          for (let x = 0; x < size; x++, w++)
            addMoved(sums, height, width, numbers[w], (from >> 2) + channel * paddedHeight * paddedWidth, paddedHeight, paddedWidth, y, x);
      numbers.set(sums, (to >> 2) + c * sums.length);
    }
  }

  function conv3x3(kernels, bias, from, to, cOut, cIn, height, width, phases) {
    const area = height * width;
    const channels = phases === 2 ? cOut / 4 : cOut;
    const sums = new Float32Array(area);
    for (let c = 0, w = kernels >> 2; c < cOut; c++) {
      sums.fill(bias ? at(bias, c) : 0);
      for (let channel = 0; channel < cIn; channel++)
        for (let tap = 0; tap < 9; tap++, w++)
          addMoved(sums, height, width, numbers[w], (from >> 2) + channel * area, height, width, Math.floor(tap / 3) - 1, (tap % 3) - 1);
      const phase = phases === 2 ? Math.floor(c / channels) : 0;
      const out = (to >> 2) + (c % channels) * area * phases ** 2 + (phase >> 1) * width * phases + (phase & 1);
      for (let y = 0, i = 0; y < height; y++)
        for (let x = 0; x < width; x++, i++) numbers[out + (y * width * phases + x) * phases] = sums[i];
    }
  }

  const transform_kernels = (weights, to, cOut, cIn) => numbers.copyWithin(to >> 2, weights >> 2, (weights >> 2) + cOut * cIn * 9);
  return { numbers, linear, conv, conv3x3, transform_kernels, name: 'JavaScript' };
}
