// A short description of a face for people who can't see it. It comes from the attribute classifier of the server.

import { capitalized, h } from './dom.js';
import { requestJson } from './server.js';
import { apiUrl, faceQuery, studio } from './state.js';

const WAIT_MS = 400; // no request for each face that the focus or a slider passes

const announcement = h('p', { class: 'visually-hidden', 'aria-live': 'polite' });
document.body.append(announcement);

// Returns a function that calls `show` with the description of the newest face, or with '' if the model has none.
//   findFace(signal): the face as text, or a promise of it.
function describer() {
  let timer;
  let controller;
  return (findFace, show) => {
    clearTimeout(timer);
    controller?.abort();
    if (!studio.model?.can_describe) { show(''); return; }
    controller = new AbortController();
    const { signal } = controller;
    timer = setTimeout(async () => {
      try {
        const { text = '' } = await requestJson(apiUrl('describe.json', faceQuery(await findFace(signal))), { signal });
        if (!signal.aborted) show(text);
      } catch { /* a description is not worth a message */ }
    }, WAIT_MS);
  };
}

// Announces the description of a face on which the focus stays, or that the user taps.
const announce = describer();
export const describe = (face) => announce(() => face, (text) => { announcement.textContent = text; });

// Announces a face when the keyboard focus comes to its element. `face()` is its text, or null.
export function describeOnFocus(element, face) {
  element.addEventListener('focusin', () => { if (element.matches(':focus-visible') && face()) describe(face()); });
}

// A paragraph for the description of a face, and the function that fills it.
export function descriptionLine() {
  const element = h('p', { class: 'small soft description', role: 'status', hidden: !studio.model?.can_describe });
  const find = describer();
  return { element, draw: (findFace) => find(findFace, (text) => { element.textContent = capitalized(text); }) };
}
