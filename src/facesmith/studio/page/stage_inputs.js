// Inputs of stage mode. Each function asks for its permission, calls `set` with what changes, and returns a function that
// stops it.

import { MAX_SEED } from './face_text.js';

const MIDI_CONTROL = 0xb0;
const MIDI_NOTE_ON = 0x90;
const MIDI_MAX = 127;
const MAX_STRENGTH = 3;
const LEVEL_GAIN = 4; // of the microphone: loud music comes close to 1

// Controllers set the directions in their order: the first controller that moves sets the first direction, and so on.
// A note sets the direction of its number to its velocity.
export async function listenToMidi(directions, set) {
  const access = await navigator.requestMIDIAccess();
  const controllers = [];
  const read = ({ data: [status, number, value] }) => {
    if ((status & 0xf0) === MIDI_CONTROL) {
      if (!controllers.includes(number)) controllers.push(number);
      const direction = directions[controllers.indexOf(number)];
      if (direction) set({ direction, strength: (2 * value / MIDI_MAX - 1) * MAX_STRENGTH });
    } else if ((status & 0xf0) === MIDI_NOTE_ON && directions.length) {
      set({ direction: directions[number % directions.length], strength: (value / MIDI_MAX) * MAX_STRENGTH });
    }
  };
  const connect = () => { for (const input of access.inputs.values()) input.onmidimessage = read; };
  access.onstatechange = connect;
  connect();
  return () => { for (const input of access.inputs.values()) input.onmidimessage = null; access.onstatechange = null; };
}

// Calls `useLevel` with the level of the microphone, 0 to 1, at each frame of the screen.
export async function listenToMicrophone(useLevel) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let level = 0;
  let frame = requestAnimationFrame(function measure() {
    analyser.getFloatTimeDomainData(samples);
    const loudness = Math.min(1, LEVEL_GAIN * Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
    level = Math.max(loudness, level * 0.95); // it falls slowly, so the walk does not jerk
    useLevel(level);
    frame = requestAnimationFrame(measure);
  });
  return () => {
    cancelAnimationFrame(frame);
    context.close();
    for (const track of stream.getTracks()) track.stop();
  };
}

// Messages that the server receives: /NAME value for a direction, /psi, /speed, /seed.
export async function listenToOsc(directions, set) {
  const events = new EventSource('api/osc');
  await new Promise((resolve, reject) => { // only now do messages arrive
    events.onopen = resolve;
    events.onerror = () => { events.close(); reject(new Error('The studio sends no OSC messages.')); };
  });
  events.onerror = null; // a broken connection is renewed by the browser
  events.onmessage = ({ data }) => {
    const { address, values: [value] } = JSON.parse(data);
    const name = address.slice(1);
    if (!Number.isFinite(value)) return;
    if (directions.includes(name)) set({ direction: name, strength: value });
    else if (name === 'psi') set({ psi: value });
    else if (name === 'speed') set({ speed: Math.max(0, value) });
    else if (name === 'seed') set({ seed: Math.max(0, Math.min(MAX_SEED, Math.round(value))) });
  };
  return () => events.close();
}
