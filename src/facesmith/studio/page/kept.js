// The kept faces. This browser stores them, for all tabs. An address can add faces, but never removes any.

import { descriptionOf, isFace, modelOfFace } from './face_text.js';
import { labelOf, notify, shortHash, studio } from './state.js';
import { showMessage, showProblem, showRemoval } from './messages.js';

const STORAGE_KEY = 'facesmith-studio';
const NOT_STORED = 'This browser has no room to store the kept faces. Further changes are lost when you close or reload the page.';
let all = []; // {face, label}, those of other models too
let inMemoryOnly = false; // the browser could not store the latest change

function read() {
  if (inMemoryOnly) return all;
  try {
    const { kept = [] } = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}');
    return kept.filter((item) => isFace(item?.face)).map(({ face, label }) => ({ face, label: typeof label === 'string' ? label : descriptionOf(face) }));
  } catch { return all; } // private windows store nothing
}

function write(kept) {
  all = kept;
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify({ kept }));
    inMemoryOnly = false;
  } catch {
    if (!inMemoryOnly) setTimeout(() => showProblem(NOT_STORED), 0); // after the message of the change itself
    inMemoryOnly = true;
  }
  show();
}

// Latents of other models stay stored, but are not shown.
function show() {
  studio.kept = all.filter(({ face }) => (studio.model ? [null, shortHash(studio.model)].includes(modelOfFace(face)) : false));
  notify(['kept']);
}

export function openKept() {
  all = read();
  show();
}
addEventListener('storage', ({ key }) => { if (key === STORAGE_KEY || key === null) { all = localStorage.getItem(STORAGE_KEY) ? read() : []; show(); } });

export const hiddenCount = () => all.length - studio.kept.length;
export const isKept = (face) => studio.kept.some((each) => each.face === face);
const without = (kept, faces) => kept.filter(({ face }) => !faces.includes(face));

export function keep(face, label = labelOf(face)) {
  if (isKept(face)) return;
  write([...without(read(), [face]), { face, label }]);
}

// Keeps a face, or removes it if it is kept. Says which.
export function toggleKept(face, label = labelOf(face)) {
  if (isKept(face)) return removeKept(face);
  keep(face, label);
  return showMessage(`Kept: ${label}`);
}

export function removeKept(face) {
  const label = labelOf(face);
  const before = read();
  write(without(before, [face]));
  showRemoval(`Removed ${label}`, () => restoreKept(before, [face]));
}

export function clearKept() {
  const faces = studio.kept.map(({ face }) => face);
  const before = read();
  write(without(before, faces));
  showRemoval(faces.length === 1 ? '1 face removed' : `${faces.length} faces removed`, () => restoreKept(before, faces));
}

// Puts removed faces back to their places. Faces that were kept since then stay.
function restoreKept(before, faces) {
  const now = read();
  const kept = [...now];
  before.forEach((item, place) => {
    if (faces.includes(item.face) && !now.some(({ face }) => face === item.face)) kept.splice(Math.min(place, kept.length), 0, item);
  });
  write(kept);
}

export function moveKept(face, toPlaceOf) {
  const kept = read();
  const from = kept.findIndex((each) => each.face === face);
  const to = kept.findIndex((each) => each.face === toPlaceOf);
  if (from < 0 || to < 0 || from === to) return;
  kept.splice(to, 0, ...kept.splice(from, 1));
  write(kept);
}

// Adds faces, such as those of a link. `source` is for the message: "this link".
export function mergeKept(items, source) {
  const before = read();
  const added = items.filter(({ face }) => !before.some((each) => each.face === face)).map(({ face, label }) => ({ face, label: label ?? labelOf(face) }));
  if (!added.length) return;
  write([...before, ...added]);
  const count = added.length === 1 ? '1 face' : `${added.length} faces`;
  if (before.length) showRemoval(`${count} of ${source} added to yours`, () => write(without(read(), added.map(({ face }) => face))));
}

export const hasStored = () => read().length > 0;
export function forgetKept() {
  all = [];
  inMemoryOnly = false;
  try { localStorage.removeItem(STORAGE_KEY); } catch { /* nothing is stored */ }
  show();
}
