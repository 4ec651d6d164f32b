// What is on the screen. All of `state` is in the address of the page (address.js), so a link shows the same to others.
// `studio` is what the server offers and what this browser has stored (kept.js). It is not part of the address.

import { descriptionOf, isLatent, parseFace } from './face_text.js';
import { requestJson } from './server.js';

export const MAX_STOPS = 24; // of a walk
export const PARTS = ['faces', 'edit', 'mix', 'walk', 'me', 'watch', 'evaluation'];

export const DEFAULTS = Object.freeze({
  part: 'faces',
  model: '', // start of the model's hash
  psi: 1,
  first: 0, // first seed on the wall
  quality: false, // leave out the seeds whose faces look most distorted
  tile: 104, // size of a face on the wall, in pixels
  editing: '', // the face in Edit without its edits: a seed or a latent
  edits: {}, // of this face: direction -> strength
  terms: [], // of Mix: {face, weight}
  mix: 'sum', // or 'blend', 'layers'
  layers: '', // of Mix: 0-1
  stops: [], // of Walk: faces
  closed: true,
  seconds: 2,
  sheets: [], // of Watch: one or two of {run, seen}; seen is 0 for the newest checkpoint
  followed: { sheet: 0, seed: 0 }, // the face over time: a seed on the first (0) or second (1) sheet
});
export const state = { ...DEFAULTS };

export const studio = {
  models: [],
  model: null, // one of models
  photos: true,
  osc: false,
  kept: [], // {face, label}, those that belong to this model
};

const listeners = new Set();

// Calls the listener with the names of what changed, until the signal stops it.
export function onChange(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener('abort', () => listeners.delete(listener), { once: true });
}

export function change(values) {
  const names = Object.keys(values).filter((name) => JSON.stringify(values[name]) !== JSON.stringify(state[name]));
  if (!names.length) return;
  Object.assign(state, values);
  notify(names);
}
export function notify(names) { for (const listener of [...listeners]) listener(names); }

// Asks the server for its models. The listener for 'models' chooses one of them.
export async function loadModels() {
  const { models, photos, osc } = await requestJson('api/models');
  Object.assign(studio, { models, photos, osc: osc ?? false });
  notify(['models']);
}

const MODEL_DIGITS = 8;
export const shortHash = (model) => model.hash.slice(0, MODEL_DIGITS);
export const labelOf = (face) => studio.kept.find((each) => each.face === face)?.label ?? descriptionOf(face);

// The state that shows a face in Edit.
export function inEdit(face) {
  const { base, edits } = parseFace(face);
  return { part: 'edit', editing: base, edits };
}

// The psi of the page, within the range of this model: a link may have any.
export function currentPsi() {
  const { psi_min: low, psi_max: high } = studio.model;
  return Math.max(low, Math.min(high, state.psi));
}
// Truncation would change a face that was found in a photo, so psi applies to seeds only.
const psiOf = (face) => (isLatent(face) ? 1 : currentPsi());

// URLs of pictures. Live ones are drawn before all others, for sliders.
export const apiUrl = (path, query) => `api/${path}?${new URLSearchParams({ model: studio.model.id, ...query })}`;
export function faceQuery(face, query = {}) {
  const { base, edits } = parseFace(face);
  return { [isLatent(base) ? 'w' : 'seed']: base, psi: psiOf(face), ...query, ...edits };
}
export const faceUrl = (face, query) => apiUrl('face.png', faceQuery(face, query));
