// Photos from files and the camera: shown by the browser, and made small enough for the server.

import { h } from './dom.js';

const MAX_PIXELS = 24_000_000;
const MAX_BYTES = 24 * 2 ** 20; // of an upload
const SENT_AS_IS = ['image/jpeg', 'image/png', 'image/webp'];

// Returns {bitmap, upload, note} of a photo. `upload` is what the server gets. `note` says what was changed, or is ''.
// Throws an error whose message says why the photo can't be used.
export async function readPhoto(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Error(reasonFor(file));
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  if (scale === 1 && file.size <= MAX_BYTES && SENT_AS_IS.includes(file.type)) return { bitmap, upload: file, note: '' };
  const canvas = h('canvas', { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  const pen = canvas.getContext('2d');
  pen.imageSmoothingQuality = 'high';
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const upload = await toBlob(canvas);
  const note = scale < 1 ? `The photo was scaled down to ${canvas.width} × ${canvas.height} pixels in this browser.` : '';
  return { bitmap: await createImageBitmap(canvas), upload, note };
}

function reasonFor(file) {
  const isHeic = /hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name ?? '');
  if (isHeic) return 'This browser can’t show HEIC photos. Save the photo as JPEG first. (On an iPhone: Settings, Camera, Formats, Most compatible.)';
  if (/avif/.test(file.type) || /\.avif$/i.test(file.name ?? '')) return 'This browser can’t show this AVIF photo. Save it as JPEG or PNG first.';
  return 'This file is not a photo that the browser can show. Use a JPEG or PNG.';
}

const toBlob = (canvas) => new Promise((resolve, reject) => {
  canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('This photo is too large for this browser. Make it smaller first.'))), 'image/jpeg', 0.93);
});

// A camera whose picture is shown by a video element.
export class Camera {
  constructor(video) {
    this.video = video;
    this.stream = null;
  }
  async open() {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
    this.close(); // an earlier stream, if it was requested twice
    this.stream = stream;
    this.video.srcObject = this.stream;
    await this.video.play();
  }
  takePicture() {
    const still = h('canvas', { width: this.video.videoWidth, height: this.video.videoHeight });
    still.getContext('2d').drawImage(this.video, 0, 0);
    return toBlob(still);
  }
  close() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}
