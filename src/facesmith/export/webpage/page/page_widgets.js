// Widgets of the page that know its state.

import { slider, whileBusy } from './controls.js';
import { button, h } from './dom.js';
import { readable } from './face_text.js';
import { copy } from './messages.js';
import { change, model, onChange, state } from './page_state.js';

// The slider for psi. All parts share its value.
export function varietySlider() {
  const variety = slider('Variety', { min: 0, max: 1, step: 0.05, value: state.psi, format: (psi) => psi.toFixed(2),
    title: 'Truncation (psi): 0 is the average face, 1 gives the most varied faces', oninput: (psi) => change({ psi }) });
  onChange((names) => names.includes('psi') && variety.set(state.psi));
  return variety.element;
}

// The switches of a conditional model; null for others. Classes of a column, such as label=2, are one choice.
export function conditionSwitches() {
  if (!model.label_dim) return null;
  const columns = Map.groupBy ? Map.groupBy(model.conditions.keys(), columnOf) : groups(model.conditions.keys(), columnOf);
  return h('div', { class: 'conditions', role: 'group', 'aria-label': 'Conditions' }, [...columns].map(([column, places]) => {
    const isClass = model.conditions[places[0]].includes('=');
    const values = isClass ? places.map((place) => [String(place), model.conditions[place].split('=')[1]]) : [['1', 'yes'], ['-1', 'no']];
    const choice = h('select', { onchange: () => change({ condition: set(choice.value) }) }, [['0', 'any'], ...values].map(([value, text]) => h('option', { value: isClass && value === '0' && text === 'any' ? '' : value }, text)));
    const set = (value) => state.condition.map((label, i) => (!places.includes(i) ? label : isClass ? (value === '' ? 0 : Number(value) === i ? 1 : -1) : Number(value)));
    const show = () => { choice.value = isClass ? String(places.find((place) => state.condition[place] > 0) ?? '') : String(state.condition[places[0]]); };
    onChange((names) => names.includes('condition') && show());
    show();
    return h('label', { class: 'field' }, h('span', {}, readable(column)), choice);
  }));
}
const columnOf = (place) => model.conditions[place].split('=')[0];
function groups(items, keyOf) {
  const map = new Map();
  for (const item of items) map.set(keyOf(item), [...(map.get(keyOf(item)) ?? []), item]);
  return map;
}

// A button that copies the command for what is shown, and the line that says why there is none.
//   commandOf(): the command, or null.
export function commandButton(commandOf, reason) {
  const copyButton = button('Copy command', () => copy(commandOf(), 'Command'), { title: 'The command that makes the same' });
  const line = h('p', { class: 'small soft' }, reason);
  const show = () => { line.hidden = commandOf() !== null; copyButton.disabled = !line.hidden; };
  onChange(show);
  show();
  return [copyButton, line];
}

// Buttons that save a picture and copy the command that makes it.
export function pictureButtons(savePicture, commandOf) {
  const saveButton = button('Save PNG', () => whileBusy(saveButton, savePicture), { title: 'The file says that the picture is synthetic and how it was made' });
  const [copyButton, line] = commandButton(commandOf, 'There is no command for this picture: facesmith edits single seeds, or adds seeds without edits.');
  return h('div', { class: 'buttons' }, h('div', { class: 'row' }, saveButton, copyButton), line);
}
