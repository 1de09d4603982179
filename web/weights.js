// Reads a file of weights while it comes: safetensors, whose header describes the network for the
// module and names the tensors layer by layer. The module checks all that the description says.

import { readDetector } from './detect.js';

/** Longest header, in bytes. ImageNet's has 40 kB. */
const LONGEST_HEADER = 16 << 20;
/** Types of weights, as `network_layer` numbers them. */
const KINDS = { F32: 0, F16: 1, I8: 2, U8: 2 };
/** Entry of the header that is ours. */
const ENTRY = 'mobilenet_web';

/** A file that is not what it should be. */
export class WeightsError extends Error {
  name = 'WeightsError';
}

/** Bytes of a stream, in order. */
class ByteReader {
  #reader;
  #chunk = new Uint8Array(0);
  #onBytes;

  constructor(stream, onBytes) {
    this.#reader = stream.getReader();
    this.#onBytes = onBytes;
  }

  /** Fills `to`, or fails if the stream ends before. */
  async fill(to) {
    let filled = 0;
    while (filled < to.length) {
      if (this.#chunk.length === 0) {
        const { done, value } = await this.#reader.read();
        if (done) throw new WeightsError('the weights end too early: the file is cut off');
        this.#chunk = value;
        this.#onBytes(value.length);
      }
      const part = this.#chunk.subarray(0, to.length - filled);
      to.set(part, filled);
      filled += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return to;
  }

  async take(count) {
    return this.fill(new Uint8Array(count));
  }

  cancel() {
    this.#reader.cancel().catch(() => {});
  }
}

/** Numbers of 32 bits, or a refusal. */
function words(numbers, what) {
  const isWord = (number) => Number.isInteger(number) && number >= 0 && number < 2 ** 32;
  if (!Array.isArray(numbers) || !numbers.every(isWord)) {
    throw new WeightsError(`the weights have no ${what}`);
  }
  return Uint32Array.from(numbers);
}

/** The layers in the file's order: bytes, and type of weights. */
function layersOf(tensors) {
  const entries = Object.entries(tensors).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  const layers = [];
  let end = 0;
  for (const [name, { dtype, data_offsets: [from, to] }] of entries) {
    const [layer, part] = name.split('.');
    if (from !== end || to < from) throw new WeightsError(`tensor ${name} is out of order`);
    if (layers.at(-1)?.layer !== layer) layers.push({ layer, bytes: 0, kind: 0 });
    const last = layers.at(-1);
    last.bytes += to - from;
    end = to;
    if (part !== 'weight') continue;
    if (!(dtype in KINDS)) throw new WeightsError(`tensor ${name} cannot be of type ${dtype}`);
    last.kind = KINDS[dtype];
  }
  return { layers, bytes: end };
}

/** The header's content. */
function parseHeader(text) {
  let header, own;
  try {
    header = JSON.parse(text);
    own = JSON.parse(header.__metadata__[ENTRY]);
  } catch {
    throw new WeightsError('this is no file of weights for the browser; `cargo xtask web` writes them');
  }
  const { __metadata__, ...tensors } = header;
  let found;
  try {
    found = layersOf(tensors);
  } catch (error) {
    if (error instanceof WeightsError) throw error;
    throw new WeightsError('the header of the weights is broken');
  }
  const detector = readDetector(own.detector);
  if (detector === null) throw new WeightsError('the rules of the detector are broken');
  const labels = Array.isArray(own.labels) ? own.labels.map(String) : [];
  return {
    ...found,
    network: words(own.network, 'description of a network'),
    rule: words(own.rule, 'rule for photos'),
    about: {
      labels,
      source: String(own.source ?? ''),
      precision: String(own.precision ?? ''),
      leastProbability: Number(own.least_probability ?? 0),
      detector,
    },
  };
}

/**
 * Loads a network into an engine, layer by layer.
 *
 * @param engineFor gives an engine for a number type, as `wasmFile` takes it, and for whether it is a
 *   detector's network
 * @param stream the file's bytes
 * @param onBytes called with the number of bytes of each part that came
 * @returns the engine, and what the file says about the network: labels, source
 */
export async function readWeights(engineFor, stream, onBytes = () => {}) {
  const reader = new ByteReader(stream, onBytes);
  try {
    const prefix = await reader.take(8);
    const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
    if (length > LONGEST_HEADER) {
      throw new WeightsError('this is no file of weights for the browser; `cargo xtask web` writes them');
    }
    const header = parseHeader(new TextDecoder().decode(await reader.take(length)));
    const engine = await engineFor(header.network[1], header.about.detector !== undefined);
    engine.open(header.network, header.bytes);
    for (const { bytes, kind } of header.layers) {
      await reader.fill(engine.scratch(bytes));
      engine.layer(kind);
    }
    engine.plan(header.rule);
    return { engine, about: header.about };
  } catch (error) {
    reader.cancel();
    throw error;
  }
}
