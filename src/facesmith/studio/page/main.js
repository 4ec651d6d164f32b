// Starts the page: the list of models, the address, and the parts.

import { addressOf, followAddress, historyState, navigate, readAddress } from './address.js';
import { button, h } from './dom.js';
import { facesPart } from './faces.js';
import { hasStored, mergeKept, openKept } from './kept.js';
import { showMessage, undoRemoval } from './messages.js';
import { importModule, onConnection } from './server.js';
import { change, loadModels, onChange, PARTS, shortHash, state, studio } from './state.js';
import { connectTray, startTray } from './tray.js';
import { notice } from './widgets.js';

// The parts other than the first are loaded when they are opened, or when the browser has time.
const CREATORS = {
  faces: async () => facesPart,
  edit: async () => (await importModule('./edit.js')).editPart,
  mix: async () => (await importModule('./mix.js')).mixPart,
  walk: async () => (await importModule('./walk.js')).walkPart,
  me: async () => (await importModule('./me.js')).myFacePart,
  watch: async () => (await importModule('./watch.js')).watchPart,
  evaluation: async () => (await importModule('./evaluation.js')).evaluationPart,
};
const main = document.getElementById('main');
const modelChoice = document.getElementById('model');
let parts = {}; // name -> promise of a part, of the current model
let partsController = new AbortController(); // stops the listeners of these parts
let currentPart = null;
let scrollOfPart; // where Back returns to

async function showPart(name) {
  markLink(name);
  if (!studio.model && name !== 'watch') { showNoModel(); return; }
  const controller = partsController;
  parts[name] ??= CREATORS[name]().then((create) => create(controller.signal));
  const opening = setTimeout(() => { if (state.part === name) main.replaceChildren(notice('This part opens in a moment.')); }, 300);
  let part;
  try {
    part = await parts[name];
  } catch (error) {
    delete parts[name];
    if (state.part === name) main.replaceChildren(notice(`This part could not be opened: ${error.message}`));
    return;
  } finally { clearTimeout(opening); }
  if (state.part !== name || controller.signal.aborted) return; // the user has gone on
  currentPart?.leave?.();
  currentPart = part;
  main.replaceChildren(part.element);
  part.enter?.();
  connectTray(part.tray);
}

// A run writes its model at its first checkpoint. As soon as there is one, the part is shown.
function showNoModel() {
  currentPart?.leave?.();
  currentPart = null;
  main.replaceChildren(notice('No model yet: the run writes one at its first checkpoint.'));
  loadModels().catch(() => {});
}

function markLink(name) {
  for (const link of document.querySelectorAll('.parts a')) {
    if (link.hash === `#${name}`) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'center' });
      document.title = `${link.textContent} · Facesmith studio`;
    } else link.removeAttribute('aria-current');
  }
}

// Makes all parts again, for another model.
function renewParts() {
  currentPart?.leave?.();
  currentPart = null;
  partsController.abort();
  partsController = new AbortController();
  parts = {};
}

// Chooses the model of the address, and says so if it is not open here. Returns whether the parts must be shown again.
function chooseModel() {
  const wanted = studio.models.find((model) => shortHash(model) === state.model);
  const missing = state.model && !wanted ? state.model : null;
  const previous = studio.model;
  // A run that saves replaces its model by one of the same name. That is no other model.
  const isOwn = previous ? state.model === shortHash(previous) : Boolean(history.state?.ours);
  const newer = studio.models.find(({ name }) => name === (previous?.name ?? history.state?.name));
  studio.model = wanted ?? studio.models.find(({ id }) => id === previous?.id) ?? newer ?? studio.models[0] ?? null;
  if (missing && studio.model && !(isOwn && newer)) sayOtherModel(missing);
  fillModelList();
  const isNew = studio.model?.id !== previous?.id;
  if (isNew) {
    renewParts();
    openKept();
  }
  if (studio.model && state.model !== shortHash(studio.model)) change({ model: shortHash(studio.model) }); // shows the part
  return isNew;
}

