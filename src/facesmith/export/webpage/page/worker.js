// The worker: draws one picture after another, so that the page stays responsive. It gets these messages:
//
//   {model, constants, code}: once. The reply is {ready: name of the kernel}, or {error}.
//   {id, picture}: see engine.js for pictures. The reply is {id, pixels, side}, or {id, error}.
//   {id, picture, entries, xmp}: the reply is {id, png}: the bytes of a PNG with this text.
//
// The page sends the next picture only when the one before has arrived. So the newest picture never waits for older ones.

import { createEngine } from './engine.js';
import { pngBytes } from './png.js';

let engine;
let isGray;

self.onmessage = async ({ data: { model, constants, code, id, picture, entries, xmp } }) => {
  try {
    if (model) {
      engine = createEngine(model, constants, code);
      isGray = model.channels === 1;
      self.postMessage({ ready: engine.kernelName });
      return;
    }
    const { pixels, side } = engine.draw(picture);
    if (entries) {
      const png = await pngBytes(pixels, side, isGray, entries, xmp);
      self.postMessage({ id, png }, [png.buffer]);
    } else self.postMessage({ id, pixels, side }, [pixels.buffer]);
  } catch (error) { self.postMessage({ id, error: error.message }); }
};
