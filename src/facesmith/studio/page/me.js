// A face in a photo: detected, drawn again by the generator, edited, and put back into the photo.
// A result belongs to the face that it was made from. So each face of the photo has its own result.

import { navigate } from './address.js';
import { heading, save, whileBusy } from './controls.js';
import { button, h } from './dom.js';
import { faceText, fileName, parseFace } from './face_text.js';
import { isKept, toggleKept } from './kept.js';
import { showMessage } from './messages.js';
import { Camera, readPhoto } from './photo_input.js';
import { Picture } from './picture.js';
import { waitText } from './queue.js';
import { request, requestBlob, RequestError } from './server.js';
import { inEdit, onChange, state, studio } from './state.js';
import { openCard } from './tray.js';
import { notice, showFace } from './widgets.js';

const FIRST_STEP = 'Choose a photo first.';
const NEEDS_HTTPS = 'Browsers allow the camera only on the computer that runs the studio, or over HTTPS. Choose a photo instead.';
const MAX_ASPECT = 0.75; // taller photos get a frame of this width / height

// The photo of the page. It stays here when another model is chosen, and is forgotten with the page.
let photo = null; // {name, bitmap, upload, note, width, height, faces}; width and height as the server sees it
export const givePhoto = (file) => { waitingFile = file; };
let waitingFile = null; // dropped on another part

