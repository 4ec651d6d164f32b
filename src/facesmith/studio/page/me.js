// A face in a photo: detected, drawn again by the generator, edited, and put back into the photo.

import { h, Picture, request, RequestError, showMessage } from './dom.js';
import { faceText, onChange, state, toggleKept } from './state.js';
import { fileName, heading, notice, showFace } from './widgets.js';

const MAX_UPLOAD_BYTES = 24 * 2 ** 20;
const FIRST_STEP = 'Choose a photo first.';

export function myFacePart(openPart) {
  let photo = null; // the file
  let bitmap = null;
  let detected = null; // {width, height, faces}
  let faceNumber = 1; // of the detected faces; 1 is the largest
  let stream = null; // of the camera
  let controller = null;
  let latent = null; // of the result, as text
  let pastedUrl = null;

  const canvas = h('canvas', { role: 'img', 'aria-label': 'Your photo', hidden: true });
  const video = h('video', { muted: true, playsInline: true, hidden: true, 'aria-label': 'Your camera' });
  const fileInput = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', 'aria-label': 'A photo', tabIndex: -1, onchange: () => fileInput.files[0] && openPhoto(fileInput.files[0]) });
  const choose = h('button', { type: 'button', class: 'main', onclick: () => fileInput.click() }, 'Choose a photo');
  const camera = h('button', { type: 'button', onclick: openCamera }, 'Use the camera');
  const welcome = h('div', { class: 'welcome' }, h('p', {}, 'Choose a photo, or drop one here. It stays on this machine and is not stored.'), h('div', { class: 'row' }, choose, camera), fileInput);
  const frame = h('div', { class: 'photo' }, welcome, canvas, video);
  const takePicture = h('button', { type: 'button', class: 'main', hidden: true, onclick: shoot }, 'Take the picture');
  const another = h('button', { type: 'button', hidden: true, onclick: startOver }, 'Another photo');
  const faceButtons = h('div', { class: 'row', role: 'group', 'aria-label': 'Faces in the photo' });
  const start = h('button', { type: 'button', class: 'main', disabled: true, onclick: invert }, 'Find this face');
  const status = h('p', { class: 'soft', role: 'status' }, FIRST_STEP);
  const bar = h('progress', { max: '1', value: '0', 'aria-label': 'Progress', style: 'visibility:hidden' });
  const aligned = h('img', { alt: 'Your face, cropped for the generator', class: 'loaded', hidden: true });
  const drawn = new Picture('Your face, drawn by the generator');
  const score = h('p', { class: 'small' });
  const keep = h('button', { type: 'button', class: 'main', onclick: () => showMessage(toggleKept(face(), 'my face') ? 'Kept' : 'Removed') }, 'Keep');
  const edit = h('button', { type: 'button', onclick: () => openPart('edit', { face: face() }) }, 'Edit it');
  const paste = h('button', { type: 'button', onclick: pasteFace }, 'Put it into the photo');
  const downloadLink = h('a', { class: 'button', hidden: true, download: 'photo-with-face.png' }, 'Download the photo');
  const results = h('div', { class: 'panel' }, status, bar, h('div', { class: 'row' }, start),
    h('div', { class: 'pair' }, h('figure', {}, h('span', { class: 'face' }, aligned), h('figcaption', {}, 'Your photo')), h('figure', {}, drawn.element, h('figcaption', {}, 'The generator'))), score,
    h('div', { class: 'row' }, keep, edit, paste, downloadLink));
  const element = h('section', { class: 'part', 'aria-label': 'My face' }, heading('Your face, drawn again', 'Choose a photo. The generator searches for the face that looks most like yours. You can edit it and put it back into the photo.'),
    h('div', { class: 'columns' }, h('div', { class: 'part' }, frame, h('div', { class: 'row' }, takePicture, another, faceButtons)), results));

  const enableResultButtons = (enabled) => { for (const button of [keep, edit, paste]) button.disabled = !enabled; };
  enableResultButtons(false);
  const edits = () => state.edits[latent] ?? {};
  const face = () => faceText(latent, edits());

  async function openPhoto(file) {
    stopCamera();
    if (file.size > MAX_UPLOAD_BYTES) return showMessage('This photo is too large: the limit is 24 MiB.');
    forgetPhoto();
    photo = file;
    status.textContent = 'Looking for faces …';
    try {
      detected = await (await request('/api/detect', { method: 'POST', body: photo })).json();
      bitmap = await createImageBitmap(photo).catch(() => null);
      if (bitmap === null) throw new RequestError('This browser can’t show such a photo. Use a JPEG or PNG.', 0);
    } catch (error) {
      photo = null;
      return showError(error);
    }
    frame.classList.add('full');
    welcome.hidden = true;
    canvas.hidden = another.hidden = false;
    faceNumber = 1;
    offerFaces();
    return drawPhoto(bitmap);
  }

  function offerFaces() {
    const count = detected.faces.length;
    status.textContent = { 0: 'No face found. Choose a photo that shows the face larger and from the front.', 1: 'Found one face.' }[count] ?? `Found ${count} faces. Choose one.`;
    faceButtons.replaceChildren(...(count > 1 ? detected.faces.map((_, i) => h('button', { type: 'button', class: 'choice', 'aria-pressed': String(i + 1 === faceNumber), onclick: () => { faceNumber = i + 1; offerFaces(); drawPhoto(bitmap); } }, `Face ${i + 1}`)) : []));
    start.disabled = !count;
    canvas.setAttribute('aria-label', `Your photo; faces found: ${count}`);
  }

  function drawPhoto(image, withBoxes = true) {
    canvas.width = image.width;
    canvas.height = image.height;
    const pen = canvas.getContext('2d');
    pen.drawImage(image, 0, 0);
    frame.style.aspectRatio = `${Math.max(image.width / image.height, 0.75)}`;
    if (!withBoxes) return;
    const unit = Math.max(image.width, image.height) / 320;
    const scale = image.width / detected.width;
    const style = getComputedStyle(document.documentElement);
    detected.faces.forEach(({ box: [left, top, width, height], landmarks }, i) => {
      const isChosen = i + 1 === faceNumber;
      pen.strokeStyle = isChosen ? style.getPropertyValue('--accent') : '#fff';
      pen.lineWidth = (isChosen ? 2.5 : 1.5) * unit;
      pen.strokeRect(left * scale, top * scale, width * scale, height * scale);
      pen.fillStyle = pen.strokeStyle;
      for (const [x, y] of landmarks) { pen.beginPath(); pen.arc(x * scale, y * scale, 2 * unit, 0, 7); pen.fill(); }
    });
  }

  async function invert() {
    controller?.abort();
    controller = new AbortController();
    start.disabled = true;
    bar.style.visibility = 'visible';
    bar.removeAttribute('value');
    try {
      const query = new URLSearchParams({ model: state.model.id, face: faceNumber });
      const response = await request(`/api/invert?${query}`, { method: 'POST', body: photo, signal: controller.signal });
      for await (const message of messagesOf(response.body)) {
        if (message.error) throw new RequestError(message.error, 400);
        if (message.stage) status.textContent = `${message.stage} …`;
        if (message.aligned) { aligned.src = message.aligned; aligned.hidden = false; }
        if (message.guess) showFace(drawn, message.guess, 'First guess');
        if (message.steps) bar.value = message.step / message.steps;
        if (message.face) {
          latent = message.face;
          enableResultButtons(true);
          status.textContent = 'Done.';
          score.textContent = `Similarity (PSNR): ${message.psnr_db} dB. The average face reaches ${message.average_psnr_db} dB. From about 20 dB on, faces look alike at first glance. A small generator can’t draw every detail.`;
        }
      }
      draw();
    } catch (error) {
      if (error.name !== 'AbortError') showError(error);
    }
    start.disabled = false;
    bar.style.visibility = 'hidden';
  }

  async function pasteFace() {
    paste.disabled = true;
    try {
      const query = new URLSearchParams({ model: state.model.id, w: latent, face: faceNumber, psi: 1 });
      for (const [name, strength] of Object.entries(edits())) query.set(name, strength);
      const blob = await (await request(`/api/paste.png?${query}`, { method: 'POST', body: photo })).blob();
      if (pastedUrl) URL.revokeObjectURL(pastedUrl);
      pastedUrl = URL.createObjectURL(blob);
      drawPhoto(await createImageBitmap(blob), false);
      downloadLink.href = pastedUrl;
      downloadLink.download = fileName(`${photo.name?.replace(/\.\w+$/, '') ?? 'photo'}-with-face`, 'png');
      downloadLink.hidden = false;
      status.textContent = 'The face is in the photo.';
    } catch (error) { showError(error); }
    paste.disabled = false;
  }

  function draw() {
    if (state.part === 'me' && latent) showFace(drawn, face(), 'Your face, drawn by the generator');
  }

  async function openCamera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
      video.srcObject = stream;
      await video.play();
      welcome.hidden = true;
      video.hidden = takePicture.hidden = another.hidden = false;
      status.textContent = 'Look into the camera.';
    } catch {
      showMessage('The camera is not available. Allow it for this page, or choose a photo.');
    }
  }
  function shoot() {
    const still = h('canvas', { width: video.videoWidth, height: video.videoHeight });
    still.getContext('2d').drawImage(video, 0, 0);
    still.toBlob((blob) => openPhoto(blob), 'image/jpeg', 0.95);
  }
  function stopCamera() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.hidden = takePicture.hidden = true;
  }
  function forgetPhoto() {
    controller?.abort();
    if (pastedUrl) URL.revokeObjectURL(pastedUrl);
    photo = bitmap = detected = latent = pastedUrl = null;
    aligned.hidden = true;
    aligned.removeAttribute('src');
    drawn.clear();
    enableResultButtons(false);
    score.textContent = '';
    downloadLink.hidden = true;
    faceButtons.replaceChildren();
  }
  function startOver() {
    stopCamera();
    forgetPhoto();
    fileInput.value = '';
    frame.classList.remove('full');
    frame.style.aspectRatio = '';
    welcome.hidden = false;
    canvas.hidden = another.hidden = true;
    start.disabled = true;
    status.textContent = FIRST_STEP;
  }
  // A command at the end of the message gets a copy button.
  function showError(error) {
    const [text, command] = error.message.split(/ (?=facesmith )/);
    status.replaceChildren(command ? notice(text, command) : text);
  }

  frame.addEventListener('dragover', (event) => { event.preventDefault(); frame.classList.add('over'); });
  frame.addEventListener('dragleave', () => frame.classList.remove('over'));
  frame.addEventListener('drop', (event) => {
    event.preventDefault();
    frame.classList.remove('over');
    if (event.dataTransfer.files[0]) openPhoto(event.dataTransfer.files[0]);
  });
  addEventListener('paste', (event) => state.part === 'me' && event.clipboardData.files[0] && openPhoto(event.clipboardData.files[0]));
  onChange((names) => names.includes('edits') && draw());

  return {
    element,
    tray: { hint: 'Click a face to edit it.', onClick: (item) => openPart('edit', item) },
    enter: draw,
    leave: stopCamera,
  };
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
