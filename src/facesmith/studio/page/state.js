// What the person has chosen. It lives in the address and in this browser, never on the server.

const KEY = 'facesmith-studio';
const PARTS = ['faces', 'edit', 'mix', 'walk', 'me', 'watch', 'judge'];
const IN_ADDRESS = 4000; // letters of kept faces; more stay in this browser alone

export const state = {
  part: 'faces',
  models: [],
  model: null, // of models
  runs: [],
  psi: 1,
  tile: 104,
  first: 0,
  kept: [], // {face, label}
  editing: null, // a face without edits
  edits: {}, // by that face: name -> strength
  terms: [], // {face, label, weight}
  blend: false,
  stops: [], // {face, label}
  closed: true,
  seconds: 2,
};

const listeners = new Set();
export const onChange = (listener) => listeners.add(listener);

export function change(what) {
  Object.assign(state, what);
  for (const listener of listeners) listener(Object.keys(what));
  keep();
}

let keeping;
function keep() {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const { psi, tile, first, kept, editing, edits, terms, blend, stops, closed, seconds, model } = state;
    if (!model) return;
    const held = { model: model.id, hash: model.hash, psi, tile, first, kept, editing, edits, terms, blend, stops, closed, seconds };
    try { localStorage.setItem(KEY, JSON.stringify(held)); } catch { /* private windows keep nothing */ }
    history.replaceState({ ours: true }, '', `#${state.part}?${query()}`);
  }, 150);
}

function query() {
  const words = [`psi=${state.psi}`, `first=${state.first}`];
  const kept = state.kept.map(({ face }) => face).join(',');
  if (kept && kept.length <= IN_ADDRESS) words.push(`kept=${encodeURI(kept)}`);
  return words.join('&');
}

export function partOf(hash) {
  const part = hash.replace(/^#/, '').split('?')[0];
  return PARTS.includes(part) ? part : 'faces';
}

// From the address first, then from this browser; a latent belongs to one model and is dropped with another.
export function recall() {
  let held = {};
  try { held = JSON.parse(localStorage.getItem(KEY) ?? '{}') ?? {}; } catch { /* damaged: begin anew */ }
  const words = new URLSearchParams(location.hash.split('?')[1] ?? '');
  const same = held.hash === state.model?.hash;
  const fits = ({ face }) => typeof face === 'string' && isFace(face) && (same || !face.startsWith('w.'));
  const list = (items) => (Array.isArray(items) ? items.filter(fits) : []);
  const found = {
    part: partOf(location.hash),
    psi: within(words.get('psi') ?? held.psi, 0, 1, 1),
    tile: within(held.tile, 48, 224, 104),
    first: Math.floor(within(words.get('first') ?? held.first, 0, Number.MAX_SAFE_INTEGER, 0)),
    kept: list(held.kept),
    edits: held.edits && typeof held.edits === 'object' ? held.edits : {},
    editing: fits({ face: held.editing }) ? held.editing : null,
    terms: list(held.terms).filter(({ weight }) => Number.isFinite(weight)),
    stops: list(held.stops),
    blend: held.blend === true,
    closed: held.closed !== false,
    seconds: within(held.seconds, 0.5, 5, 2),
  };
  const told = words.get('kept');
  if (told) {
    const labels = new Map(found.kept.map(({ face, label }) => [face, label]));
    found.kept = split(told).filter(isFace).map((face) => ({ face, label: labels.get(face) ?? labelOf(face) }));
  }
  change(found);
}

export const within = (text, low, high, otherwise) => {
  const number = text === null || text === undefined || text === '' ? NaN : Number(text);
  return Number.isFinite(number) && number >= low && number <= high ? number : otherwise;
};

// Faces as text: 42, 42(smiling=1.5), w.LATENT(...)
const FACE = /^(\d{1,19}|w\.[\w.]+)(?:\(([^()=,]+=[+-]?[\d.]+(?:,[^()=,]+=[+-]?[\d.]+)*)\))?$/;
export const isFace = (face) => FACE.test(face);
export const split = (text) => text.split(/,(?![^()]*\))/).filter(Boolean);
export function parts(face) {
  const [, base, inside = ''] = FACE.exec(face);
  const edits = {};
  for (const pair of inside.split(',').filter(Boolean)) {
    const [name, strength] = pair.split('=');
    edits[name] = Number(strength);
  }
  return { base, edits };
}
export function join(base, edits) {
  const inside = Object.entries(edits).filter(([, strength]) => strength).map(([name, strength]) => `${name}=${strength}`);
  return inside.length ? `${base}(${inside.join(',')})` : base;
}
export function labelOf(face) {
  const { base, edits } = parts(face);
  const name = base.startsWith('w.') ? 'a found face' : `seed ${base}`;
  const changed = Object.entries(edits).map(([each, strength]) => `${plain(each)} ${strength > 0 ? '+' : '−'}${Math.abs(strength)}`);
  return changed.length ? `${name}, ${changed.join(', ')}` : name;
}
export const plain = (name) => name.replaceAll('_', ' ');

// Addresses. What is on the page is drawn alone and at once; what is taken away is drawn exactly as the command does.
export function faceUrl(face, { psi = state.psi, live = true, kind = 'png' } = {}) {
  const { base, edits } = parts(face);
  const words = new URLSearchParams({ model: state.model.id });
  words.set(base.startsWith('w.') ? 'w' : 'seed', base);
  words.set('psi', psi);
  if (live) words.set('live', '1');
  for (const [name, strength] of Object.entries(edits)) words.set(name, strength);
  return `/api/face.${kind}?${words}`;
}
export const apiUrl = (path, words) => `/api/${path}?${new URLSearchParams({ model: state.model.id, ...words })}`;

export const isKept = (face) => state.kept.some((each) => each.face === face);
export function toggle(face, label = labelOf(face)) {
  change({ kept: isKept(face) ? state.kept.filter((each) => each.face !== face) : [...state.kept, { face, label }] });
  return isKept(face);
}