export function myFacePart(signal) {
  if (!studio.photos) return photosAreOff();
  let faceNumber = 1; // of the detected faces; 1 is the largest
  let results = new Map(); // face number -> {status, progress, aligned, guess, latent, edits, score}
  let controller = null; // of the running search
  let opening = 0; // counts the photos, to ignore an earlier one that arrives late

  const canvas = h('canvas', { role: 'img', 'aria-label': 'Your photo' });
  const boxes = h('div', { class: 'boxes', role: 'group', 'aria-label': 'Faces in the photo' });
  const shown = h('div', { class: 'shown', hidden: true }, canvas, boxes);
  const video = h('video', { muted: true, playsInline: true, hidden: true, 'aria-label': 'Your camera' });
  const camera = new Camera(video);
  const fileInput = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', 'aria-label': 'A photo', tabIndex: -1, onchange: () => fileInput.files[0] && openPhoto(fileInput.files[0]) });
  const choose = button('Choose a photo', () => fileInput.click(), { class: 'main' });
  const welcome = h('div', { class: 'welcome' },
    h('p', {}, 'Choose a photo, or drop one here. It is sent to the computer that runs the studio, which stores nothing.'),
    h('div', { class: 'row' }, choose, button('Use the camera', openCamera)), fileInput);
  const frame = h('div', { class: 'photo' }, welcome, shown, video);
  const shoot = button('Take the picture', async () => openPhoto(await camera.takePicture()), { class: 'main', hidden: true });
  const another = button('Another photo', startOver, { hidden: true });
  const start = button('Redraw this face', invert, { class: 'main', disabled: true });
  const status = h('p', { class: 'soft', role: 'status' }, FIRST_STEP);
  const bar = h('progress', { max: '1', 'aria-label': 'Progress', style: 'visibility:hidden' });
  const aligned = h('img', { alt: 'Your face, cropped for the generator', class: 'loaded', hidden: true });
  const drawn = new Picture('Your face, drawn by the generator');
  const score = h('p', { class: 'small' });
  const keep = button('Keep', () => toggleKept(face(), 'my face'), { class: 'main' });
  const edit = button('Edit it', () => navigate(inEdit(face())));
  const paste = button('Put it into the photo', () => whileBusy(paste, pasteFace));
  const downloadButton = button('Download the photo', () => save(current().pasted, fileName(`${photo.name.replace(/\.\w+$/, '')}-with-face`, 'png')), { hidden: true });
  const panel = h('div', { class: 'panel' }, h('div', { class: 'row' }, start), status, bar,
    h('div', { class: 'pair' }, h('figure', {}, h('span', { class: 'face' }, aligned), h('figcaption', {}, 'Your photo')), h('figure', {}, drawn.element, h('figcaption', {}, 'The generator'))), score,
    h('div', { class: 'row' }, keep, edit, paste, downloadButton));
  const element = h('section', { class: 'part', 'aria-label': 'My face' }, heading('Your face, drawn again', 'Choose a photo. The generator searches for the face that looks most like yours. You can edit it and put it back into the photo.'),
    h('div', { class: 'columns' }, h('div', { class: 'part' }, frame, h('div', { class: 'row' }, shoot, another)), panel),
    h('details', {}, h('summary', {}, 'What is kept where?'), h('ul', { class: 'messages' },
      h('li', {}, 'The photo is in the memory of this page until you close or reload it, or choose another one. It is sent to the computer that runs the studio, which stores nothing.'),
      h('li', {}, 'A face that you keep is stored in this browser until you remove it.'),
      h('li', {}, 'A face that you keep, edit, mix or walk through is also in the address of the page: in the browser’s history, and in links that you copy.'),
      h('li', {}, '“Forget everything in this browser” in the menu removes the kept faces. The browser’s history you clear yourself.'))));

  const current = () => results.get(faceNumber) ?? {};
  const face = () => faceText(current().latent, current().edits ?? {});

  async function openPhoto(file) {
    forgetPhoto();
    const number = ++opening;
    showStatus('Looking for faces …');
    try {
      const { bitmap, upload, note } = await readPhoto(file);
      const detected = await (await request('api/detect', { method: 'POST', body: upload })).json();
      if (number !== opening) return;
      photo = { ...detected, name: file.name ?? 'photo', bitmap, upload, note };
      showPhoto();
    } catch (error) {
      if (number === opening) { startOver(); showError(error); }
    }
  }

  function openWaitingFile() {
    const file = waitingFile;
    waitingFile = null;
    if (file) openPhoto(file);
    return Boolean(file);
  }

  function showPhoto() {
    welcome.hidden = true;
    shown.hidden = another.hidden = false;
    frame.classList.add('full');
    draw();
    if (!current().status) showStatus(`${foundText(photo)} ${photo.note}`.trim());
  }
  const foundText = ({ faces, reason }) => {
    if (faces.length) return faces.length === 1 ? 'Found one face.' : `Found ${faces.length} faces. Choose one.`;
    return `No face can be used: ${reason}. Choose a photo that shows the whole face, large and from the front.`;
  };

  function drawBoxes() {
    boxes.replaceChildren(...photo.faces.map(({ box: [left, top, width, height] }, i) => {
      const percent = (part, whole) => `${(100 * part) / whole}%`;
      return button(String(i + 1), () => chooseFace(i + 1), {
        'aria-label': `Face ${i + 1}`, 'aria-pressed': String(i + 1 === faceNumber), 'data-number': String(i + 1),
        style: `left:${percent(left, photo.width)};top:${percent(top, photo.height)};width:${percent(width, photo.width)};height:${percent(height, photo.height)}`,
      });
    }));
  }
  function chooseFace(number) {
    faceNumber = number;
    draw();
    boxes.querySelector(`[data-number="${number}"]`)?.focus();
  }

  function drawPhoto(image) {
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext('2d').drawImage(image, 0, 0);
    const aspect = image.width / image.height;
    shown.style.setProperty('--aspect', String(aspect));
    frame.style.aspectRatio = String(Math.max(aspect, MAX_ASPECT));
    canvas.setAttribute('aria-label', `Your photo; faces found: ${photo.faces.length}`);
  }

  // Draws the photo, and the result of the chosen face.
  function draw() {
    if (state.part !== 'me' || !photo) return;
    const result = current();
    drawPhoto(result.pastedBitmap ?? photo.bitmap);
    drawBoxes();
    start.disabled = !photo.faces.length || Boolean(result.running);
    bar.style.visibility = result.running ? 'visible' : 'hidden';
    if (result.progress === undefined) bar.removeAttribute('value');
    else bar.value = result.progress;
    aligned.hidden = !result.aligned;
    if (result.aligned) aligned.src = result.aligned;
    const shownFace = result.latent ? face() : result.guess;
    if (shownFace) showFace(drawn, shownFace, result.latent ? 'Your face, drawn by the generator' : 'First guess');
    else drawn.clear();
    for (const each of [keep, edit, paste]) each.disabled = !result.latent;
    keep.textContent = result.latent && isKept(face()) ? 'Kept ✓' : 'Keep';
    downloadButton.hidden = !result.pasted;
    score.textContent = result.score ?? '';
    if (result.status) showStatus(result.status);
    else if (photo.faces.length > 1) showStatus(`Face ${faceNumber} of ${photo.faces.length}.`);
  }

  async function invert() {
    controller?.abort(); // one search at a time
    controller = new AbortController();
    const search = controller;
    const [number, result] = [faceNumber, { running: true, status: `Redrawing face ${faceNumber} …` }];
    results.set(number, result);
    draw();
    try {
      const query = new URLSearchParams({ model: studio.model.id, face: number });
      const response = await request(`api/invert?${query}`, { method: 'POST', body: photo.upload, signal: search.signal });
      for await (const message of messagesOf(response.body)) {
        readMessage(message, result);
        if (number === faceNumber) draw();
      }
      if (!result.latent) throw new RequestError('The connection to the studio broke. Press “Redraw this face” again.', 0);
    } catch (error) {
      if (error.name === 'AbortError') { if (results.get(number) === result) results.delete(number); }
      else result.status = error instanceof RequestError ? error.message : 'The connection to the studio broke. Press “Redraw this face” again.';
    }
    result.running = false;
    draw();
  }

  function readMessage(message, result) {
    if (message.error) throw new RequestError(message.error, 400);
    if (message.ahead !== undefined) result.status = waitText(message, 'Starting …');
    if (message.stage) result.status = `${message.stage} …`;
    if (message.aligned) result.aligned = message.aligned;
    if (message.guess) result.guess = message.guess;
    if (message.steps) result.progress = message.step / message.steps;
    if (!message.face) return;
    result.latent = message.face;
    result.status = 'Done.';
    result.score = `Similarity: ${message.psnr_db} dB (PSNR). The average face reaches ${message.average_psnr_db} dB. From about 20 dB on, faces look alike at first glance. A small generator can’t draw every detail.`;
  }

  // Puts the chosen face's result into the photo, at the place of this face.
  async function pasteFace() {
    const [number, result, from] = [faceNumber, current(), photo];
    const { base, edits } = parseFace(face());
    try {
      const query = new URLSearchParams({ model: studio.model.id, w: base, face: number, psi: 1, ...edits });
      result.pasted = await requestBlob(`api/paste.png?${query}`, { method: 'POST', body: from.upload });
      result.pastedBitmap = await createImageBitmap(result.pasted);
      result.status = 'The face is in the photo.';
    } catch (error) { result.status = error.message; }
    if (photo === from) draw();
  }

  async function openCamera() {
    try {
      await camera.open();
      if (signal.aborted || state.part !== 'me' || photo) return closeCamera(); // the user has gone on
      welcome.hidden = true;
      video.hidden = shoot.hidden = another.hidden = false;
      showStatus('Look into the camera.');
    } catch {
      showMessage(isSecureContext ? 'The camera is not available. Allow it for this page, or choose a photo.' : NEEDS_HTTPS);
    }
  }
  function closeCamera() {
    camera.close();
    video.hidden = shoot.hidden = true;
  }
  function forgetPhoto() {
    closeCamera();
    controller?.abort();
    opening += 1;
    photo = null;
    results = new Map();
    faceNumber = 1;
    start.disabled = true;
    for (const each of [keep, edit, paste]) each.disabled = true;
    bar.style.visibility = 'hidden';
    aligned.hidden = downloadButton.hidden = true;
    drawn.clear();
    score.textContent = '';
    boxes.replaceChildren();
  }
  function startOver() {
    forgetPhoto();
    fileInput.value = '';
    frame.classList.remove('full');
    frame.style.aspectRatio = '';
    welcome.hidden = false;
    shown.hidden = another.hidden = true;
    showStatus(FIRST_STEP);
  }
  function showStatus(text) {
    // A command at the end of the message gets a copy button.
    const [message, command] = text.split(/ (?=facesmith )/);
    if (status.textContent !== text || command) status.replaceChildren(command ? notice(message, command) : text);
  }
  const showError = (error) => showStatus(error.message);

  frame.addEventListener('dragover', (event) => { event.preventDefault(); frame.classList.add('over'); });
  frame.addEventListener('dragleave', () => frame.classList.remove('over'));
  frame.addEventListener('drop', () => frame.classList.remove('over')); // the page opens the file, as anywhere else
  addEventListener('paste', (event) => state.part === 'me' && event.clipboardData.files[0] && openPhoto(event.clipboardData.files[0]), { signal });
  onChange((names) => {
    // Edits of this face in Edit belong to its result.
    if (names.includes('edits')) for (const result of results.values()) if (result.latent === state.editing) result.edits = state.edits;
    if (names.includes('kept') || names.includes('edits')) draw();
    if (names.includes('photo')) openWaitingFile();
  }, signal);
  signal.addEventListener('abort', () => { controller?.abort(); camera.close(); });
  for (const each of [keep, edit, paste]) each.disabled = true;

  return {
    element,
    tray: { hint: 'Tap a face to edit it.', onClick: (item) => navigate(inEdit(item.face)) },
    enter: () => openWaitingFile() || (photo && showPhoto()),
    leave: closeCamera,
  };
}

function photosAreOff() {
  const element = h('section', { class: 'part', 'aria-label': 'My face' }, heading('Your face, drawn again', 'The studio was started without photos.'),
    notice('Photos are switched off here. Start the studio without --no-photos to use them.'));
  return { element, tray: { hint: 'Tap a face to open it.', onClick: openCard } };
}

// Parses a stream of NDJSON: one line of JSON for each message.
async function* messagesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let incomplete = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    incomplete += value;
    const lines = incomplete.split('\n');
    incomplete = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}
