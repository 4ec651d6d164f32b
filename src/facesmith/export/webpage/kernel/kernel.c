// The expensive layers of a generator, for WebAssembly with 128-bit SIMD. See ../page/kernel.js for the same in JavaScript.
//
// Build: see build.sh. All arrays are float32; images are [channels][height][width].

typedef float f32x4 __attribute__((vector_size(16), aligned(4)));

#define TILES 64   // tiles of an image that are in work at the same time
#define LANES 8    // columns of a block of the matrix product
#define ROWS 4     // rows of a block

static inline f32x4 load(const float *from) { return *(const f32x4 *)from; }
static inline void store(float *to, f32x4 values) { *(f32x4 *)to = values; }
static inline f32x4 splat(float value) { return (f32x4){value, value, value, value}; }

// to[rows] = bias + weights[rows][columns] * from[columns]
__attribute__((export_name("linear")))
void linear(const float *weights, const float *bias, const float *from, float *to, int rows, int columns) {
  for (int row = 0; row < rows; row++, weights += columns) {
    f32x4 sums = splat(0);
    int i = 0;
    for (; i + 4 <= columns; i += 4) sums += load(weights + i) * load(from + i);
    float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (; i < columns; i++) sum += weights[i] * from[i];
    to[row] = sum + (bias ? bias[row] : 0);
  }
}

// A block of a convolution: `count` (at most ROWS) output channels of LANES pixels of one row.
static inline __attribute__((always_inline))
void conv_block(const float *weights, const float *from, float *to, int count, int columns, int c_in, int size,
                int width, int plane, int out_plane, const float *bias) {
  f32x4 sums[ROWS][2];
  for (int c = 0; c < count; c++) sums[c][0] = sums[c][1] = splat(bias ? bias[c] : 0);
  const int taps = c_in * size * size;
  int tap = 0;
  for (int channel = 0; channel < c_in; channel++, from += plane)
    for (int y = 0; y < size; y++)
      for (int x = 0; x < size; x++, tap++) {
        const float *pixels = from + y * width + x;
        const f32x4 left = load(pixels), right = load(pixels + 4);
        for (int c = 0; c < count; c++) {
          const f32x4 weight = splat(weights[c * taps + tap]);
          sums[c][0] += weight * left;
          sums[c][1] += weight * right;
        }
      }
  for (int c = 0; c < count; c++)
    for (int x = 0; x < columns; x++) to[c * out_plane + x] = sums[c][x >> 2][x & 3];
}

// A convolution of stride 1.
//   from: [c_in][height + size - 1][width of a padded row], padded with zeros; a padded row has a multiple of LANES
//         columns plus size - 1.
//   weights: [c_out][c_in][size][size]
//   to: [c_out][height][width]
__attribute__((export_name("conv")))
void conv(const float *weights, const float *bias, const float *from, float *to, int c_out, int c_in, int size,
          int height, int width) {
  const int padded = (width + LANES - 1) / LANES * LANES + size - 1;
  const int plane = (height + size - 1) * padded, taps = c_in * size * size, area = height * width;
  for (int c = 0; c < c_out; c += ROWS) {
    const int count = c_out - c < ROWS ? c_out - c : ROWS;
    for (int y = 0; y < height; y++)
      for (int x = 0; x < width; x += LANES) {
        const int columns = width - x < LANES ? width - x : LANES;
        const float *w = weights + c * taps, *pixels = from + y * padded + x, *b = bias ? bias + c : 0;
        float *out = to + c * area + y * width + x;
        if (count == 4) conv_block(w, pixels, out, 4, columns, c_in, size, padded, plane, area, b);
        else if (count == 3) conv_block(w, pixels, out, 3, columns, c_in, size, padded, plane, area, b);
        else if (count == 2) conv_block(w, pixels, out, 2, columns, c_in, size, padded, plane, area, b);
        else conv_block(w, pixels, out, 1, columns, c_in, size, padded, plane, area, b);
      }
  }
}

// Transforms 3x3 kernels for `conv3x3`: [c_out][c_in][3][3] -> [16][c_out / ROWS, rounded up][c_in][ROWS].
//
// Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, section 4.1: F(2x2, 3x3).
__attribute__((export_name("transform_kernels")))
void transform_kernels(const float *weights, float *to, int c_out, int c_in) {
  const int blocks = (c_out + ROWS - 1) / ROWS;
  for (int c = 0; c < blocks * ROWS; c++)
    for (int channel = 0; channel < c_in; channel++) {
      float half[4][3], whole[4][4];
      const float *g = weights + (c * c_in + channel) * 9;
      for (int x = 0; x < 3; x++) {
        const float a = c < c_out ? g[x] : 0, b = c < c_out ? g[3 + x] : 0, d = c < c_out ? g[6 + x] : 0;
        half[0][x] = a, half[1][x] = (a + b + d) / 2, half[2][x] = (a - b + d) / 2, half[3][x] = d;
      }
      for (int y = 0; y < 4; y++) {
        const float a = half[y][0], b = half[y][1], d = half[y][2];
        whole[y][0] = a, whole[y][1] = (a + b + d) / 2, whole[y][2] = (a - b + d) / 2, whole[y][3] = d;
      }
      for (int f = 0; f < 16; f++)
        to[((f * blocks + c / ROWS) * c_in + channel) * ROWS + c % ROWS] = whole[f / 4][f % 4];
    }
}

