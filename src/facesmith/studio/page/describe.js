// A short description of a face for people who can't see it. It comes from the attribute classifier of the server.

import { h } from './dom.js';
import { requestJson } from './server.js';
import { apiUrl, faceQuery, studio } from './state.js';

const WAIT_MS = 400; // no request for each face that the focus or a slider passes

const announcement = h('p', { class: 'visually-hidden', 'aria-live': 'polite' });
document.body.append(announcement);
let timer;
let controller;

// Returns the description of a face, or '' if the model has none.
export async function descriptionFor(face, signal) {
  if (!studio.model?.can_describe) return '';
  const { text = '' } = await requestJson(apiUrl('describe.json', faceQuery(face)), { signal });
  return text;
}

// Announces the description of a face when the focus stays on its element. It also becomes the element's tooltip.
export function describe(face, element) {
  soon(face, (text) => {
    element.title = text;
    announcement.textContent = text;
  });
}

// Calls `show` with the description of the newest face.
export function soon(face, show) {
  clearTimeout(timer);
  controller?.abort();
  controller = new AbortController();
  const { signal } = controller;
  timer = setTimeout(async () => {
    try {
      const text = await descriptionFor(face, signal);
      if (!signal.aborted) show(text);
    } catch { /* a description is not worth a message */ }
  }, WAIT_MS);
}
