// The faces of the page as text: a seed or a sum in brackets, and edits in brackets after it.
//
// Examples: 42, 42(smiling=1.5), (3-5+0.5*9), (3-5(smiling=1))(young=-1). The terms of a sum are faces, so sums may
// contain sums.

import { MAX_SEED, readable } from './face_text.js';

export const MAX_TERMS = 8;
const MAX_DEPTH = 3; // of sums in sums
const MAX_LENGTH = 1000; // of a face
const MAX_WEIGHT = 100;
const MAX_STRENGTH = 10;
const [SEED, OPEN, CLOSE, EDITS, WEIGHT, SIGN] = [/\d{1,10}/y, /\(/y, /\)/y, /\([^()=,]+=[-+]?\d+(?:\.\d+)?(?:,[^()=,]+=[-+]?\d+(?:\.\d+)?)*\)/y, /(\d+(?:\.\d+)?)\*/y, /[-+]/y];

// Returns {seed, edits} or {terms, edits}; null if the text is not a face. Each term is {face, weight}.
export function readFace(text) {
  const reader = readerOf(text);
  const face = reader && faceAt(reader, 0);
  return face && reader.place === text.length ? face : null;
}
// Returns the terms of a sum without brackets; an empty list if the text is not one.
export function readSum(text) {
  const reader = readerOf(text);
  const terms = reader && termsAt(reader, 0);
  return terms && reader.place === text.length ? terms : [];
}

const readerOf = (text) => (typeof text === 'string' && text.length <= MAX_LENGTH ? { text, place: 0 } : null);
function take(reader, pattern) {
  pattern.lastIndex = reader.place;
  const match = pattern.exec(reader.text);
  if (match) reader.place += match[0].length;
  return match;
}
function faceAt(reader, depth) {
  const face = { edits: Object.create(null) }; // a direction may have any name
  const seed = take(reader, SEED);
  if (seed) face.seed = Number(seed[0]);
  else {
    if (depth === MAX_DEPTH || !take(reader, OPEN)) return null;
    face.terms = termsAt(reader, depth + 1);
    if (!face.terms || !take(reader, CLOSE)) return null;
  }
  for (const pair of take(reader, EDITS)?.[0].slice(1, -1).split(',') ?? []) {
    const [name, strength] = pair.split('=');
    face.edits[name] = Number(strength);
  }
  const isPossible = !(face.seed > MAX_SEED) && Object.values(face.edits).every((strength) => Math.abs(strength) <= MAX_STRENGTH);
  return isPossible ? face : null;
}
function termsAt(reader, depth) {
  const terms = [];
  for (let sign = take(reader, SIGN); sign || !terms.length; sign = take(reader, SIGN)) {
    const weight = Number(Number(take(reader, WEIGHT)?.[1] ?? 1).toFixed(3));
    const start = reader.place;
    if (!(weight > 0 && weight <= MAX_WEIGHT) || !faceAt(reader, depth)) return null;
    terms.push({ face: reader.text.slice(start, reader.place), weight: sign?.[0] === '-' ? -weight : weight });
  }
  return terms.length <= MAX_TERMS ? terms : null;
}

export const isEdited = (face) => Object.keys(readFace(face).edits).length > 0;
const isSeed = (face) => /^\d+$/.test(face);
export const areSeeds = (faces) => faces.every(isSeed);

// The face without its edits, as text.
export const baseOf = (face) => (isEdited(face) ? face.slice(0, face.lastIndexOf('(')) : face);
// All names of directions in a face, those of its terms included.
export function directionsOf(face) {
  const { edits, terms = [] } = readFace(face);
  return [...Object.keys(edits), ...terms.flatMap((term) => directionsOf(term.face))];
}

// For people: seed 42, smiling +1.5
export function describeFace(face) {
  const { edits, terms } = readFace(face);
  return [terms ? describeSum(terms) : `seed ${baseOf(face)}`, ...describeEdits(edits)].join(', ');
}
export function describeSum(terms) {
  return terms.map(({ face, weight }, place) => {
    const sign = weight < 0 ? (place ? ' − ' : '−') : place ? ' + ' : '';
    return `${sign}${Math.abs(weight) === 1 ? '' : `${Number(Math.abs(weight).toFixed(3))} × `}${describeTerm(face)}`;
  }).join('');
}
function describeTerm(face) {
  const { edits, terms } = readFace(face);
  const base = terms ? `(${describeSum(terms)})` : baseOf(face);
  const changes = describeEdits(edits);
  return changes.length ? `${base} (${changes.join(', ')})` : base;
}
const describeEdits = (edits) => Object.entries(edits).map(([name, strength]) => `${readable(name)} ${strength < 0 ? '−' : '+'}${Math.abs(strength)}`);