// One 4x4 tile of the padded input at (y, x) of the unpadded one, transformed.
static inline void transform_tile(const float *plane, int height, int width, int y, int x, float whole[16]) {
  float d[4][4], half[4][4];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      const int row = y + i, column = x + j;
      d[i][j] = row >= 0 && row < height && column >= 0 && column < width ? plane[row * width + column] : 0;
    }
  for (int j = 0; j < 4; j++) {
    half[0][j] = d[0][j] - d[2][j], half[1][j] = d[1][j] + d[2][j];
    half[2][j] = d[2][j] - d[1][j], half[3][j] = d[1][j] - d[3][j];
  }
  for (int i = 0; i < 4; i++) {
    whole[4 * i] = half[i][0] - half[i][2], whole[4 * i + 1] = half[i][1] + half[i][2];
    whole[4 * i + 2] = half[i][2] - half[i][1], whole[4 * i + 3] = half[i][1] - half[i][3];
  }
}

// to[ROWS][LANES] = kernels[c_in][ROWS] * tiles[c_in][LANES]
static inline void product(const float *kernels, const float *tiles, float *to, int c_in, int stride) {
  f32x4 a0 = splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  for (int channel = 0; channel < c_in; channel++, kernels += ROWS, tiles += LANES) {
    const f32x4 left = load(tiles), right = load(tiles + 4);
    f32x4 k = splat(kernels[0]);
    a0 += k * left, a1 += k * right;
    k = splat(kernels[1]);
    b0 += k * left, b1 += k * right;
    k = splat(kernels[2]);
    c0 += k * left, c1 += k * right;
    k = splat(kernels[3]);
    d0 += k * left, d1 += k * right;
  }
  store(to, a0), store(to + 4, a1);
  store(to + stride, b0), store(to + stride + 4, b1);
  store(to + 2 * stride, c0), store(to + 2 * stride + 4, c1);
  store(to + 3 * stride, d0), store(to + 3 * stride + 4, d1);
}

// A 3x3 convolution of padding 1.
//   kernels: as `transform_kernels` returns them
//   bias: [c_out], or 0
//   to: [c_out][height][width]. With phases = 2, [c_out / 4][2 height][2 width]: the four quarters of the channels
//       become the pixels in even rows and even columns, even rows and odd columns, and so on.
//   work: space for 16 * TILES * (c_in + c_out rounded up to a multiple of ROWS) numbers
__attribute__((export_name("conv3x3")))
void conv3x3(const float *kernels, const float *bias, const float *from, float *to, int c_out, int c_in, int height,
             int width, int phases, float *work) {
  const int blocks = (c_out + ROWS - 1) / ROWS, across = (width + 1) / 2, tiles = across * ((height + 1) / 2);
  const int channels = phases == 2 ? c_out / 4 : c_out, out_width = width * phases;
  float *inputs = work, *products = work + 16 * TILES * c_in;  // [16][TILES / LANES][c_in][LANES], [16][c_out][TILES]
  for (int first = 0; first < tiles; first += TILES) {
    const int count = tiles - first < TILES ? tiles - first : TILES, groups = (count + LANES - 1) / LANES;
    for (int channel = 0; channel < c_in; channel++)
      for (int t = 0; t < groups * LANES; t++) {
        float whole[16] = {0};
        const int tile = first + t;
        if (t < count)
          transform_tile(from + channel * height * width, height, width, tile / across * 2 - 1, tile % across * 2 - 1,
                         whole);
        float *out = inputs + (t / LANES * c_in + channel) * LANES + t % LANES;
        for (int f = 0; f < 16; f++) out[f * TILES * c_in] = whole[f];
      }
    for (int f = 0; f < 16; f++)
      for (int block = 0; block < blocks; block++)
        for (int group = 0; group < groups; group++)
          product(kernels + (f * blocks + block) * c_in * ROWS, inputs + (f * TILES + group * LANES) * c_in,
                  products + (f * blocks + block) * ROWS * TILES + group * LANES, c_in, TILES);
    for (int c = 0; c < c_out; c++) {
      const int phase = phases == 2 ? c / channels : 0, plane = phases == 2 ? c % channels : c;
      float *out = to + plane * height * phases * out_width + phase / 2 * out_width + phase % 2;
      const f32x4 offset = splat(bias ? bias[c] : 0);
      for (int t = 0; t < count; t += 4) {
        f32x4 m[4][4], half[2][4], pixels[2][2];
        for (int f = 0; f < 16; f++) m[f / 4][f % 4] = load(products + (f * blocks * ROWS + c) * TILES + t);
        for (int x = 0; x < 4; x++) {
          half[0][x] = m[0][x] + m[1][x] + m[2][x];
          half[1][x] = m[1][x] - m[2][x] - m[3][x];
        }
        for (int y = 0; y < 2; y++) {
          pixels[y][0] = half[y][0] + half[y][1] + half[y][2] + offset;
          pixels[y][1] = half[y][1] - half[y][2] - half[y][3] + offset;
        }
        for (int lane = 0; lane < 4 && t + lane < count; lane++) {
          const int tile = first + t + lane;
          const int top = tile / across * 2, left = tile % across * 2;
          for (int y = 0; y < 2 && top + y < height; y++)
            for (int x = 0; x < 2 && left + x < width; x++)
              out[(top + y) * phases * out_width + (left + x) * phases] = pixels[y][x][lane];
        }
      }
    }
  }
}
