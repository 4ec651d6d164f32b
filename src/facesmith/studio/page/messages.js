// Short messages to the user. A message about a removal has an Undo button for ten seconds.

import { button, h } from './dom.js';

const MESSAGE_MS = 3500;
const PROBLEM_MS = 8000;
const UNDO_MS = 10_000;
const text = h('span');
const actions = h('span');
const box = h('div', { id: 'message', role: 'status', 'aria-live': 'polite' }, text, actions);
document.body.append(box);

let timer;
let current = ''; // the message
let undo = null; // restores what was removed last

export function showMessage(message, { action, run, milliseconds = MESSAGE_MS } = {}) {
  // A modal dialog covers the page and makes the rest of it inert, so the message moves into the dialog.
  const place = document.querySelector('dialog[open]') ?? document.body;
  if (box.parentElement !== place) place.append(box);
  actions.replaceChildren(...(action ? [button(action, () => { hide(); run(); })] : []));
  current = message;
  text.textContent = '';
  requestAnimationFrame(() => { text.textContent = message; }); // a screen reader announces the same text again
  box.classList.add('on');
  hideAfter(milliseconds);
}

// Says why a picture failed. Many pictures may fail for the same reason, which is one message. It never replaces Undo.
export function showProblem(message) {
  const isShown = box.classList.contains('on') && (current === message || actions.childElementCount);
  if (!isShown) showMessage(message, { milliseconds: PROBLEM_MS });
}

// Says that something was removed. Call it after every removal. Undo is also Ctrl+Z, until the next removal.
export function showRemoval(message, restore) {
  undo = () => { undo = null; restore(); showMessage('Restored'); };
  showMessage(message, { action: 'Undo', run: () => undo?.(), milliseconds: UNDO_MS });
}

// Undoes the last removal while its message is visible. Returns whether there was one.
export function undoRemoval() {
  if (!undo || !box.classList.contains('on')) return false;
  undo();
  return true;
}

export async function copy(content, name) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(content);
    else copySelected(content);
    showMessage(`${name} copied`);
  } catch {
    showMessage('The browser does not let this page copy. Select the text instead.');
  }
}

// Browsers have no `navigator.clipboard` for pages that come from another machine without HTTPS.
function copySelected(content) {
  const field = h('textarea', { class: 'visually-hidden', 'aria-hidden': 'true' }, content);
  const focused = document.activeElement;
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  focused?.focus();
  if (!done) throw new Error('The browser refuses to copy.');
}

function hide() {
  box.classList.remove('on');
  if (box.parentElement !== document.body) document.body.append(box);
}
function hideAfter(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(() => (box.matches(':hover, :focus-within') ? hideAfter(milliseconds) : hide()), milliseconds);
}
document.addEventListener('close', () => { if (!document.querySelector('dialog[open]')) document.body.append(box); }, true);
