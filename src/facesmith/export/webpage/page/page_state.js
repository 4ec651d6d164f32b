// What is on the screen. All of it is in the address, so a link shows the same to others.

import { faceText, MAX_SEED, splitFaces, sumText } from './face_text.js';
import { baseOf, describeFace, directionsOf, readFace, readSum } from './page_faces.js';

export const { model, card, bundled } = JSON.parse(document.getElementById('data').textContent);

export const PARTS = ['faces', 'edit', 'mix', 'walk', 'about'];
const MAX_KEPT = 200;
const MAX_ADDRESS = 50_000; // characters
const WRITE_MS = 300; // between writes of the address; browsers limit them

export const DEFAULTS = Object.freeze({
  part: 'faces',
  psi: 1,
  first: 0, // first seed on the wall, and of the walk
  tile: 104, // size of a face on the wall, in pixels
  face: '0', // in Edit
  terms: [], // of Mix: {face, weight}
  mix: 'sum', // or 'blend'
  speed: 1, // of the walk
  kept: [], // faces as text, see page_faces.js
  condition: Object.freeze(Array(model.label_dim).fill(0)), // each -1 (no), 1 (yes) or 0 (as often as in the data)
});
export const state = { ...DEFAULTS };

const listeners = new Set();
// Calls the listener with the names of what changed.
export const onChange = (listener) => listeners.add(listener);
export function change(values) {
  const names = Object.keys(values).filter((name) => JSON.stringify(values[name]) !== JSON.stringify(state[name]));
  if (!names.length) return;
  Object.assign(state, values);
  for (const listener of listeners) listener(names);
}

// A face of this model: one whose directions exist.
export const isOurs = (face) => readFace(face) !== null && directionsOf(face).every((name) => model.directions.includes(name));
export const labelOf = describeFace;

const number = (low, high, whole = false) => (text) => (text !== '' && Number(text) >= low && Number(text) <= high && (!whole || /^\d+$/.test(text)) ? Number(text) : undefined);
const faces = (text) => splitFaces(text).filter(isOurs).slice(0, MAX_KEPT);
const ourTerms = (text) => { const terms = readSum(text); return terms.every(({ face }) => isOurs(face)) ? terms : undefined; };
const conditionOf = (text) => (text.length === model.label_dim && /^[-+0]*$/.test(text) ? Array.from(text, (sign) => ({ '+': 1, '-': -1 })[sign] ?? 0) : undefined);

// name -> [text of a value, value of a text or undefined]
const FIELDS = {
  psi: [String, number(0, 1)],
  first: [String, number(0, MAX_SEED, true)],
  tile: [String, number(48, 224)],
  face: [String, (text) => (isOurs(text) ? text : undefined)],
  terms: [sumText, ourTerms],
  mix: [String, (text) => (['sum', 'blend'].includes(text) ? text : undefined)],
  speed: [String, number(0.1, 4)],
  kept: [(kept) => kept.join(','), faces],
  condition: [(condition) => condition.map((label) => (label > 0 ? '+' : label < 0 ? '-' : '0')).join(''), conditionOf],
};
const encoded = (text) => encodeURIComponent(text).replace(/%(?:2C|3D|2B)/g, decodeURIComponent);
function decoded(text) { try { return decodeURIComponent(text); } catch { return ''; } }

export function addressOf(values = state) {
  const pairs = [];
  for (const [name, [write]] of Object.entries(FIELDS)) if (write(values[name]) !== write(DEFAULTS[name])) pairs.push(`${name}=${encoded(write(values[name]))}`);
  return `#${values.part}${pairs.length ? `?${pairs.join('&')}` : ''}`;
}

export function readAddress(hash) {
  const [part, query = ''] = hash.slice(0, MAX_ADDRESS).replace(/^#/, '').split(/\?(.*)/s);
  const values = { ...DEFAULTS, part: PARTS.includes(part) ? part : 'faces' };
  for (const pair of query.split('&')) {
    const [name, text = ''] = pair.split(/=(.*)/s);
    const value = Object.hasOwn(FIELDS, name) ? FIELDS[name][1](decoded(text)) : undefined;
    if (value !== undefined) values[name] = value;
  }
  return values;
}

// Writes the address after each change. `navigate` adds a step to the browser's history, so Back returns from it.
let timer = null;
function write(how = 'replaceState') {
  clearTimeout(timer);
  timer = null;
  if (location.hash !== addressOf()) history[how](null, '', addressOf());
}
export function followAddress() {
  Object.assign(state, readAddress(location.hash));
  onChange(() => { timer ??= setTimeout(write, WRITE_MS); });
  addEventListener('popstate', () => {
    clearTimeout(timer);
    timer = null;
    change(readAddress(location.hash));
  });
}
export function navigate(values) {
  write();
  change(values);
  write('pushState');
  if ('part' in values) scrollTo(0, 0);
}

// Kept faces.
export const isKept = (face) => state.kept.includes(face);
export const keep = (face) => { if (!isKept(face)) change({ kept: [...state.kept, face].slice(-MAX_KEPT) }); };
export const withEdit = (face, name, strength) => faceText(baseOf(face), { ...readFace(face).edits, [name]: strength });
