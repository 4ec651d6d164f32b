// Opens the page: what is there to show, and which part of it.

import { askJson, h } from './dom.js';
import { faces } from './faces.js';
import { notice } from './parts.js';
import { change, onChange, partOf, recall, state } from './state.js';
import { setUse, startTray } from './tray.js';

const MAKERS = {
  faces: async () => faces,
  edit: async () => (await import('./edit.js')).edit,
  mix: async () => (await import('./mix.js')).mix,
  walk: async () => (await import('./walk.js')).walk,
  me: async () => (await import('./me.js')).me,
  watch: async () => (await import('./watch.js')).watch,
  judge: async () => (await import('./judge.js')).judge,
};
const main = document.getElementById('main');
const made = {};
let present = null;

async function open(part, item) {
  const make = made[part] ?? (made[part] = (await MAKERS[part]())(go));
  present?.leave?.();
  change({ part });
  present = make;
  main.replaceChildren(make.element);
  for (const link of document.querySelectorAll('.parts a')) {
    if (link.hash === `#${part}`) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  document.title = `${document.querySelector(`.parts a[href="#${part}"]`).textContent} · Facesmith studio`;
  make.enter?.(item);
  setUse(make.use ?? { hint: 'Kept faces stay here.', click: () => {} });
}

function go(part, item) {
  history.pushState({ ours: true }, '', `#${part}`);
  scrollTo(0, 0);
  return open(part, item);
}

function chooseModel(select) {
  select.replaceChildren(...state.models.map(({ id, name, seen }) => h('option', { value: id, selected: id === state.model.id }, seen ? `${name} · ${Math.round(seen / 1000)} kimg` : name)));
  select.disabled = state.models.length < 2;
  select.onchange = () => {
    location.hash = `#${state.part}`;
    change({ model: state.models.find(({ id }) => id === select.value) });
    setTimeout(() => location.reload(), 200); // when it is kept
  };
}

async function start() {
  document.querySelector('.parts').addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link) return;
    event.preventDefault();
    go(link.hash.slice(1)).then(() => main.focus({ preventScroll: true }));
  });
  document.querySelector('.mark').addEventListener('click', (event) => { event.preventDefault(); go('faces'); });
  addEventListener('popstate', (event) => {
    if (!event.state?.ours) recall(); // an address that was typed or pasted, not one of our steps back
    open(partOf(location.hash));
  });
  try {
    const { models } = await askJson('/api/models');
    let wanted = null;
    try { wanted = JSON.parse(localStorage.getItem('facesmith-studio') ?? '{}').model; } catch { /* anew */ }
    state.models = models;
    state.model = models.find(({ id }) => id === wanted) ?? models[0] ?? null;
  } catch (error) {
    main.replaceChildren(notice(error.message));
    return;
  }
  const select = document.getElementById('model');
  recall();
  if (state.model) chooseModel(select);
  else select.replaceChildren(h('option', {}, 'none yet'));
  startTray();
  await open(state.model ? partOf(location.hash) : 'watch');
}

start();
