// Opens a file that the user drops or chooses: a picture that Facesmith made, a project, or a photo.

import { navigate } from './address.js';
import { parseSum } from './face_text.js';
import { mergeKept } from './kept.js';
import { givePhoto } from './me.js';
import { showMessage } from './messages.js';
import { openProject } from './project.js';
import { request } from './server.js';
import { DEFAULTS, inEdit, loadModels, notify, shortHash, state, studio } from './state.js';

const MAX_BYTES = 64 * 2 ** 20; // of an upload; larger photos are made smaller before they are sent

export async function openFile(file) {
  showMessage(`Opening ${file.name ?? 'the file'} …`);
  if (file.type === 'application/json' || file.name?.endsWith('.json')) return openProject(file);
  if (state.part !== 'me') {
    try {
      const picture = await madeByFacesmith(file);
      if (picture) return await openPicture(picture);
    } catch (error) { return showMessage(error.message); }
  }
  givePhoto(file);
  if (state.part === 'me') return notify(['photo']);
  return navigate({ part: 'me' });
}

// What the metadata of a picture say about its face, or null if Facesmith did not make it.
async function madeByFacesmith(file) {
  if (file.size > MAX_BYTES) return null;
  try {
    return await (await request('api/open', { method: 'POST', body: file })).json();
  } catch (error) {
    if (error.status === 422) throw error; // Facesmith made it, but the page can't show it
    return null;
  }
}

// Opens a picture as what it shows: one face in Edit, several as kept faces, a sum in Mix, a film in Walk.
async function openPicture({ kind, faces = [], terms = '', psi = 1, model_id: modelId, notice, layers, closed }) {
  const find = () => studio.models.find(({ id }) => id === modelId);
  if (modelId && !find()) await loadModels(); // a run has saved a model since
  const model = find();
  const values = { ...(model ? { model: shortHash(model) } : {}), psi };
  if (kind === 'sum') navigate({ ...values, part: 'mix', terms: parseSum(terms), mix: layers ? 'layers' : 'sum', layers: layers ?? DEFAULTS.layers });
  else if (kind === 'walk') navigate({ ...values, part: 'walk', stops: faces, closed });
  else if (faces.length === 1) navigate({ ...values, ...inEdit(faces[0]) });
  else {
    navigate({ ...values, part: 'faces' });
    mergeKept(faces.map((face) => ({ face })), 'this picture');
  }
  showMessage(notice ?? 'Opened as the face it is');
}
