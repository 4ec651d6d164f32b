// Pictures of the generator: requests to the worker, elements that show them, and files with their metadata.
//
// See worker.js for the messages and engine.js for pictures.

import { save } from './controls.js';
import { h } from './dom.js';
import { fileName, sumText } from './face_text.js';
import { showMessage, showProblem } from './messages.js';
import { areSeeds, baseOf, isEdited, readFace } from './page_faces.js';
import { bundled, labelOf, model, state } from './page_state.js';

const DRAWN_LIMIT = 600; // faces out of sight that stay drawn
const PAINT_MS = 150; // between paintings of faces that nobody waits for

// The pictures that the page can show.
function partOf(face) {
  const { seed, terms, edits } = readFace(face);
  return terms ? { terms: termsOf(terms), edits } : { seed, edits };
}
const termsOf = (terms) => terms.map(({ face, weight }) => ({ ...partOf(face), weight }));
export const pictureOfFace = (face) => ({ kind: 'face', ...partOf(face), psi: state.psi, condition: state.condition });
export const pictureOfSum = (terms) => ({ kind: 'face', terms: termsOf(terms), psi: state.psi, condition: state.condition });
export const pictureOfWalk = (from, to, t, { edits = {}, psi = state.psi } = {}) => ({ kind: 'walk', from: partOf(from), to: partOf(to), t, edits, psi, condition: state.condition });

// The worker draws one picture after another.
let worker;
let count = 0;
let busy = null; // {id, resolve, reject}
const waiting = []; // {picture, live, extra, resolve, reject, signal}

// Starts the worker. Returns the name of its kernel.
export function startWorker() {
  const textOf = (id) => { const element = document.getElementById(id); const text = element.textContent.trim(); element.remove(); return text; };
  const url = URL.createObjectURL(new Blob([textOf('worker')], { type: 'text/javascript' }));
  worker = new Worker(url);
  URL.revokeObjectURL(url);
  return new Promise((resolve, reject) => {
    const code = new URLSearchParams(location.search).has('javascript') ? null : textOf('kernel');
    worker.onerror = () => reject(new Error('The browser does not let this page start a worker.'));
    worker.onmessage = ({ data }) => {
      if (data.error) { reject(new Error(data.error)); return; }
      worker.onmessage = receive;
      worker.onerror = ({ message }) => { busy?.reject(new Error(message)); busy = null; sendNext(); };
      busy = null;
      resolve(data.ready);
      sendNext();
    };
    busy = { id: -1, reject };
    worker.postMessage({ model, constants: textOf('constants'), code });
  });
}

function receive({ data }) {
  const { resolve, reject } = busy;
  busy = null;
  sendNext(); // the worker never waits for the page
  if (data.error) reject(new Error(data.error));
  else resolve(data);
}

// Returns {pixels, side}, or {png} with `extra` {entries, xmp}. Live requests are drawn before others.
function requestPicture(picture, { live = false, extra } = {}) {
  return new Promise((resolve, reject) => {
    waiting.push({ picture, live, extra, resolve, reject });
    sendNext();
  });
}
function sendNext() {
  if (busy || !worker || !waiting.length) return;
  const live = waiting.findIndex((request) => request.live);
  const [{ picture, extra, resolve, reject }] = waiting.splice(Math.max(0, live), 1);
  busy = { id: count++, resolve, reject };
  const current = typeof picture === 'function' ? picture() : picture;
  if (!current) { busy = null; resolve(null); sendNext(); return; } // it is no longer needed
  worker.postMessage({ id: busy.id, picture: current, ...extra });
}
export const drawPicture = (picture) => requestPicture(picture, { live: true });

// Waits until faces are painted again. A browser takes longer to show a frame than the worker to draw a face, so all faces
// of this time are painted in the same frame.
let painting = null;
let paintedAt = -Infinity;
function nextPainting() {
  painting ??= new Promise((resolve) => {
    setTimeout(() => { painting = null; paintedAt = performance.now(); resolve(); }, paintedAt + PAINT_MS - performance.now());
  });
  return painting;
}

// An element that shows a picture. Its space is reserved, so nothing shifts. The newest picture replaces one that waits.
const hidden = new Set(); // views that are drawn and out of sight, the oldest first
export class FaceView {
  constructor(label = '', { live = false } = {}) {
    this.canvas = h('canvas', { role: 'img', 'aria-label': label, width: 1, height: 1 });
    this.element = h('span', { class: 'face' }, this.canvas);
    this.live = live;
    this.wanted = this.shown = null;
    this.requested = false;
  }

  show(picture, label) {
    if (label !== undefined) this.canvas.setAttribute('aria-label', label);
    hidden.delete(this);
    const key = JSON.stringify(picture);
    if (this.wanted?.key === key || (this.shown === key && !this.requested)) return;
    this.wanted = { key, picture };
    if (!this.requested) this.#request();
  }

