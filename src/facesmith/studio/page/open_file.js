// Opens a file that the user drops or chooses: a picture that Facesmith made, a project, or a photo.

import { navigate } from './address.js';
import { parseSum } from './face_text.js';
import { mergeKept } from './kept.js';
import { givePhoto } from './me.js';
import { showMessage } from './messages.js';
import { openProject } from './project.js';
import { request } from './server.js';
import { DEFAULTS, inEdit, notify, shortHash, state, studio } from './state.js';

export async function openFile(file) {
  showMessage(`Opening ${file.name ?? 'the file'} …`);
  if (file.type === 'application/json' || file.name?.endsWith('.json')) return openProject(file);
  if (state.part !== 'me') {
    const picture = await madeByFacesmith(file);
    if (picture) return openPicture(picture);
  }
  givePhoto(file);
  if (state.part === 'me') return notify(['photo']);
  return navigate({ part: 'me' });
}

// What the metadata of a picture say about its face, or null if Facesmith did not make it.
async function madeByFacesmith(file) {
  try {
    return await (await request('api/open', { method: 'POST', body: file })).json();
  } catch { return null; }
}

// Opens a picture as what it shows: one face in Edit, several as kept faces, a sum in Mix, a film in Walk.
function openPicture({ kind, faces = [], terms = '', psi = 1, model_id: modelId, notice, layers }) {
  const model = studio.models.find(({ id }) => id === modelId);
  const values = { ...(model ? { model: shortHash(model) } : {}), psi };
  if (kind === 'sum') navigate({ ...values, part: 'mix', terms: parseSum(terms.replaceAll(' ', '')), mix: layers ? 'layers' : 'sum', layers: layers ?? DEFAULTS.layers });
  else if (kind === 'walk') navigate({ ...values, part: 'walk', stops: faces });
  else if (faces.length === 1) navigate({ ...values, ...inEdit(faces[0]) });
  else {
    navigate({ ...values, part: 'faces' });
    mergeKept(faces.map((face) => ({ face })), 'this picture');
  }
  showMessage(notice ?? 'Opened as the face it is');
}
