// One instance of the module: a network, photos in, numbers out. Runs anywhere, also without a page.

/** An error that the module explains, or that ended it. */
export class EngineError extends Error {
  name = 'EngineError';
}

/** The smallest module with a relaxed instruction. */
const RELAXED = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15,
  65, 2, 253, 15, 253, 128, 2, 11,
]);
/** The same with one plain instruction. */
const PLAIN = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
]);

/** Which of the files this browser runs. */
export function wasmFile() {
  if (WebAssembly.validate(RELAXED)) return 'mobilenet.relaxed.wasm';
  if (WebAssembly.validate(PLAIN)) return 'mobilenet.wasm';
  throw new EngineError('This browser has no SIMD in WebAssembly. Chrome 91, Firefox 89, Safari 16.4 have it.');
}

/** Pixels of a photo that are copied at once. */
const STRIP = 1 << 18;

/** The module with its network. */
export class Engine {
  #exports;

  /** @param {WebAssembly.Module} module */
  static async create(module) {
    const engine = new Engine();
    engine.#exports = (await WebAssembly.instantiate(module, {})).exports;
    return engine;
  }

  /** Calls a function of the module that can fail. */
  #call(name, ...given) {
    let failed;
    try {
      failed = this.#exports[name](...given);
    } catch (error) {
      throw new EngineError(`The network cannot be computed: ${error.message}.`);
    }
    if (failed === 1) this.#fail();
  }

  /** Throws what the module says about its last failure. */
  #fail() {
    const { last_error_text: text, last_error_length: length, memory } = this.#exports;
    throw new EngineError(new TextDecoder().decode(new Uint8Array(memory.buffer, text(), length())));
  }

  /** Room in the module for bytes that come next, until the next call. */
  scratch(bytes) {
    let address;
    try {
      address = this.#exports.module_scratch(bytes);
    } catch {
      throw new EngineError('There is not enough memory.');
    }
    if (address === 0) this.#fail();
    return new Uint8Array(this.#exports.memory.buffer, address >>> 0, bytes);
  }

  #write(words) {
    this.scratch(4 * words.length).set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
  }

  /** Begins with a network. */
  open(description, bytes) {
    this.#write(description);
    this.#call('network_open', bytes);
  }

  /** Takes a layer that was written to `scratch`. */
  layer(kind) {
    this.#call('network_layer', kind);
  }

  /** Ends the network, and sets the rule by which photos become its input. */
  plan(rule) {
    this.#call('network_plan');
    this.#write(rule);
    this.#call('photo_rule');
  }

  /**
   * Makes the input of a photo.
   *
   * @param rgba gives rows: called with the first row and their number
   */
  setPhoto(width, height, rgba) {
    this.#call('photo_begin', height, width);
    const rows = Math.max(1, Math.floor(STRIP / width));
    for (let y = 0; y < height; y += rows) {
      const count = Math.min(rows, height - y);
      const pixels = rgba(y, count);
      this.scratch(pixels.length).set(pixels);
      this.#call('photo_rows');
    }
    this.#call('photo_finish');
  }

  #numbers(name) {
    const { memory, [`network_${name}`]: address, [`network_${name}_length`]: length } = this.#exports;
    return new Float32Array(memory.buffer, address() >>> 0, length());
  }

  /** Sets the input itself, `[rows, columns, channels]`, normalised. */
  setInput(values) {
    const input = this.#numbers('input');
    if (values.length !== input.length) {
      throw new EngineError(`The input has ${input.length} values, found ${values.length}.`);
    }
    input.set(values);
  }

  /** The input, copied. */
  input() {
    return this.#numbers('input').slice();
  }

  /** Computes the input's logits and features. */
  run() {
    this.#call('network_run');
    return { logits: this.#numbers('logits').slice(), features: this.#numbers('features').slice() };
  }

  /** Bytes of the module's memory. */
  get bytes() {
    return this.#exports.memory.buffer.byteLength;
  }
}
