// A face in a photo: found, drawn again by the generator, edited, and put back. The photo stays in this page.

import { ask, h, Picture, Refused, say } from './dom.js';
import { fileName, head, notice, show } from './parts.js';
import { change, join, onChange, state, toggle } from './state.js';

const MOST_BYTES = 24 * 2 ** 20;

export function me(go) {
  let photo = null; // the file
  let bitmap = null;
  let found = null; // what the detector says
  let which = 1;
  let stream = null;
  let controller = null;
  let result = null; // the face's text
  let pasted = null;

  const canvas = h('canvas', { role: 'img', 'aria-label': 'Your photo', hidden: true });
  const video = h('video', { muted: true, playsInline: true, hidden: true, 'aria-label': 'Your camera' });
  const input = h('input', { type: 'file', accept: 'image/*', class: 'unseen', 'aria-label': 'A photo', tabIndex: -1, onchange: () => input.files[0] && take(input.files[0]) });
  const choose = h('button', { type: 'button', class: 'main', onclick: () => input.click() }, 'Choose a photo');
  const camera = h('button', { type: 'button', onclick: openCamera }, 'Use the camera');
  const asking = h('div', { class: 'ask' }, h('p', {}, 'Drop a photo here. It stays on this machine, and is forgotten when you leave the page.'), h('div', { class: 'row' }, choose, camera), input);
  const frame = h('div', { class: 'photo' }, asking, canvas, video);
  const snap = h('button', { type: 'button', class: 'main', hidden: true, onclick: shoot }, 'Take the picture');
  const other = h('button', { type: 'button', hidden: true, onclick: clear }, 'Another photo');
  const faces = h('div', { class: 'row', role: 'group', 'aria-label': 'Faces in the photo' });
  const start = h('button', { type: 'button', class: 'main', disabled: true, onclick: invert }, 'Find this face');
  const stage = h('p', { class: 'soft', role: 'status' }, 'First a photo; then the generator looks for the face that comes nearest to yours.');
  const bar = h('progress', { max: '1', value: '0', 'aria-label': 'Progress', style: 'visibility:hidden' });
  const aligned = h('img', { alt: 'Your face as the generator would frame it', class: 'here', hidden: true });
  const drawn = new Picture('What the generator makes of it');
  const score = h('p', { class: 'small' });
  const save = h('button', { type: 'button', class: 'main', onclick: () => say(toggle(face(), 'my face') ? 'Kept' : 'Let go') }, 'Keep');
  const change_ = h('button', { type: 'button', onclick: () => go('edit', { face: face() }) }, 'Edit it');
  const paste = h('button', { type: 'button', onclick: putBack }, 'Put it into the photo');
  const away = h('a', { class: 'button', hidden: true, download: 'photo-with-face.png' }, 'Download the photo');
  const results = h('div', { class: 'panel' }, stage, bar, h('div', { class: 'row' }, start),
    h('div', { class: 'pair' }, h('figure', {}, h('span', { class: 'face' }, aligned), h('figcaption', {}, 'Your photo')), h('figure', {}, drawn.element, h('figcaption', {}, 'The generator'))), score,
    h('div', { class: 'row' }, save, change_, paste, away));
  const element = h('section', { class: 'part', 'aria-label': 'My face' }, head('Your face, drawn again', 'Drop a photo. The generator looks for the face that comes nearest, which you can then edit and put back.'),
    h('div', { class: 'desk' }, h('div', { class: 'part' }, frame, h('div', { class: 'row' }, snap, other, faces)), results));

  const ready = (yes) => { for (const button of [save, change_, paste]) button.disabled = !yes; };
  ready(false);
  const face = () => join(result, state.edits[result] ?? {});

  async function take(file) {
    stopCamera();
    if (file.size > MOST_BYTES) return say('This photo is too large; 24 MiB are the most.');
    forget();
    photo = file;
    stage.textContent = 'Looking for faces …';
    try {
      found = await (await ask('/api/detect', { method: 'POST', body: photo })).json();
      bitmap = await createImageBitmap(photo).catch(() => null);
      if (bitmap === null) throw new Refused('This browser can’t show such a photo. Take a JPEG or PNG.', 0);
    } catch (error) {
      photo = null;
      return tell(error);
    }
    frame.classList.add('full');
    asking.hidden = true;
    canvas.hidden = other.hidden = false;
    which = 1;
    offer();
    return paint(bitmap);
  }

  function offer() {
    const count = found.faces.length;
    stage.textContent = count ? (count === 1 ? 'A face is found.' : `${count} faces are found. Which is it?`) : 'No face is found in this photo. Take one that shows it from the front, larger.';
    faces.replaceChildren(...(count > 1 ? found.faces.map((_, i) => h('button', { type: 'button', class: 'choice', 'aria-pressed': String(i + 1 === which), onclick: () => { which = i + 1; offer(); paint(bitmap); } }, `Face ${i + 1}`)) : []));
    start.disabled = !count;
    canvas.setAttribute('aria-label', `Your photo with ${count} faces found`);
  }

  function paint(image, boxes = true) {
    canvas.width = image.width;
    canvas.height = image.height;
    const pen = canvas.getContext('2d');
    pen.drawImage(image, 0, 0);
    frame.style.aspectRatio = `${Math.max(image.width / image.height, 0.75)}`;
    if (!boxes) return;
    const unit = Math.max(image.width, image.height) / 320;
    const scale = image.width / found.width;
    const style = getComputedStyle(document.documentElement);
    found.faces.forEach(({ box: [left, top, width, height], landmarks }, i) => {
      const mine = i + 1 === which;
      pen.strokeStyle = mine ? style.getPropertyValue('--accent') : '#fff';
      pen.lineWidth = (mine ? 2.5 : 1.5) * unit;
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
      const words = new URLSearchParams({ model: state.model.id, face: which });
      const response = await ask(`/api/invert?${words}`, { method: 'POST', body: photo, signal: controller.signal });
      for await (const told of lines(response.body)) {
        if (told.error) throw new Refused(told.error, 400);
        if (told.stage) stage.textContent = `${told.stage} …`;
        if (told.aligned) { aligned.src = told.aligned; aligned.hidden = false; }
        if (told.guess) show(drawn, told.guess, 'A first guess');
        if (told.of) bar.value = told.done / told.of;
        if (told.face) {
          result = told.face;
          ready(true);
          stage.textContent = 'Found.';
          score.textContent = `${told.psnr_db} decibels near (the average face: ${told.average_psnr_db}). About 20 is alike at a glance; a small generator can’t draw everything.`;
        }
      }
      draw();
    } catch (error) {
      if (error.name !== 'AbortError') tell(error);
    }
    start.disabled = false;
    bar.style.visibility = 'hidden';
  }

  async function putBack() {
    paste.disabled = true;
    try {
      const words = new URLSearchParams({ model: state.model.id, w: result, face: which, psi: 1 });
      for (const [name, strength] of Object.entries(state.edits[result] ?? {})) words.set(name, strength);
      const blob = await (await ask(`/api/paste.png?${words}`, { method: 'POST', body: photo })).blob();
      if (pasted) URL.revokeObjectURL(pasted);
      pasted = URL.createObjectURL(blob);
      paint(await createImageBitmap(blob), false);
      away.href = pasted;
      away.download = fileName(`${photo.name?.replace(/\.\w+$/, '') ?? 'photo'}-with-face`, 'png');
      away.hidden = false;
      stage.textContent = 'The face is in the photo.';
    } catch (error) { tell(error); }
    paste.disabled = false;
  }

  function draw() {
    if (state.part !== 'me' || !result) return;
    show(drawn, face(), 'What the generator makes of it');
  }

  async function openCamera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
      video.srcObject = stream;
      await video.play();
      asking.hidden = true;
      video.hidden = snap.hidden = other.hidden = false;
      stage.textContent = 'Look into the camera.';
    } catch {
      say('The camera can’t be used. Allow it for this page, or choose a photo.');
    }
  }
  function shoot() {
    const still = h('canvas', { width: video.videoWidth, height: video.videoHeight });
    still.getContext('2d').drawImage(video, 0, 0);
    still.toBlob((blob) => take(blob), 'image/jpeg', 0.95);
  }
  function stopCamera() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.hidden = snap.hidden = true;
  }
  function forget() {
    controller?.abort();
    if (pasted) URL.revokeObjectURL(pasted);
    photo = bitmap = found = result = pasted = null;
    aligned.hidden = true;
    aligned.removeAttribute('src');
    drawn.clear();
    ready(false);
    score.textContent = '';
    away.hidden = true;
    faces.replaceChildren();
  }
  function clear() {
    stopCamera();
    forget();
    input.value = '';
    frame.classList.remove('full');
    frame.style.aspectRatio = '';
    asking.hidden = false;
    canvas.hidden = other.hidden = true;
    start.disabled = true;
    stage.textContent = 'First a photo; then the generator looks for the face that comes nearest to yours.';
  }
  function tell(error) {
    const [words, command] = error.message.split(/ (?=facesmith )/);
    stage.replaceChildren(command ? notice(words, command) : words);
  }

  frame.addEventListener('dragover', (event) => { event.preventDefault(); frame.classList.add('over'); });
  frame.addEventListener('dragleave', () => frame.classList.remove('over'));
  frame.addEventListener('drop', (event) => {
    event.preventDefault();
    frame.classList.remove('over');
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  addEventListener('paste', (event) => state.part === 'me' && event.clipboardData.files[0] && take(event.clipboardData.files[0]));
  onChange((names) => names.includes('edits') && draw());

  return {
    element,
    use: { hint: 'Click one to edit it.', click: (item) => go('edit', item) },
    enter: draw,
    leave: stopCamera,
  };
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    const whole = rest.split('\n');
    rest = whole.pop();
    for (const line of whole) if (line) yield JSON.parse(line);
  }
}
