// Starts the page: loads the list of models and opens a part.

import { h, requestJson } from './dom.js';
import { facesPart } from './faces.js';
import { change, partOf, restore, state, storedModel } from './state.js';
import { connectTray, startTray } from './tray.js';
import { notice } from './widgets.js';

// The parts other than the first are loaded when they are opened.
const LOADERS = {
  faces: async () => facesPart,
  edit: async () => (await import('./edit.js')).editPart,
  mix: async () => (await import('./mix.js')).mixPart,
  walk: async () => (await import('./walk.js')).walkPart,
  me: async () => (await import('./me.js')).myFacePart,
  watch: async () => (await import('./watch.js')).watchPart,
  evaluation: async () => (await import('./evaluation.js')).evaluationPart,
};
const main = document.getElementById('main');
const createdParts = {};
let currentPart = null;

// Shows a part. A kept face can be handed to it.
async function showPart(name, item) {
  const part = createdParts[name] ?? (createdParts[name] = (await LOADERS[name]())(openPart));
  currentPart?.leave?.();
  change({ part: name });
  currentPart = part;
  main.replaceChildren(part.element);
  for (const link of document.querySelectorAll('.parts a')) {
    if (link.hash === `#${name}`) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  document.title = `${document.querySelector(`.parts a[href="#${name}"]`).textContent} · Facesmith studio`;
  part.enter?.(item);
  connectTray(part.tray);
}

function openPart(name, item) {
  history.pushState({ ours: true }, '', `#${name}`);
  scrollTo(0, 0);
  return showPart(name, item);
}

function fillModelList(select) {
  select.replaceChildren(...state.models.map(({ id, name, seen }) => h('option', { value: id, selected: id === state.model.id }, seen ? `${name} · ${Math.round(seen / 1000)} kimg` : name)));
  select.disabled = state.models.length < 2;
  select.onchange = () => {
    location.hash = `#${state.part}`;
    change({ model: state.models.find(({ id }) => id === select.value) });
    setTimeout(() => location.reload(), 200); // after the choice is stored
  };
}

async function start() {
  document.querySelector('.parts').addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link) return;
    event.preventDefault();
    openPart(link.hash.slice(1)).then(() => main.focus({ preventScroll: true }));
  });
  document.querySelector('.logo').addEventListener('click', (event) => { event.preventDefault(); openPart('faces'); });
  addEventListener('popstate', (event) => {
    if (!event.state?.ours) restore(); // a URL that was typed or pasted, not a step back
    showPart(partOf(location.hash));
  });
  try {
    const { models } = await requestJson('/api/models');
    const stored = storedModel();
    state.models = models;
    state.model = models.find(({ id }) => id === stored) ?? models[0] ?? null;
  } catch (error) {
    main.replaceChildren(notice(error.message));
    return;
  }
  const select = document.getElementById('model');
  restore();
  if (state.model) fillModelList(select);
  else select.replaceChildren(h('option', {}, 'no model yet'));
  startTray();
  await showPart(state.model ? partOf(location.hash) : 'watch');
}

start();
