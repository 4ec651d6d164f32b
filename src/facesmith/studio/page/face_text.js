// Faces as text: 42, 42(smiling=1.5), w.LATENT(smiling=1.5). Sums of faces: 3-5+0.5*9.

const FACE = /^(\d{1,10}|w\.[\w.]+)(?:\(([^()=,]+=[+-]?[\d.]+(?:,[^()=,]+=[+-]?[\d.]+)*)\))?$/;
const TERM = /([+-]?)(?:(\d+(?:\.\d+)?)\*)?((?:\d{1,10}|w\.[\w.]+)(?:\([^()]*\))?)/y;
export const MAX_SEED = 2 ** 32 - 1;

export const isFace = (text) => typeof text === 'string' && FACE.test(text) && !(Number(parseFace(text).base) > MAX_SEED);
export const isLatent = (face) => face.startsWith('w.');
export const splitFaces = (text) => text.split(/,(?![^()]*\))/).filter(Boolean);

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

// A sum as text. Each term is {face, weight}.
export function sumText(terms) {
  return terms.map(({ face, weight }, place) => {
    const size = Number(Math.abs(weight).toFixed(3));
    return `${weight < 0 ? '-' : place ? '+' : ''}${size === 1 ? '' : `${size}*`}${face}`;
  }).join('');
}

// The terms of a sum, or an empty list if the text is not one.
export function parseSum(text) {
  const terms = [];
  TERM.lastIndex = 0;
  while (TERM.lastIndex < text.length) {
    const match = TERM.exec(text);
    if (!match || !isFace(match[3])) return [];
    terms.push({ face: match[3], weight: (match[1] === '-' ? -1 : 1) * Number(match[2] ?? 1) });
  }
  return terms;
}

// The start of the hash of the model that a latent belongs to, or null for a seed. It is in bytes 1 to 4.
export function modelOfFace(face) {
  if (!isLatent(face)) return null;
  try {
    const start = atob(parseFace(face).base.slice(2, 10).replaceAll('.', '+').replaceAll('_', '/'));
    return [...start.slice(1, 5)].map((letter) => letter.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  } catch { return null; }
}

export const readable = (name) => name.replaceAll('_', ' ');
const signed = (strength) => `${strength > 0 ? '+' : strength < 0 ? '−' : ''}${Math.abs(strength)}`;
export const shortenLatents = (text) => text.replace(/w\.[\w.]+/g, 'custom');
export function descriptionOf(face) {
  const { base, edits } = parseFace(face);
  const changes = Object.entries(edits).map(([name, strength]) => `${readable(name)} ${signed(strength)}`);
  return [isLatent(base) ? 'custom face' : `seed ${base}`, ...changes].join(', ');
}

export const fileName = (label, ending) => `${shortenLatents(label).replace(/[^\w.-]+/g, '-').replace(/^-|-$/g, '').slice(0, 80) || 'face'}.${ending}`;