  // A picture that is still waiting is not drawn. One that is drawn may be forgotten later.
  leave() {
    this.wanted = null;
    if (!this.shown) return;
    hidden.add(this);
    if (hidden.size > DRAWN_LIMIT) hidden.values().next().value.forget();
  }
  forget() {
    hidden.delete(this);
    this.wanted = this.shown = null;
    this.canvas.width = this.canvas.height = 1;
    this.canvas.classList.remove('drawn');
  }

  async #request() {
    this.requested = true;
    let key = null;
    const take = () => { const { wanted } = this; key = wanted?.key; return wanted?.picture; };
    try {
      const result = await requestPicture(take, { live: this.live });
      if (result && !this.live) await nextPainting();
      if (result && this.wanted) {
        const { pixels, side } = result;
        if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
        // Read by the processor: so the browser paints hundreds of canvases with the page, not as a layer each.
        this.canvas.getContext('2d', { willReadFrequently: true }).putImageData(new ImageData(pixels, side), 0, 0);
        this.canvas.classList.add('drawn');
        this.shown = key;
      }
    } catch (error) {
      showProblem(error.message);
      if (this.wanted?.key === key) this.wanted = null;
    }
    this.requested = false;
    if (this.wanted && this.wanted.key !== this.shown) this.#request();
    else this.wanted = null;
  }
}

// Metadata as `facesmith sample` and the studio write them.
const python = (x) => (Number.isInteger(x) ? x.toFixed(1) : String(x));
function conditionEntries() {
  const requested = model.conditions.flatMap((name, i) => (state.condition[i] ? [`${JSON.stringify(name)}: ${state.condition[i] > 0 ? '1.0' : '0.0'}`] : []));
  return requested.length ? [['Condition', `{${requested.join(', ')}}`]] : [];
}
function entriesOf(entries) {
  return [...model.metadata.slice(0, -1), ...entries, ['Psi', python(state.psi)], ...conditionEntries(), model.metadata.at(-1)];
}
const entriesOfSum = (terms) => entriesOf([['Terms', sumText(terms)], ['Sum', 'rescaled to the norm of its terms']]);
function entriesOfFace(face) {
  const { terms } = readFace(face);
  if (isEdited(face)) return entriesOf([['Face', face]]);
  return terms ? entriesOfSum(terms) : entriesOf([['Seeds', `[${face}]`]]);
}

export async function saveFace(face) { await savePicture(pictureOfFace(face), entriesOfFace(face), fileName(labelOf(face), 'png')); }
export async function saveSum(terms) { await savePicture(pictureOfSum(terms), entriesOfSum(terms), fileName(sumText(terms), 'png')); }
async function savePicture(picture, entries, name) {
  const { png } = await requestPicture(picture, { live: true, extra: { entries, xmp: model.xmp } });
  save(new Blob([png], { type: 'image/png' }), name);
  showMessage(`${name} saved`);
}

// Commands that make the same pictures; null if there is none, because faces are named by their seeds there.
const quoted = (text) => (/^[\w.=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
function options() {
  const conditions = model.conditions.flatMap((name, i) => (state.condition[i] ? ['--condition', quoted(`${name}=${state.condition[i] > 0 ? 1 : 0}`)] : []));
  return [...(bundled ? [] : ['--model', 'model.safetensors']), ...(state.psi === 1 ? [] : ['--psi', String(state.psi)]), ...conditions];
}
const command = (...words) => ['facesmith', ...words].join(' ');
export function commandOfFace(face) {
  const { terms, edits } = readFace(face);
  if (terms) return isEdited(face) ? null : commandOfSum(terms);
  if (!isEdited(face)) return command('sample', '--seeds', face, ...options(), '--out', 'face.png');
  const each = Object.entries(edits).flatMap(([name, strength]) => ['--edit', quoted(`${name}=${strength}`)]);
  return command('edit', '--seeds', baseOf(face), ...each, '--steps', '1', ...options(), '--out', 'edited.png');
}
export function commandOfSum(terms) {
  if (!areSeeds(terms.map(({ face }) => face))) return null;
  const sign = (weight, i) => (weight < 0 ? `${i ? '' : ' '}- ` : i ? '+ ' : ''); // a minus at the start would begin an option
  const text = terms.map(({ face, weight }, i) => `${sign(weight, i)}${Math.abs(weight) === 1 ? '' : `${Math.abs(weight)}*`}${face}`).join(' ');
  return command('mix', quoted(text), ...options(), '--out', 'mix.png');
}
export function commandOfWalk(faces) {
  return !areSeeds(faces) ? null : command('walk', '--seeds', faces.join(','), ...options(), '--out', 'walk.mp4');
}
