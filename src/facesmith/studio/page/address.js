// The address of the page holds the whole state, such as #edit?model=bc33a019&psi=0.8&face=7(smiling=1.5)&kept=3,5.
// Small changes replace the address. `navigate` adds a step to the browser's history, so Back returns from it.

import { faceText, isFace, MAX_SEED, parseFace, parseSum, splitFaces, sumText } from './face_text.js';
import { change, DEFAULTS, MAX_STOPS, onChange, PARTS, state, studio } from './state.js';

const MAX_WRITES = 8; // of the address, in a second; browsers limit them
const WRITE_MS = 200; // between further ones
const MAX_KEPT_LENGTH = 30_000; // characters of kept faces; longer lists don't fit into most messages
const MAX_TERMS = 8;

const number = (low, high) => (text) => (text !== '' && Number(text) >= low && Number(text) <= high ? Number(text) : undefined);
const choice = (...values) => (text) => (values.includes(text) ? text : undefined);
const SHEETS = /^[0-9a-f]{12}(-\d{1,12})?(,[0-9a-f]{12}(-\d{1,12})?)?$/; // id of a run, images shown
const sheet = (text) => { const [run, seen = 0] = text.split('-'); return { run, seen: Number(seen) }; };
const faces = (text) => splitFaces(text).filter(isFace).slice(0, MAX_STOPS);

// name in the address -> [write(state) -> text, read(text) -> values or undefined]
const simple = (name, read) => [({ [name]: value }) => String(value), (text) => { const value = read(text); return value === undefined ? undefined : { [name]: value }; }];
const FIELDS = {
  model: simple('model', (text) => (/^[0-9a-f]{8}$/.test(text) ? text : undefined)),
  psi: simple('psi', number(-2, 3)),
  first: simple('first', (text) => (/^\d+$/.test(text) ? number(0, MAX_SEED)(text) : undefined)),
  quality: [({ quality }) => (quality ? '1' : ''), (text) => ({ quality: text === '1' })],
  tile: simple('tile', number(48, 224)),
  face: [({ editing, edits }) => (editing ? faceText(editing, edits) : ''), (text) => {
    if (!isFace(text)) return undefined;
    const { base, edits } = parseFace(text);
    return { editing: base, edits };
  }],
  terms: [({ terms }) => sumText(terms), (text) => ({ terms: parseSum(text).slice(0, MAX_TERMS) })],
  mix: simple('mix', choice('sum', 'blend', 'layers')),
  layers: simple('layers', (text) => (/^\d{1,2}-\d{1,2}$/.test(text) ? text : undefined)),
  stops: [({ stops }) => stops.join(','), (text) => ({ stops: faces(text) })],
  closed: [({ closed }) => (closed ? '1' : '0'), (text) => ({ closed: text !== '0' })],
  seconds: simple('seconds', number(0.5, 5)),
  sheets: [({ sheets }) => sheets.map(({ run, seen }) => (seen ? `${run}-${seen}` : run)).join(','), (text) => (SHEETS.test(text) ? { sheets: text.split(',').map(sheet) } : undefined)],
  follow: [({ followed: { sheet: place, seed } }) => `${'AB'[place]}${seed}`, (text) => (/^[AB]\d{1,2}$/.test(text) && Number(text.slice(1)) < 64 ? { followed: { sheet: 'AB'.indexOf(text[0]), seed: Number(text.slice(1)) } } : undefined)],
};

// The address of a state. Values that are as at the start are left out.
export function addressOf(values = state, kept = keptText()) {
  const pairs = [];
  for (const [name, [write]] of Object.entries(FIELDS)) {
    const text = write(values);
    if (text && text !== write(DEFAULTS)) pairs.push(`${name}=${encoded(text)}`);
  }
  if (kept) pairs.push(`kept=${encoded(kept)}`);
  return `#${values.part}${pairs.length ? `?${pairs.join('&')}` : ''}`;
}

export function keptText() {
  const text = studio.kept.map(({ face }) => face).join(',');
  return text.length <= MAX_KEPT_LENGTH ? text : '';
}

// Returns {values, kept}: the state in an address, and the kept faces in it.
export function readAddress(hash) {
  const [part, query = ''] = hash.replace(/^#/, '').split(/\?(.*)/s);
  const values = { ...DEFAULTS, part: PARTS.includes(part) ? part : 'faces' };
  let kept = [];
  for (const pair of query.split('&')) {
    const [name, text = ''] = pair.split(/=(.*)/s);
    if (name === 'kept') kept = [...new Set(splitFaces(decoded(text)).filter(isFace))];
    else if (Object.hasOwn(FIELDS, name)) Object.assign(values, FIELDS[name][1](decoded(text)) ?? {});
  }
  return { values, kept };
}

const encoded = (text) => encodeURIComponent(text).replace(/%(?:2C|3D|2B)/g, decodeURIComponent);
function decoded(text) { try { return decodeURIComponent(text); } catch { return ''; } }

// What the browser stores with a step: whose it is, and the name of the model, whose hash changes during training.
export const historyState = (values = {}) => ({ ours: true, name: studio.model?.name, ...values });

// Shows another part, wall or face, as a new step in the browser's history.
export function navigate(values) {
  flush();
  history.replaceState(historyState({ scroll: scrollY }), ''); // for Back
  changing = true; // the changes belong to the next step
  change(values);
  changing = false;
  flush('pushState');
  if ('part' in values) scrollTo(0, 0);
}

let timer = null;
let changing = false;
let writes = []; // times of the latest ones
function flush(how = 'replaceState') {
  clearTimeout(timer);
  timer = null;
  if (location.hash === addressOf()) return;
  writes = [...writes, performance.now()].slice(-MAX_WRITES);
  history[how](historyState(), '', addressOf());
}
// Writes at once, so that an immediate step back loses nothing, except while a slider is dragged.
function flushSoon() {
  if (changing) return;
  if (writes.length < MAX_WRITES || performance.now() - writes[0] > 1000) flush();
  else timer ??= setTimeout(flush, WRITE_MS);
}

// Writes the address after each change. Calls `open` with the state of an address that is opened by Back, by Forward or by
// the user, with its scroll position, and whether it is a link, which may come from somebody else.
export function followAddress(open) {
  onChange(flushSoon);
  history.scrollRestoration = 'manual'; // a part may open after the browser has scrolled
  addEventListener('pagehide', () => flush());
  addEventListener('popstate', (event) => {
    clearTimeout(timer);
    timer = null;
    open({ ...readAddress(location.hash), scroll: event.state?.scroll ?? 0 }, !event.state?.ours);
  });
}
