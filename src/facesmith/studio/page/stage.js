// Stage mode: an endless walk on the full screen, without controls. Keys, MIDI controllers, the level of the microphone
// and OSC messages change it.

import { button, h } from './dom.js';
import { parseFace, faceText, readable, sumText } from './face_text.js';
import { closeWithFullScreen, fillScreen } from './full_screen.js';
import { listenToMicrophone, listenToMidi, listenToOsc } from './stage_inputs.js';
import { requestBlob, requestJson } from './server.js';
import { apiUrl, currentPsi, state, studio } from './state.js';

const STEP = 0.25; // of a strength, for one key press
const MAX_STRENGTH = 3;
const SECONDS_PER_FACE = 6; // at speed 1
const MAX_SPEED = 4;
const HINT_MS = 6000;

export function openStage() {
  const directions = studio.model.directions;
  const controls = { strengths: {}, chosen: 0, speed: 1, psi: currentPsi(), paused: false, seed: null };
  const canvas = h('canvas', { width: studio.model.resolution * 4, height: studio.model.resolution * 4, role: 'img', 'aria-label': 'An endless walk through faces' });
  const hint = h('p', { class: 'stage-hint', role: 'status' });
  const sources = []; // functions that stop an input
  const inputButtons = h('div', { class: 'row' },
    navigator.requestMIDIAccess && permissionButton('Use MIDI', 'Asks the browser for your MIDI devices. Controllers and notes change the directions in their order.', (set) => listenToMidi(directions, set)),
    permissionButton('Microphone sets the speed', 'Asks the browser for the microphone. Only its level is used; nothing is recorded or sent.', (set) => listenToMicrophone((level) => set({ speed: 0.3 + level * MAX_SPEED }))),
    permissionButton('Microphone sets the variety', 'Asks the browser for the microphone. Only its level is used; nothing is recorded or sent.', (set) => listenToMicrophone((level) => set({ psi: Math.min(1, 0.4 + level) }))),
    studio.osc && permissionButton('Use OSC', 'Messages such as /smiling 0.5 that the studio receives.', (set) => listenToOsc(directions, set)));
  const start = h('div', { class: 'stage-start card' },
    h('h2', { id: 'stage-title' }, 'Stage mode'),
    h('p', {}, `An endless walk through ${state.stops.length > 1 ? 'the faces of Walk' : 'random faces'}, on the full screen.`),
    h('ul', { class: 'messages small' },
      h('li', {}, h('kbd', {}, '←'), ' ', h('kbd', {}, '→'), ' choose a direction, ', h('kbd', {}, '↑'), ' ', h('kbd', {}, '↓'), ' change its strength, ', h('kbd', {}, '0'), ' resets all'),
      h('li', {}, h('kbd', {}, '+'), ' ', h('kbd', {}, '−'), ' speed, ', h('kbd', {}, 'Space'), ' pauses, ', h('kbd', {}, 'Esc'), ' ends')),
    inputButtons,
    h('div', { class: 'row' }, button('Start', begin, { class: 'main' }), button('Cancel', () => dialog.close())));
  const dialog = h('dialog', { id: 'stage', tabIndex: -1, 'aria-labelledby': 'stage-title', onclose: end }, start, canvas, hint);
  canvas.hidden = true;
  document.body.append(dialog);
  document.documentElement.classList.add('staging');
  dialog.showModal();
  let ended = false;
  let hintTimer;

  // A button that asks for a permission, and says whether it was given.
  function permissionButton(text, title, listen) {
    const each = button(text, async () => {
      try {
        const stop = await listen(apply);
        if (ended) return stop?.(); // the user has gone on
        sources.push(stop);
        each.setAttribute('aria-pressed', 'true');
        each.textContent = `${text} ✓`;
      } catch (error) { each.textContent = `${text}: ${reasonOf(error)}`; }
    }, { title, class: 'choice', 'aria-pressed': 'false' });
    return each;
  }

  function reasonOf({ name }) {
    if (name === 'NotAllowedError') return 'not allowed by the browser';
    return isSecureContext ? 'not available' : 'needs HTTPS';
  }

  function apply({ direction, strength, ...others }) {
    Object.assign(controls, others);
    const { psi_min: low, psi_max: high } = studio.model;
    controls.psi = Math.max(low, Math.min(high, controls.psi));
    if (direction) controls.strengths[direction] = Math.max(-MAX_STRENGTH, Math.min(MAX_STRENGTH, strength));
  }

  async function begin() {
    sayHint('Esc ends the walk.');
    await fillScreen(dialog, start, canvas);
    run();
  }
  function end() {
    ended = true;
    for (const stop of sources) stop?.();
    leave();
  }
  const leave = closeWithFullScreen(dialog);

  function sayHint(text) {
    hint.textContent = text;
    hint.classList.add('on');
    clearTimeout(hintTimer);
    hintTimer = setTimeout(() => hint.classList.remove('on'), HINT_MS);
  }

  // The walk goes through the stops of Walk again and again, or from one random seed to the next.
  let place = 0;
  const nextFace = async () => {
    if (controls.seed !== null) { const face = String(controls.seed); controls.seed = null; return face; }
    if (state.stops.length > 1) return state.stops[place++ % state.stops.length];
    const seed = Math.floor(Math.random() * 1_000_000);
    if (!state.quality) return String(seed);
    const { seeds } = await requestJson(apiUrl('seeds.json', { start: seed, count: 8 })).catch(() => ({ seeds: [] }));
    return String(seeds[0] ?? seed);
  };
  function edited(face) {
    const { base, edits } = parseFace(face);
    const strengths = Object.entries(controls.strengths).map(([name, strength]) => [name, Number(strength.toFixed(2))]);
    return faceText(base, { ...edits, ...Object.fromEntries(strengths) });
  }
  async function run() {
    let [from, to] = [await nextFace(), await nextFace()];
    let t = 0;
    let previous = performance.now();
    while (!ended) {
      const now = performance.now();
      if (!controls.paused) t += ((now - previous) / 1000) * (controls.speed / SECONDS_PER_FACE);
      previous = now;
      if (t >= 1) { [from, to] = [to, await nextFace()]; previous = performance.now(); t = 0; }
      try {
        const terms = sumText([{ face: edited(from), weight: Math.max(0.001, 1 - t) }, { face: edited(to), weight: Math.max(0.001, t) }]);
        const bitmap = await createImageBitmap(await requestBlob(apiUrl('mix.png', { terms, psi: Number(controls.psi.toFixed(3)), live: 1 })));
        await new Promise(requestAnimationFrame);
        drawFrame(bitmap);
      } catch (error) {
        sayHint(error.message);
        await new Promise((after) => { setTimeout(after, 1000); });
      }
    }
  }
  // Each frame covers the one before almost completely, which smooths the steps between them.
  function drawFrame(bitmap) {
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.globalAlpha = 0.7;
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
  }

  dialog.addEventListener('keydown', (event) => {
    if (!start.hidden) return;
    const direction = directions[controls.chosen];
    const key = event.key;
    if (key === 'ArrowRight' || key === 'ArrowLeft') {
      controls.chosen = (controls.chosen + (key === 'ArrowRight' ? 1 : -1) + directions.length) % Math.max(1, directions.length);
      sayHint(readable(directions[controls.chosen] ?? 'This model has no directions'));
    } else if ((key === 'ArrowUp' || key === 'ArrowDown') && direction) {
      apply({ direction, strength: (controls.strengths[direction] ?? 0) + (key === 'ArrowUp' ? STEP : -STEP) });
      sayHint(`${readable(direction)} ${controls.strengths[direction].toFixed(2)}`);
    } else if (key === '+' || key === '-') {
      controls.speed = Math.max(0.1, Math.min(MAX_SPEED, controls.speed * (key === '+' ? 1.25 : 0.8)));
      sayHint(`Speed ${controls.speed.toFixed(2)}`);
    } else if (key === '0') { controls.strengths = {}; sayHint('All directions at zero'); }
    else if (key === ' ') controls.paused = !controls.paused;
    else return;
    event.preventDefault();
  });
}
