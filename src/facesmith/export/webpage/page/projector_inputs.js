// What can play the projector mode. Each function asks for its permission and returns a function that stops it.

const MIDI_CONTROL = 0xb0;
const MIDI_NOTE_ON = 0x90;
const MIDI_MAX = 127;
const LEVEL_GAIN = 4; // of the microphone: loud music comes close to 1
const LEVEL_DECAY = 0.95; // for each frame: the level falls slowly, so the walk does not jerk
export const BANDS = [[40, 160], [160, 500], [500, 2000], [2000, 8000]]; // Hz

// Knobs: the first controller that moves is number 0, the next one number 1, and so on.
//   onKnob(number, value): value from -1 to 1.  onKey(note)
//   Returns {stop, names()}: the names of the connected devices.
export async function listenToMidi(onKnob, onKey) {
  const access = await navigator.requestMIDIAccess();
  const controllers = [];
  const read = ({ data: [status, number, value] }) => {
    if ((status & 0xf0) === MIDI_CONTROL) {
      if (!controllers.includes(number)) controllers.push(number);
      onKnob(controllers.indexOf(number), (2 * value) / MIDI_MAX - 1);
    } else if ((status & 0xf0) === MIDI_NOTE_ON && value) onKey(number);
  };
  const connect = () => { for (const input of access.inputs.values()) input.onmidimessage = read; };
  access.onstatechange = connect;
  connect();
  return {
    names: () => [...access.inputs.values()].map(({ name }) => name),
    stop() { access.onstatechange = null; for (const input of access.inputs.values()) input.onmidimessage = null; },
  };
}

// Returns {stop, read()}: the loudness and the level of each band, all from 0 to 1. Nothing is recorded.
export async function listenToMicrophone() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const spectrum = new Uint8Array(analyser.frequencyBinCount);
  const perBin = context.sampleRate / analyser.fftSize;
  const levels = Array(1 + BANDS.length).fill(0);
  const follow = (place, level) => { levels[place] = Math.max(Math.min(1, level), levels[place] * LEVEL_DECAY); };
  return {
    read() {
      analyser.getFloatTimeDomainData(samples);
      analyser.getByteFrequencyData(spectrum);
      follow(0, LEVEL_GAIN * Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
      BANDS.forEach(([low, high], i) => {
        const bins = spectrum.subarray(Math.floor(low / perBin), Math.ceil(high / perBin));
        follow(i + 1, bins.reduce((sum, level) => sum + level, 0) / Math.max(1, bins.length) / 255);
      });
      const [loudness, ...bands] = levels;
      return { loudness, bands };
    },
    stop() {
      context.close();
      for (const track of stream.getTracks()) track.stop();
    },
  };
}
