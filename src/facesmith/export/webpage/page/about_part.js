// What this page is: the model, its data and license, and that no face is a photo of a person.

import { heading } from './controls.js';
import { h } from './dom.js';
import { card, model } from './page_state.js';

export function aboutPart() {
  const rows = [
    ['Model', card.name], ['Recipe', `${model.recipe}, ${model.resolution} × ${model.resolution} pixels`], ['Training faces', card.data], ['License', card.license],
    ['Fingerprint', `sha256 ${model.hash}`], ['Made with', card.made_by]];
  const kernel = h('dd', { id: 'kernel-name' }, 'starting');
  const element = h('section', { class: 'part about', 'aria-label': 'About' },
    heading('About this page', 'A neural network draws these faces in your browser. Nothing is sent to anybody; the page works without a network.'),
    h('p', {}, 'No face here is a photo of a person. The network has learned from photos of people what faces look like, and each number gives it a different starting point. ',
      'Still, a face may resemble somebody, by chance or because the network has memorized a photo. Don’t present these faces as real people.'),
    h('dl', {}, rows.flatMap(([term, text]) => [h('dt', {}, term), h('dd', {}, text)]), h('dt', {}, 'Computed by'), kernel),
    h('p', { class: 'small soft' }, model.mark ? 'Every face carries an invisible watermark, and a saved PNG says how it was made. facesmith detect finds the watermark.' : 'A saved PNG says that it is synthetic and how it was made.'));
  return { element, hint: '', onKept() {}, enter() {}, leave() {}, setKernel(name) { kernel.textContent = name; } };
}
