// The walk on the full screen, for a projector. Keys, a MIDI controller and the microphone play it.

import { button, h } from './dom.js';
import { MAX_SEED, readable } from './face_text.js';
import { closeWithFullScreen, fillScreen } from './full_screen.js';
import { model, state } from './page_state.js';
import { BANDS, listenToMicrophone, listenToMidi } from './projector_inputs.js';
import { faceAt, runWalk, SECONDS_PER_FACE } from './walk_frames.js';

const STEP = 0.25; // of a strength, for one key press
const MAX_STRENGTH = 3;
const SOUND_STRENGTH = 1; // of the direction of a band, at full level
const LIVELY = ['mouth_slightly_open', 'smiling', 'high_cheekbones', 'young']; // directions that sound moves first, if a model has them
const [MIN_SPEED, MAX_SPEED] = [0.1, 4];
const HINT_MS = 6000;
const CANVAS_PX = 1024;

export function openProjector(onEnd) {
  const { directions } = model;
  const bandDirections = [...LIVELY.filter((name) => directions.includes(name)), ...directions.filter((name) => !LIVELY.includes(name))].slice(0, BANDS.length);
  const strengths = {}; // by keys and knobs: direction -> strength
  const inputs = { microphone: null, midi: null };
  let [chosen, speed, paused, place, t, jump] = [0, state.speed, false, 0, 0, null];
  let stopWalk = null;
  let hintTimer;
  const canvas = h('canvas', { width: CANVAS_PX, height: CANVAS_PX, role: 'img', 'aria-label': 'An endless walk through faces', hidden: true });
  const small = h('canvas', { width: 1, height: 1 }); // a frame in its own size
  const hint = h('p', { class: 'stage-hint', role: 'status' });
  const endButton = button('End', () => dialog.close(), { class: 'stage-end' });
  const bars = ['speed', ...bandDirections].map((name) => ({ bar: h('i'), label: readable(name) }));
  const bands = h('div', { class: 'bands', 'aria-hidden': 'true', hidden: true }, bars.map(({ bar, label }) => h('span', {}, bar, label)));
  const status = h('p', { class: 'small', role: 'status' }, 'Keys always work. Microphone and MIDI are optional; the browser asks you first.');
  const start = h('div', { class: 'stage-start card' },
    h('h2', { id: 'stage-title' }, 'Full screen'),
    h('p', {}, `An endless walk through ${state.kept.length > 1 ? 'the kept faces' : 'faces by seed'}.`),
    h('ul', { class: 'messages small' }, h('li', { class: 'touch-only' }, 'Tap to see how to end.'),
      h('li', { class: 'keys-only' }, h('kbd', {}, '←'), ' ', h('kbd', {}, '→'), ' choose a direction, ', h('kbd', {}, '↑'), ' ', h('kbd', {}, '↓'), ' change its strength, ', h('kbd', {}, '0'), ' resets all'),
      h('li', { class: 'keys-only' }, h('kbd', {}, '+'), ' ', h('kbd', {}, '−'), ' speed, ', h('kbd', {}, 'N'), ' next face, ', h('kbd', {}, 'Space'), ' pauses, ', h('kbd', {}, 'Esc'), ' ends'),
      h('li', {}, `Microphone: loudness sets the speed${directions.length ? ', and low to high tones move up to four directions' : ''}.`),
      h('li', {}, `MIDI: ${directions.length ? 'each knob that you turn gets the next direction, and ' : ''}each key goes to a seed.`)),
    h('div', { class: 'row' }, permissionButton('Use microphone', 'The sound is only measured. It is not recorded or sent.', useMicrophone), permissionButton('Use MIDI', 'Knobs move directions, keys choose seeds.', useMidi)),
    bands, status, h('div', { class: 'row' }, button('Start', begin, { class: 'main' }), button('Cancel', () => dialog.close())));
  const dialog = h('dialog', { id: 'stage', tabIndex: -1, 'aria-labelledby': 'stage-title', onclose: end, onkeydown: onKey, onpointermove: wake, onpointerdown: wake }, start, canvas, hint, endButton);
  document.body.append(dialog);
  document.documentElement.classList.add('staging');
  dialog.showModal();
  const measuring = setInterval(showLevels, 50);

  // A button that asks for a permission, and says whether it was given.
  function permissionButton(text, title, listen) {
    const each = button(text, async () => {
      try {
        await listen();
        each.setAttribute('aria-pressed', 'true');
        each.disabled = true;
        each.textContent = `${text} ✓`;
      } catch ({ name }) {
        const reason = name === 'NotAllowedError' || name === 'SecurityError' ? 'Permission was denied.' : name === 'NotFoundError' ? 'There is no such device.' : 'This browser does not offer it.';
        status.textContent = `${text}: ${reason} The keys still play the walk.`;
      }
    }, { title, class: 'choice', 'aria-pressed': 'false' });
    return each;
  }
  async function useMicrophone() {
    inputs.microphone = await listenToMicrophone();
    bands.hidden = false;
    status.textContent = 'Make a sound: the bars show what it moves.';
  }
  async function useMidi() {
    inputs.midi = await listenToMidi((knob, value) => setStrength(directions[knob % Math.max(1, directions.length)], value * MAX_STRENGTH), (note) => { jump = String((state.first + note) % (MAX_SEED + 1)); });
    const names = inputs.midi.names();
    status.textContent = names.length ? `MIDI: ${names.join(', ')}` : 'No MIDI device is connected yet. Plug one in at any time.';
  }
  function showLevels() {
    if (!inputs.microphone || start.hidden) return;
    const { loudness, bands: levels } = inputs.microphone.read();
    [loudness, ...levels].forEach((level, i) => { if (bars[i]) bars[i].bar.style.height = `${2 * level}rem`; });
  }

  async function begin() {
    sayHint('Esc ends the walk.');
    await fillScreen(dialog, start, canvas);
    navigator.wakeLock?.request('screen').catch(() => {}); // the screen stays on, where the browser allows it
    stopWalk ??= runWalk(position, show);
  }
  function end() {
    stopWalk?.();
    clearInterval(measuring);
    clearTimeout(hintTimer);
    for (const input of Object.values(inputs)) input?.stop();
    leave();
    onEnd();
  }
  const leave = closeWithFullScreen(dialog);

  // The walk. A key of MIDI makes its seed the next face.
  let [from, to] = [faceAt(place), faceAt(place + 1)];
  function position(seconds) {
    const sound = inputs.microphone?.read();
    const rate = sound ? 0.3 + sound.loudness * MAX_SPEED : speed;
    if (!paused) t += (seconds * rate) / SECONDS_PER_FACE;
    if (jump !== null && t < 1) [to, jump] = [jump, null];
    if (t >= 1) { [from, to, t] = [to, faceAt(++place + 1), 0]; }
    const edits = { ...strengths };
    bandDirections.forEach((name, i) => { if (sound) edits[name] = (edits[name] ?? 0) + sound.bands[i] * SOUND_STRENGTH; });
    return { from, to, t, edits };
  }
  function show({ pixels, side }) {
    if (small.width !== side) small.width = small.height = side;
    small.getContext('2d').putImageData(new ImageData(pixels, side), 0, 0);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  function setStrength(name, strength) {
    if (!name) return;
    strengths[name] = Math.max(-MAX_STRENGTH, Math.min(MAX_STRENGTH, strength));
    sayHint(`${readable(name)} ${strengths[name].toFixed(2)}`);
  }
  function sayHint(text) {
    hint.textContent = text;
    hint.classList.add('on');
    clearTimeout(hintTimer);
    hintTimer = setTimeout(() => hint.classList.remove('on'), HINT_MS);
  }
  function wake() { if (start.hidden) sayHint(hint.classList.contains('on') ? hint.textContent : 'Esc ends the walk.'); }
  function onKey(event) {
    if (!start.hidden || event.target === endButton || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const name = directions[chosen];
    if (key === 'ArrowRight' || key === 'ArrowLeft') {
      chosen = (chosen + (key === 'ArrowRight' ? 1 : -1) + directions.length) % Math.max(1, directions.length);
      sayHint(readable(directions[chosen] ?? 'This model has no directions.'));
    } else if (key === 'ArrowUp' || key === 'ArrowDown') setStrength(name, (strengths[name] ?? 0) + (key === 'ArrowUp' ? STEP : -STEP));
    else if (key === '+' || key === '-') {
      speed = Math.max(MIN_SPEED, Math.min(MAX_SPEED, speed * (key === '+' ? 1.25 : 0.8)));
      sayHint(`Speed ${speed.toFixed(2)}`);
    } else if (key === '0') {
      for (const each of Object.keys(strengths)) delete strengths[each];
      sayHint('All directions at zero');
    } else if (key.toLowerCase() === 'n') t = 1;
    else if (key === ' ') paused = !paused;
    else return;
    event.preventDefault();
  }
}
