// Seeds to z and labels: the same numbers as PyTorch draws on a CPU. See facesmith/export/seeded_noise.py.

const WORDS = 624; // of the Mersenne Twister's state
const BLOCK = 16; // torch draws normal numbers in blocks of this size

// The Mersenne Twister. Source: Matsumoto and Nishimura 1998, "Mersenne Twister", ACM TOMACS 8.
export class RandomWords {
  constructor(seed) {
    this.state = new Uint32Array(WORDS);
    this.state[0] = seed;
    for (let i = 1; i < WORDS; i++) {
      const previous = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1_812_433_253, previous) + i;
    }
    this.place = WORDS;
  }

  next() {
    if (this.place === WORDS) this.#twist();
    let word = this.state[this.place++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist() {
    for (let i = 0; i < WORDS; i++) {
      const mixed = (this.state[i] & 0x80000000) | (this.state[(i + 1) % WORDS] & 0x7fffffff);
      this.state[i] = this.state[(i + 397) % WORDS] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }

  // `torch.rand` in float32: [0, 1) from 24 bits.
  uniform() { return (this.next() & 0xffffff) * 2 ** -24; }

  // `torch.rand` in float64: the lower 53 bits of two words, the high word first.
  uniformDouble() {
    const high = this.next() & 0x1fffff;
    return (high * 2 ** 32 + this.next()) * 2 ** -53;
  }
}

const drawn = (count, draw) => { const numbers = new Float32Array(count); for (let i = 0; i < count; i++) numbers[i] = draw(); return numbers; };

// name in the model -> (words, count) -> Float32Array
export const DRAWS = {
  normal: (words, count) => (count < BLOCK ? normalPairs(words, count) : normalBlocks(words, count)),
  'centered uniform': (words, count) => drawn(count, () => Math.fround(Math.fround(words.uniform() * 2 - 1) * Math.fround(Math.sqrt(3)))),
  'centered poisson': (words, count) => drawn(count, () => {
    let [product, events] = [words.uniformDouble(), 0];
    for (; product > Math.exp(-1); events++) product *= words.uniformDouble();
    return events - 1;
  }),
};

function normalPairs(words, count) {
  const numbers = new Float32Array(count + 1);
  for (let i = 0; i < count; i += 2) {
    const angle = 2 * Math.PI * words.uniformDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-words.uniformDouble()));
    numbers[i] = radius * Math.cos(angle);
    numbers[i + 1] = radius * Math.sin(angle);
  }
  return numbers.subarray(0, count);
}

function normalBlocks(words, count) {
  const numbers = new Float32Array(count);
  for (let i = 0; i + BLOCK <= count; i += BLOCK) numbers.set(boxMuller(words), i);
  if (count % BLOCK) { // torch first uses a word for each number, then draws the last block again with new words
    for (let i = 0; i < count % BLOCK; i++) words.next();
    numbers.set(boxMuller(words), count - BLOCK);
  }
  return numbers;
}

function boxMuller(words) {
  const uniforms = drawn(BLOCK, () => words.uniform());
  const block = new Float32Array(BLOCK);
  for (let i = 0; i < BLOCK / 2; i++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(Math.fround(1 - uniforms[i]))))));
    const angle = Math.fround(Math.fround(2 * Math.PI) * uniforms[i + BLOCK / 2]);
    block[i] = radius * Math.cos(angle);
    block[i + BLOCK / 2] = radius * Math.sin(angle);
  }
  return block;
}

// Labels of a conditional model, each -1 or 1, drawn after z. See `draw_labels` in facesmith/latent/label_shares.py.
//   shares: how often each combination occurs; the first label changes slowest.
//   condition[i]: -1 or 1 for a fixed label, 0 for one that is drawn.
export function drawLabels(words, shares, count, condition) {
  const labelOf = (combination, i) => ((combination >> (count - 1 - i)) & 1) * 2 - 1;
  const matches = (combination) => condition.every((wanted, i) => wanted * labelOf(combination, i) >= 0);
  let matching = shares.map((share, combination) => (matches(combination) ? share : 0));
  if (!matching.some((share) => share > 0)) matching = shares;
  let total = 0;
  const cumulative = Array.from(matching, (share) => (total += share));
  const position = words.uniformDouble() * total;
  const found = cumulative.findIndex((sum) => sum > position);
  const combination = found < 0 ? shares.length - 1 : found;
  return Float32Array.from(condition, (wanted, i) => wanted || labelOf(combination, i));
}
