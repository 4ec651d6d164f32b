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

  // A convolution of stride 1, in blocks of four output channels and two pixels, whose sums stay in registers.
  //   source: the padded input, [c_in][height + size - 1][rowLength].
  //   put(channel, y, x, sum)
  function convolve(weights, bias, source, first, rowLength, cOut, cIn, size, height, width, put) {
    const plane = (height + size - 1) * rowLength;
    const taps = cIn * size * size;
    const offsets = Int32Array.from({ length: taps }, (_, k) => {
      const inPlane = k % (size * size);
      return Math.floor(k / (size * size)) * plane + Math.floor(inPlane / size) * rowLength + (inPlane % size);
    });
    for (let c = 0; c < cOut; c += 4) {
      const channels = [0, 1, 2, 3].map((i) => Math.min(c + i, cOut - 1));
      const [w0, w1, w2, w3] = channels.map((channel) => (weights >> 2) + channel * taps);
      const [b0, b1, b2, b3] = channels.map((channel) => (bias ? at(bias, channel) : 0));
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x += 2) {
          const corner = first + y * rowLength + x;
          let a0 = b0, a1 = b0, c0 = b1, c1 = b1, d0 = b2, d1 = b2, e0 = b3, e1 = b3;
          for (let k = 0; k < taps; k++) {
            const place = corner + offsets[k];
            const left = source[place];
            const right = source[place + 1];
            let weight = numbers[w0 + k];
            a0 += weight * left; a1 += weight * right;
            weight = numbers[w1 + k];
            c0 += weight * left; c1 += weight * right;
            weight = numbers[w2 + k];
            d0 += weight * left; d1 += weight * right;
            weight = numbers[w3 + k];
            e0 += weight * left; e1 += weight * right;
          }
          put(c, y, x, a0);
          if (x + 1 < width) put(c, y, x + 1, a1);
          if (c + 1 < cOut) { put(c + 1, y, x, c0); if (x + 1 < width) put(c + 1, y, x + 1, c1); }
          if (c + 2 < cOut) { put(c + 2, y, x, d0); if (x + 1 < width) put(c + 2, y, x + 1, d1); }
          if (c + 3 < cOut) { put(c + 3, y, x, e0); if (x + 1 < width) put(c + 3, y, x + 1, e1); }
        }
    }
  }

  function conv(weights, bias, from, to, cOut, cIn, size, height, width) {
    const put = (c, y, x, sum) => { numbers[(to >> 2) + (c * height + y) * width + x] = sum; };
    convolve(weights, bias, numbers, from >> 2, Math.ceil(width / 8) * 8 + size - 1, cOut, cIn, size, height, width, put);
  }

  function conv3x3(kernels, bias, from, to, cOut, cIn, height, width, phases) {
    const channels = phases === 2 ? cOut / 4 : cOut;
    const rowLength = width + 3;
    const padded = new Float32Array(cIn * (height + 2) * rowLength);
    for (let c = 0; c < cIn; c++)
      for (let y = 0; y < height; y++) {
        const row = (from >> 2) + (c * height + y) * width;
        padded.set(numbers.subarray(row, row + width), (c * (height + 2) + y + 1) * rowLength + 1);
      }
    const put = (c, y, x, sum) => {
      const phase = Math.floor(c / channels);
      const [row, column] = [y * phases + (phase >> 1), x * phases + (phase & 1)];
      numbers[(to >> 2) + ((c % channels) * height * phases + row) * width * phases + column] = sum;
    };
    convolve(kernels, bias, padded, 0, rowLength, cOut, cIn, 3, height, width, put);
  }

  const transform_kernels = (weights, to, cOut, cIn) => numbers.copyWithin(to >> 2, weights >> 2, (weights >> 2) + cOut * cIn * 9);
  return { numbers, linear, conv, conv3x3, transform_kernels, name: 'JavaScript' };
}
