// The page: pictures from a file, the clipboard, the camera or a drawing; names with bars.

import { drawBoxes } from './boxes.js';
import { Drawing } from './drawing.js';
import { embeddedBytes, embeddedScript, embeddedText, isEmbedded } from './embedded.js';
import { wasmFile } from './engine.js';
import { load } from './index.js';

const at = (id) => document.getElementById(id);
let models = [];
let network;
let stop;
/** What is shown: gives what `run` takes. */
let shown;
let camera;
const drawing = new Drawing(at('view'), () => show(() => drawing.pixels()));

function say(text, isBad = false) {
  at('message').textContent = text;
  at('message').classList.toggle('bad', isBad);
}

/** Numbers a page shows while a camera runs: of the last second. */
const frames = [];

/** A line of the answer: a name, and a share as bar and number. */
function line(className, share) {
  const item = document.createElement('li');
  const [bar, name, number] = ['span', 'span', 'span'].map((tag) => document.createElement(tag));
  bar.className = 'bar';
  bar.style.width = `${100 * share}%`;
  name.textContent = className;
  number.textContent = `${(100 * share).toFixed(1)} %`;
  item.append(bar, name, number);
  return item;
}

function showAnswers(outputs) {
  const { milliseconds, preparation, size } = outputs;
  if (network.detects) {
    const found = network.objects(outputs);
    at('answers').replaceChildren(...found.map(({ className, score }) => line(className, score)));
    drawBoxes(at('boxes'), found, size);
    say(found.length === 0 ? 'Nothing that this network knows.' : '');
  } else {
    const answers = network.answers(outputs, { topk: 5 });
    at('answers').replaceChildren(...answers.map(({ className, probability }) => line(className, probability)));
    const isUnsure = answers.length > 0 && answers[0].probability < network.leastProbability;
    say(isUnsure ? 'Probably none of these.' : '');
  }
  let text = `${milliseconds.toFixed(1)} ms for the network, ${preparation.toFixed(1)} ms for the picture`;
  if (camera) {
    const now = performance.now();
    frames.push(now);
    while (now - frames[0] > 1000) frames.shift();
    text += `, ${frames.length} frames a second`;
  }
  at('speed').textContent = text;
}

/** Removes what was said of the last picture. */
function clearAnswers() {
  at('answers').replaceChildren();
  at('boxes').replaceChildren();
  at('speed').textContent = '';
}

/** Runs the network on what is shown; whether that could be read. */
async function answer() {
  if (!network || !shown) return true;
  const [asked, source] = [network, shown];
  try {
    const outputs = await asked.run(await source());
    if (asked === network && source === shown) showAnswers(outputs);
    return true;
  } catch (error) {
    if (asked !== network || source !== shown) return false;
    clearAnswers();
    say(error.message, true);
    return false;
  }
}

function show(source) {
  shown = source;
  return answer();
}

/** Shows one of the places for pictures. */
function stage(place) {
  for (const id of ['view', 'image', 'video', 'hint']) at(id).hidden = id !== place;
}

/** Shows a file's picture, and names it. */
async function showFile(file) {
  endCamera();
  endDrawing();
  clearAnswers();
  const image = at('image');
  URL.revokeObjectURL(image.src);
  stage('hint');
  // What cannot be read is not shown either: to show a huge picture would hold up the page.
  if (!(await show(async () => file))) return;
  image.src = URL.createObjectURL(file);
  image.alt = file.name || 'The picture';
  stage('image');
}

function endCamera() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = undefined;
  at('video').srcObject = null;
  at('camera').setAttribute('aria-pressed', 'false');
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    return say('The camera works only on pages that came by https or from this computer.', true);
  }
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch (error) {
    const reason = error.name === 'NotAllowedError' ? 'you did not allow it' : error.message;
    return say(`The camera cannot be used: ${reason}.`, true);
  }
  endDrawing();
  const video = at('video');
  at('camera').setAttribute('aria-pressed', 'true');
  stage('video');
  clearAnswers();
  video.srcObject = camera;
  await video.play();
  shown = async () => video;
  const mine = camera;
  const next = video.requestVideoFrameCallback
    ? () => new Promise((done) => video.requestVideoFrameCallback(done))
    : () => new Promise(requestAnimationFrame);
  // One frame at a time: frames that come meanwhile are left out.
  while (camera === mine) {
    await next();
    if (camera === mine && network) await answer();
  }
}

