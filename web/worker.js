// The worker: keeps the page free while the network loads and computes.

import { Engine, threadsFor, wasmFile } from './engine.js';
import { bitmapOf } from './images.js';
import { readWeights } from './weights.js';

let engine;
let about;
let canvas;
const stops = new Map();

/** The file's bytes, with what is known of their number. */
async function opened(source, signal) {
  if (source instanceof ArrayBuffer) {
    return { stream: new Blob([source]).stream(), total: source.byteLength };
  }
  const response = await fetch(source, { signal }).catch((error) => {
    throw signal.aborted ? error : new Error(`${source} cannot be loaded: ${error.message}`);
  });
  if (!response.ok) throw new Error(`${source} cannot be loaded: ${response.status} ${response.statusText}`);
  return { stream: response.body, total: Number(response.headers.get('content-length') ?? 0) };
}

async function load({ id, wasm, base, weights, threads: wished }) {
  const stop = new AbortController();
  stops.set(id, stop);
  try {
    const startThread = (message) => {
      const thread = new Worker(new URL('thread.js', base), { type: 'module' });
      // Whatever is wrong with it, the others compute its share.
      thread.onerror = (event) => event.preventDefault();
      thread.postMessage(message);
    };
    const engineFor = async (numberType, detects) => {
      // A file that the caller gives has no threads, and the files with threads have no detectors.
      const threads = wasm === undefined && !detects ? threadsFor(wished, numberType) : 1;
      const { stream } = await opened(wasm ?? new URL(wasmFile(numberType, threads), base).href, stop.signal);
      const module = await WebAssembly.compile(await new Response(stream).arrayBuffer());
      return Engine.create(module, threads, startThread);
    };
    const file = await opened(weights, stop.signal);
    let loaded = 0;
    ({ engine, about } = await readWeights(engineFor, file.stream, (count) => {
      loaded += count;
      postMessage({ id, progress: { loaded, total: file.total } });
    }));
    // The engine compiles a function for speed only after it has run.
    engine.run();
    engine.run();
    return { ...about, threads: engine.threads };
  } finally {
    stops.delete(id);
  }
}

/** Gives an image's rows to the engine, in strips. */
function setPhoto(image) {
  const { width, height } = image;
  if (image.data) {
    const row = 4 * width;
    engine.setPhoto(width, height, (y, count) => image.data.subarray(y * row, (y + count) * row));
    return;
  }
  canvas ??= new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  engine.setPhoto(width, height, (y, rows) => {
    if (canvas.canvas.width !== width || canvas.canvas.height < rows) {
      canvas.canvas.width = width;
      canvas.canvas.height = rows;
    }
    canvas.clearRect(0, 0, width, rows);
    canvas.drawImage(image, 0, -y);
    return canvas.getImageData(0, 0, width, rows).data;
  });
}

async function run({ image: given, input }) {
  const image = given instanceof Blob ? await bitmapOf(given) : given;
  // Rows and columns; boxes in an input without an image are shares of it.
  const size = image ? [image.height, image.width] : [1, 1];
  const start = performance.now();
  try {
    if (input) engine.setInput(input);
    else setPhoto(image);
  } finally {
    image?.close?.();
  }
  const ready = performance.now();
  const outputs = engine.run();
  const end = performance.now();
  return { ...outputs, size, milliseconds: end - ready, preparation: ready - start, memory: engine.bytes };
}

self.onmessage = async ({ data }) => {
  const { id, type } = data;
  if (type === 'stop') return void stops.get(id)?.abort();
  try {
    postMessage({ id, result: await (type === 'load' ? load(data) : run(data)) });
  } catch (error) {
    postMessage({ id, error: { name: error.name, message: error.message } });
  }
};
