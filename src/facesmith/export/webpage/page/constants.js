// The constants of a model, from text. See ../constants.py.

const INT24 = 2 ** 23;

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// Returns a list of {shape, numbers}.
//   tensors: of {shape, kind, first}; `first` is the first byte.
export function decodeConstants(tensors, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return tensors.map(({ shape, kind, first }) => {
    const numbers = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const read = kind === 'float' ? readFloats : readIntegers;
    read(view, bytes, first, numbers, shape[0]);
    return { shape, numbers };
  });
}

function readFloats(view, bytes, first, numbers) {
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(first + 4 * i, true);
}

// Each row has a scale, a float32. Then come the numbers as integers of 24 bits.
function readIntegers(view, bytes, first, numbers, rows) {
  const length = numbers.length / rows;
  let place = first + 4 * rows;
  for (let row = 0, i = 0; row < rows; row++) {
    const scale = view.getFloat32(first + 4 * row, true);
    for (const end = i + length; i < end; i++, place += 3)
      numbers[i] = scale * (bytes[place] + (bytes[place + 1] << 8) + (bytes[place + 2] << 16) - INT24);
  }
}
