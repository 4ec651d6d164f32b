// What the user has chosen. It is stored in the URL of the page and in this browser, never on the server.

const STORAGE_KEY = 'facesmith-studio';
const PARTS = ['faces', 'edit', 'mix', 'walk', 'me', 'watch', 'evaluation'];
const MAX_KEPT_LENGTH = 4000; // characters of kept faces in the URL; longer lists are stored in this browser only

export const state = {
  part: 'faces',
  models: [],
  model: null, // one of models
  psi: 1,
  tile: 104, // size of a face on the wall, in pixels
  first: 0, // first seed on the wall
  kept: [], // {face, label}
  editing: null, // the face in the Edit part, without edits
  edits: {}, // by face: name -> strength
  terms: [], // {face, label, weight}
  blend: false,
  stops: [], // {face, label}
  closed: true,
  seconds: 2,
};
const STORED = ['psi', 'tile', 'first', 'kept', 'editing', 'edits', 'terms', 'blend', 'stops', 'closed', 'seconds'];

const listeners = new Set();
export const onChange = (listener) => listeners.add(listener); // called with the names of what changed

export function change(values) {
  Object.assign(state, values);
  for (const listener of listeners) listener(Object.keys(values));
  storeSoon();
}

let storeTimer;
function storeSoon() {
  clearTimeout(storeTimer);
  storeTimer = setTimeout(() => {
    if (!state.model) return;
    const stored = { model: state.model.id, hash: state.model.hash };
    for (const name of STORED) stored[name] = state[name];
    try { localStorage.setItem(STORAGE_KEY, JSON.stringify(stored)); } catch { /* private windows store nothing */ }
    history.replaceState({ ours: true }, '', `#${state.part}?${urlQuery()}`);
  }, 150);
}

function urlQuery() {
  const pairs = [`psi=${state.psi}`, `first=${state.first}`];
  const kept = state.kept.map(({ face }) => face).join(',');
  if (kept && kept.length <= MAX_KEPT_LENGTH) pairs.push(`kept=${encodeURI(kept)}`);
  return pairs.join('&');
}

export function partOf(hash) {
  const part = hash.replace(/^#/, '').split('?')[0];
  return PARTS.includes(part) ? part : 'faces';
}

function readStored() {
  try { return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}') ?? {}; } catch { return {}; }
}
export const storedModel = () => readStored().model;

// Reads the URL first, then what this browser has stored. A latent belongs to one model, so another model drops it.
export function restore() {
  const stored = readStored();
  const query = new URLSearchParams(location.hash.split('?')[1] ?? '');
  const sameModel = stored.hash === state.model?.hash;
  const isUsable = ({ face }) => typeof face === 'string' && isFace(face) && (sameModel || !face.startsWith('w.'));
  const usable = (items) => (Array.isArray(items) ? items.filter(isUsable) : []);
  const restored = {
    part: partOf(location.hash),
    psi: within(query.get('psi') ?? stored.psi, 0, 1, 1),
    tile: within(stored.tile, 48, 224, 104),
    first: Math.floor(within(query.get('first') ?? stored.first, 0, Number.MAX_SAFE_INTEGER, 0)),
    kept: usable(stored.kept),
    edits: stored.edits && typeof stored.edits === 'object' ? stored.edits : {},
    editing: isUsable({ face: stored.editing }) ? stored.editing : null,
    terms: usable(stored.terms).filter(({ weight }) => Number.isFinite(weight)),
    stops: usable(stored.stops),
    blend: stored.blend === true,
    closed: stored.closed !== false,
    seconds: within(stored.seconds, 0.5, 5, 2),
  };
  const kept = query.get('kept');
  if (kept) {
    const labels = new Map(restored.kept.map(({ face, label }) => [face, label]));
    restored.kept = splitFaces(kept).filter(isFace).map((face) => ({ face, label: labels.get(face) ?? labelOf(face) }));
  }
  change(restored);
}

function within(text, low, high, otherwise) {
  const number = text === null || text === undefined || text === '' ? NaN : Number(text);
  return Number.isFinite(number) && number >= low && number <= high ? number : otherwise;
}

// Faces as text: 42, 42(smiling=1.5), w.LATENT(...)
const FACE = /^(\d{1,19}|w\.[\w.]+)(?:\(([^()=,]+=[+-]?[\d.]+(?:,[^()=,]+=[+-]?[\d.]+)*)\))?$/;
const isFace = (face) => FACE.test(face);
const splitFaces = (text) => text.split(/,(?![^()]*\))/).filter(Boolean);
export function parseFace(face) {
  const [, base, inBrackets = ''] = FACE.exec(face);
  const edits = {};
  for (const pair of inBrackets.split(',').filter(Boolean)) {
    const [name, strength] = pair.split('=');
    edits[name] = Number(strength);
  }
  return { base, edits };
}
export function faceText(base, edits) {
  const pairs = Object.entries(edits).filter(([, strength]) => strength).map(([name, strength]) => `${name}=${strength}`);
  return pairs.length ? `${base}(${pairs.join(',')})` : base;
}
export const isLatent = (face) => face.startsWith('w.');
export function labelOf(face) {
  const { base, edits } = parseFace(face);
  const name = isLatent(base) ? 'custom face' : `seed ${base}`;
  const changes = Object.entries(edits).map(([each, strength]) => `${readable(each)} ${strength > 0 ? '+' : '−'}${Math.abs(strength)}`);
  return changes.length ? `${name}, ${changes.join(', ')}` : name;
}
export const readable = (name) => name.replaceAll('_', ' ');

// URLs of the server. Live pictures are fast. Exact ones, for downloads, have the same pixels as on the command line.
export function faceUrl(face, { psi = state.psi, live = true, kind = 'png' } = {}) {
  const { base, edits } = parseFace(face);
  const query = new URLSearchParams({ model: state.model.id });
  query.set(isLatent(base) ? 'w' : 'seed', base);
  query.set('psi', psi);
  if (live) query.set('live', '1');
  for (const [name, strength] of Object.entries(edits)) query.set(name, strength);
  return `/api/face.${kind}?${query}`;
}
export const apiUrl = (path, query) => `/api/${path}?${new URLSearchParams({ model: state.model.id, ...query })}`;

export const isKept = (face) => state.kept.some((each) => each.face === face);
export function toggleKept(face, label = labelOf(face)) {
  change({ kept: isKept(face) ? state.kept.filter((each) => each.face !== face) : [...state.kept, { face, label }] });
  return isKept(face);
}