function endDrawing() {
  drawing.end();
  at('draw').setAttribute('aria-pressed', 'false');
  at('clear').hidden = true;
}

function startDrawing() {
  endCamera();
  at('draw').setAttribute('aria-pressed', 'true');
  at('clear').hidden = false;
  stage('view');
  clearAnswers();
  shown = undefined;
  say('Draw a piece of clothing, light on black.');
  drawing.start();
}

/** Where the parts of a model come from: beside the page, or out of it. */
async function sources({ file, precision }) {
  if (!isEmbedded) return { modelUrl: file };
  const [modelData, wasmData] = await Promise.all([embeddedBytes(file), embeddedBytes(wasmFile(Number(precision === 'integers')))]);
  // On a page from a disk, browsers refuse workers that are modules.
  return { modelData, wasmData, workerUrl: embeddedScript('worker.js'), workerType: 'classic' };
}

/** The list of models. */
async function listed() {
  if (isEmbedded) return JSON.parse(embeddedText('models.json'));
  const response = await fetch('models.json');
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

const threadsOf = ({ threads }) => (threads > 1 ? `, ${threads} threads` : '');

/** Loads the chosen model. */
async function useModel() {
  stop?.abort();
  network?.dispose();
  clearAnswers();
  network = undefined;
  const model = chosen();
  const { name, precision } = model;
  stop = new AbortController();
  const { signal } = stop;
  const progress = at('progress');
  progress.hidden = false;
  progress.removeAttribute('value');
  say(`Loading ${name} …`);
  try {
    const loaded = await load({
      ...(await sources(model)),
      // Used only where the host makes the page cross-origin isolated.
      threads: Math.min(4, navigator.hardwareConcurrency ?? 1),
      signal,
      onProgress: ({ loaded: done, total }) => {
        if (total) progress.value = done / total;
      },
    });
    if (signal.aborted) return loaded.dispose();
    network = loaded;
    at('about').textContent = `${loaded.labels.length} classes${threadsOf(loaded)}. ${loaded.source}`;
    document.body.dataset.ready = `${name}.${precision}`;
    say('Ready.');
    await answer();
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  } finally {
    if (!signal.aborted) progress.hidden = true;
  }
}

function chosen() {
  const [name, precision] = [at('model').value, at('precision').value];
  return models.find((model) => model.name === name && model.precision === precision);
}

function offerPrecisions() {
  const of = models.filter(({ name }) => name === at('model').value);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  at('precision').replaceChildren(
    ...of.map(({ precision, bytes }) => new Option(`${precision}, ${megabytes(bytes)}`, precision)),
  );
  at('draw').hidden = !of.some((model) => model.drawing);
  if (at('draw').hidden && drawing.active) showNothing();
}

at('model').onchange = () => {
  offerPrecisions();
  useModel();
};
at('precision').onchange = useModel;
at('file').onchange = ({ target }) => {
  if (target.files[0]) showFile(target.files[0]);
  target.value = '';
};
/** Ends what is shown, for nothing. */
function showNothing() {
  endCamera();
  endDrawing();
  shown = undefined;
  clearAnswers();
  stage('hint');
  say('');
}

at('camera').onclick = () => (camera ? showNothing() : startCamera());
at('draw').onclick = () => (drawing.active ? showNothing() : startDrawing());
at('clear').onclick = () => drawing.clear();

addEventListener('paste', ({ clipboardData }) => {
  const file = [...clipboardData.files][0];
  if (file) showFile(file);
});
addEventListener('dragover', (event) => {
  event.preventDefault();
  at('stage').classList.add('over');
});
addEventListener('dragleave', () => at('stage').classList.remove('over'));
addEventListener('drop', (event) => {
  event.preventDefault();
  at('stage').classList.remove('over');
  const file = event.dataTransfer.files[0];
  if (file) showFile(file);
  else say('This is no file. Save the picture first, then drop it here.', true);
});

try {
  ({ models } = await listed());
  at('model').replaceChildren(...[...new Set(models.map(({ name }) => name))].map((name) => new Option(name, name)));
  offerPrecisions();
  await useModel();
} catch (error) {
  say(`The list of models cannot be loaded: ${error.message}.`, true);
}
// So that the page works without a connection after the first visit.
if (!isEmbedded) navigator.serviceWorker?.register('service-worker.js').catch(() => {});
