// The package: `load` a network, `classify` images, `detect` objects, `infer` logits or features. After the interface of
// tfjs-models' mobilenet. All work is done in a worker, and nothing leaves the browser.

import { best } from './answers.js';
import { objects } from './detect.js';
import { bitmapOf } from './images.js';

const aborted = (signal) => signal.reason ?? new DOMException('Loading was stopped.', 'AbortError');

/** The file of weights that options name. */
function weightsUrl({ modelUrl, version = 1, alpha = 1, size = 224, precision = 'f16', base }) {
  if (modelUrl !== undefined) return modelUrl;
  if (Number(version) !== 1) throw new Error(`There is no version ${version} here, only MobileNet version 1.`);
  const width = Number(alpha) === 1 ? '1.0' : String(alpha);
  return new URL(`weights/mobilenet_v1_${width}_${size}.${precision}.safetensors`, base).href;
}

/** What a worker is asked, and what it answers. */
class Connection {
  #worker;
  #waiting = new Map();
  #next = 0;
  #ended;

  constructor(url, type) {
    this.#worker = new Worker(url, { type });
    this.#worker.onmessage = ({ data: { id, progress, result, error } }) => {
      const waiting = this.#waiting.get(id);
      if (progress) return void waiting?.onProgress?.(progress);
      this.#waiting.delete(id);
      if (error) waiting?.reject(Object.assign(new Error(error.message), { name: error.name }));
      else waiting?.resolve(result);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault?.();
      this.end(new Error(`The worker cannot run: ${event.message ?? 'it could not be loaded'}.`));
    };
  }

  ask(message, { transfer = [], onProgress } = {}) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ ...message, id }, transfer);
    });
  }

  end(reason) {
    this.#ended ??= reason;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}

/** An image as the worker takes it, and what of it moves there. */
async function imageOf(source) {
  if (source instanceof Float32Array) return [{ input: source }, []];
  // Read in the worker: to read a large photo takes seconds.
  if (source instanceof Blob) return [{ image: source }, []];
  if (source?.data && source.width && source.height) {
    return [{ image: { width: source.width, height: source.height, data: source.data } }, []];
  }
  const bitmap = await bitmapOf(source);
  return [{ image: bitmap }, [bitmap]];
}

/** A network in its worker. */
export class MobileNet {
  #connection;
  #about;

  constructor(connection, about) {
    this.#connection = connection;
    this.#about = about;
  }

  /** Names of the classes. */
  get labels() {
    return this.#about.labels;
  }

  /** The probability below which the best class is no answer, as the weights say. */
  get leastProbability() {
    return this.#about.leastProbability;
  }

  /** Number of threads that compute: 1 where the page is not cross-origin isolated. */
  get threads() {
    return this.#about.threads;
  }

  /** Whether it finds objects, and does not name the image. */
  get detects() {
    return this.#about.detector !== undefined;
  }

  /** Where the weights come from. */
  get source() {
    return this.#about.source;
  }

  /** Logits, features, and times in milliseconds. */
  async run(image) {
    const [message, transfer] = await imageOf(image);
    return this.#connection.ask({ type: 'run', ...message }, { transfer });
  }

  /** The best classes of an image. */
  async classify(image, options = {}) {
    const outputs = await this.run(image);
    return this.answers(outputs, typeof options === 'number' ? { topk: options } : options);
  }

  /** The best classes of what `run` gave. */
  answers({ logits }, options = {}) {
    if (this.detects) throw new Error('These weights find objects: use `detect`.');
    return best(logits, this.labels, options);
  }

  /** The objects in an image, best first. */
  async detect(image, options = {}) {
    return this.objects(await this.run(image), options);
  }

  /** The objects of what `run` gave. */
  objects(outputs, options = {}) {
    if (!this.detects) throw new Error('These weights name an image and find no objects: use `classify`.');
    return objects(outputs, this.#about.detector, this.labels, outputs.size, options);
  }

  /** Logits, or with `embedding` the pooled features. */
  async infer(image, embedding = false) {
    const { logits, features } = await this.run(image);
    return embedding ? features : logits;
  }

  /** Ends the worker and frees its memory. */
  dispose() {
    this.#connection.end(new Error('The network was disposed of.'));
  }
}

/** Loads a network; it is ready when it has run once. */
export async function load(options = {}) {
  const base = options.base ?? new URL('.', import.meta.url).href;
  const weights = options.modelData ?? weightsUrl({ ...options, base });
  const wasm = options.wasmData ?? options.wasmUrl;
  const { signal, onProgress } = options;
  if (signal?.aborted) throw aborted(signal);
  const workerUrl = options.workerUrl ?? new URL('./worker.js', import.meta.url);
  const connection = new Connection(workerUrl, options.workerType ?? 'module');
  const stop = () => connection.end(aborted(signal));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const absolute = typeof weights === 'string' ? new URL(weights, globalThis.document?.baseURI ?? base).href : weights;
    const about = await connection.ask({ type: 'load', wasm, base, weights: absolute, threads: options.threads }, { onProgress });
    return new MobileNet(connection, about);
  } catch (error) {
    connection.end(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
