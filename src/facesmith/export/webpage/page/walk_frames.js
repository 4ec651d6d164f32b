// The frames of a walk through faces.

import { MAX_SEED } from './face_text.js';
import { showProblem } from './messages.js';
import { state } from './page_state.js';
import { drawPicture, pictureOfWalk } from './pictures.js';

export const SECONDS_PER_FACE = 3; // at speed 1
const COMMAND_FACES = 8; // of the command for a walk through seeds

// The faces of the walk, one after another, again and again.
export const walkFaces = () => (state.kept.length > 1 ? state.kept : Array.from({ length: COMMAND_FACES }, (_, i) => String((state.first + i) % (MAX_SEED + 1))));
export const faceAt = (place) => (state.kept.length > 1 ? state.kept[place % state.kept.length] : String((state.first + place) % (MAX_SEED + 1)));

// Draws frames until `stop()`. The worker sets the pace: a frame is requested when the one before is shown.
//   position(seconds): moves on by this time, and returns {from, to, t, edits, psi} of the frame.
//   show({pixels, side})
export function runWalk(position, show) {
  let stopped = false;
  let previous = performance.now();
  (async () => {
    while (!stopped) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      const { from, to, t, ...options } = position(Math.min(0.25, (now - previous) / 1000));
      previous = now;
      try {
        const frame = await drawPicture(pictureOfWalk(from, to, t, options));
        if (!stopped) show(frame);
      } catch (error) {
        showProblem(error.message);
        await new Promise((after) => { setTimeout(after, 1000); });
      }
    }
  })();
  return () => { stopped = true; };
}