function sayOtherModel(digits) {
  const warning = notice(`This link was made with another model (${digits}…), which is not open here. The same seeds show other faces with this one: ${nameOf(studio.model)}.`);
  warning.append(button('Close', () => warning.remove()));
  warning.id = 'other-model';
  warning.setAttribute('role', 'alert');
  document.getElementById('other-model')?.remove();
  main.before(warning);
}

function fillModelList() {
  modelChoice.replaceChildren(...studio.models.map((model) => h('option', { value: shortHash(model), selected: model === studio.model }, nameOf(model))));
  if (!studio.models.length) modelChoice.append(h('option', {}, 'no model yet'));
  modelChoice.disabled = studio.models.length < 2;
}
const nameOf = ({ name, seen }) => {
  if (name === 'bundled') return 'Bundled generator';
  return seen ? `${name} · ${Math.round(seen / 1000)} kimg` : name;
};

// Opens an address. A link adds its kept faces to those of this browser; a step back does not.
function openAddress({ values, kept, scroll }, isLink) {
  if (!values.model && studio.model) values.model = shortHash(studio.model);
  if (!studio.model) values.part = 'watch';
  scrollOfPart = scroll;
  change(values);
  scrollOfPart = undefined;
  if (isLink && kept.length) mergeKept(kept.map((face) => ({ face })), 'this link');
}

function showConnection(connected) {
  document.getElementById('disconnected').hidden = connected;
  if (!connected) return;
  showMessage('Connected again');
  loadModels().then(() => showPart(state.part)).catch((error) => showMessage(error.message));
}

// A file that is dropped anywhere must not replace the page.
function guardDrops() {
  for (const name of ['dragover', 'drop']) addEventListener(name, (event) => {
    if (event.defaultPrevented || ![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (name === 'drop' && file) importModule('./open_file.js').then(({ openFile }) => openFile(file));
  });
}

function connectHeader() {
  document.querySelector('.top').addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    navigate({ part: link.hash.slice(1) });
  });
  document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
  modelChoice.addEventListener('change', () => { navigate({ model: modelChoice.value }); });
  document.getElementById('menu').addEventListener('beforetoggle', ({ newState }) => newState === 'open' && importModule('./menu.js').then(({ fillMenu }) => fillMenu()));
  addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.key.toLowerCase() !== 'z' || event.target.matches('input:not([type=range])')) return;
    if (undoRemoval()) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, { capture: true });
  const nav = document.querySelector('.parts');
  const markHidden = () => {
    nav.classList.toggle('more-left', nav.scrollLeft > 4);
    nav.classList.toggle('more-right', nav.scrollLeft + nav.clientWidth < nav.scrollWidth - 4);
  };
  nav.addEventListener('scroll', markHidden, { passive: true });
  new ResizeObserver(markHidden).observe(nav);
}

async function start() {
  connectHeader();
  guardDrops();
  onConnection(showConnection);
  let started = false;
  onChange((names) => names.includes('models') && chooseModel() && started && showPart(state.part));
  const { values, kept } = readAddress(location.hash);
  Object.assign(state, values);
  try {
    await loadModels();
  } catch (error) {
    main.replaceChildren(notice(error.message));
    return;
  }
  if (!studio.model) change({ part: 'watch' });
  // A reload keeps the faces of this browser as they are; a link adds its own.
  if (kept.length && (!history.state?.ours || !hasStored())) mergeKept(kept.map((face) => ({ face })), 'this link');
  startTray();
  onChange((names) => {
    if (names.includes('model')) chooseModel();
    const scroll = scrollOfPart;
    if (names.includes('part')) showPart(state.part).then(() => {
      main.focus({ preventScroll: true });
      if (scroll !== undefined) scrollTo(0, scroll);
    });
    else if (names.includes('model')) showPart(state.part);
  });
  followAddress(openAddress);
  history.replaceState(historyState(), '', addressOf());
  started = true;
  await showPart(state.part);
  (window.requestIdleCallback ?? setTimeout)(() => {
    for (const name of PARTS) CREATORS[name]().catch(() => {});
    importModule('./history.js').then(({ recordHistory }) => recordHistory());
  });
}

start();
