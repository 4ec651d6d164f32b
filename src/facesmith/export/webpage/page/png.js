// PNG files with text in them, as Pillow writes them. A canvas can't add text, and some browsers change its pixels.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CRCS = Uint32Array.from({ length: 256 }, (_, i) => { for (let k = 0; k < 8; k++) i = i & 1 ? 0xedb88320 ^ (i >>> 1) : i >>> 1; return i; });
const STORED_BYTES = 65_535; // of a block that is not compressed

// Returns the bytes of a PNG.
//   pixels: RGBA of a square picture; gray pictures get one channel.
//   entries: [[name, text], ...].  xmp: an XMP packet.
export async function pngBytes(pixels, side, isGray, entries, xmp) {
  const channels = isGray ? 1 : 3;
  const rows = new Uint8Array(side * (1 + side * channels)); // each row starts with its filter, 0
  for (let y = 0, i = 0; y < side; y++) {
    i++;
    for (let x = 0; x < side; x++) for (let c = 0; c < channels; c++) rows[i++] = pixels[4 * (y * side + x) + c];
  }
  const header = [...fourBytes(side), ...fourBytes(side), 8, isGray ? 0 : 2, 0, 0, 0];
  const texts = entries.map(([name, text]) => textChunk(name, text));
  const chunks = [chunk('IHDR', header), ...texts, chunk('iTXt', international('XML:com.adobe.xmp', xmp)), chunk('IDAT', await compressed(rows)), chunk('IEND', [])];
  return joined([Uint8Array.from(SIGNATURE), ...chunks]);
}

const fourBytes = (number) => [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255];
const latin = (text) => Array.from(text, (letter) => letter.codePointAt(0));
const international = (name, text) => [...latin(name), 0, 0, 0, 0, 0, ...new TextEncoder().encode(text)];
function textChunk(name, text) {
  const codes = latin(text);
  return codes.every((code) => code < 256) ? chunk('tEXt', [...latin(name), 0, ...codes]) : chunk('iTXt', international(name, text));
}

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  bytes.set(fourBytes(data.length));
  bytes.set(latin(type), 4);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (let i = 4; i < 8 + data.length; i++) crc = CRCS[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  bytes.set(fourBytes(~crc >>> 0), 8 + data.length);
  return bytes;
}

// The zlib format; without compression in a browser that has none.
async function compressed(bytes) {
  if (typeof CompressionStream !== 'undefined') {
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const parts = [Uint8Array.of(0x78, 1)];
  for (let i = 0; i < bytes.length; i += STORED_BYTES) {
    const length = Math.min(STORED_BYTES, bytes.length - i);
    parts.push(Uint8Array.of(i + length === bytes.length ? 1 : 0, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255), bytes.subarray(i, i + length));
  }
  let [a, b] = [1, 0];
  for (const byte of bytes) { a = (a + byte) % 65_521; b = (b + a) % 65_521; }
  return joined([...parts, Uint8Array.from(fourBytes(((b << 16) | a) >>> 0))]);
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) { bytes.set(part, place); place += part.length; }
  return bytes;
}
