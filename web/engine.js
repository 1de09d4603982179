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

/**
 * The product of 4 times 127 and 255. The relaxed product of bytes is exact where it takes the second
 * factor as unsigned and does not saturate, as the instructions VNNI of x86-64 do. The module of
 * integers needs that; otherwise the one with plain SIMD, which is exact everywhere, is used.
 */
const PRODUCT = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 24, 1,
  22, 0, 65, 255, 0, 253, 15, 65, 255, 1, 253, 15, 65, 0, 253, 17, 253, 147, 2, 253, 27, 0, 11,
]);

/**
 * The bits of NaN limited to between 0 and 6. The module of f32 needs an engine whose relaxed minimum
 * and maximum let NaN through as the second operand: otherwise nobody would hear of it.
 */
const LIMITED = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 35, 1,
  33, 0, 67, 0, 0, 192, 64, 253, 19, 67, 0, 0, 0, 0, 253, 19, 67, 0, 0, 192, 127, 253, 19, 253, 142, 2,
  253, 141, 2, 253, 31, 0, 188, 11,
]);

/** What a module's function `f` returns. */
const valueOf = (bytes) => new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f();

/** Whether the module of a number type (0: f32, 1: integers) can have relaxed SIMD. */
function canRelax(numberType) {
  if (!WebAssembly.validate(RELAXED)) return false;
  if (numberType === 1) return valueOf(PRODUCT) === 4 * 127 * 255;
  return (valueOf(LIMITED) & 0x7fffffff) > 0x7f800000;
}

/** The module of each number type, as the weights' description numbers them. */
const MODULES = ['mobilenet', 'mobilenet.integers'];

/** Most threads: with more, a network of this size does not get faster. */
const MOST_THREADS = 8;

/** How many of the wished threads a network gets: several only on a page whose workers may share memory. */
export function threadsFor(wished = 1, numberType = 0) {
  const isPossible = globalThis.crossOriginIsolated === true && canRelax(numberType);
  return isPossible ? Math.max(1, Math.min(MOST_THREADS, Math.floor(wished) || 1)) : 1;
}

/** Which of the module's files computes a number type (0: f32, 1: integers) in this browser. */
export function wasmFile(numberType = 0, threads = 1) {
  const name = MODULES[numberType] ?? MODULES[0];
  if (threads > 1) return `${name}.threads.wasm`;
  if (canRelax(numberType)) return `${name}.relaxed.wasm`;
  if (WebAssembly.validate(PLAIN)) return `${name}.wasm`;
  throw new EngineError('This browser has no SIMD in WebAssembly. Chrome 91, Firefox 89, Safari 16.4 have it.');
}

/** Pixels of a photo that are copied at once. */
const STRIP = 1 << 18;

/** Pages of shared memory, at first and at most, as the module says (`xtask/src/web/compile.rs`). */
const SHARED = { initial: 64, maximum: 4096, shared: true };
/** Bytes of a thread's stack. */
const STACK = 1 << 18;
/** The unit of `thread_room`. */
const UNIT = 16;

/** The module with its network. */
export class Engine {
  #exports;
  #memory;
  #module;
  #startThread;
  /** Number of threads that compute. */
  threads = 1;

  /**
   * @param {WebAssembly.Module} module
   * @param {number} threads more than 1 only for a module with threads
   * @param startThread called for each thread but the first: gives its message to `thread.js`
   */
  static async create(module, threads = 1, startThread = undefined) {
    const engine = new Engine();
    const imports = {};
    if (threads > 1) {
      Object.assign(engine, { threads });
      engine.#module = module;
      engine.#startThread = startThread;
      engine.#memory = new WebAssembly.Memory(SHARED);
      imports.env = { memory: engine.#memory };
    }
    engine.#exports = (await WebAssembly.instantiate(module, imports)).exports;
    engine.#memory ??= engine.#exports.memory;
    return engine;
  }

  /** Starts the threads, which sleep until the next run. It does not wait for them. */
  #startThreads() {
    const { __tls_size: { value: size }, thread_room: room } = this.#exports;
    for (let thread = 1; thread < this.threads; thread++) {
      const address = room(Math.ceil((STACK + size) / UNIT) + 1) >>> 0;
      // The stack grows downwards, from the thread's variables.
      const variables = address + STACK;
      this.#startThread({ module: this.#module, memory: this.#memory, stack: variables, variables });
    }
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
    const { last_error_text: text, last_error_length: length } = this.#exports;
    // A copy: no decoder takes shared memory.
    const bytes = new Uint8Array(this.#memory.buffer, text(), length()).slice();
    throw new EngineError(new TextDecoder().decode(bytes));
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
    return new Uint8Array(this.#memory.buffer, address >>> 0, bytes);
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
    this.#call('network_plan', this.threads);
    if (this.threads > 1) this.#startThreads();
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
    const { [`network_${name}`]: address, [`network_${name}_length`]: length } = this.#exports;
    return new Float32Array(this.#memory.buffer, address() >>> 0, length());
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
    return this.#memory.buffer.byteLength;
  }
}
