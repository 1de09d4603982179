/** What an image can be: also RGBA bytes, or the network's own input, `[rows, columns, channels]`. */
export type Image =
  | ImageBitmapSource
  | { width: number; height: number; data: Uint8ClampedArray | Uint8Array }
  | Float32Array;

export interface LoadOptions {
  /** A file of weights that `cargo xtask web` wrote, of any classes; else the next four choose. */
  modelUrl?: string;
  /** The file's bytes. */
  modelData?: ArrayBuffer;
  version?: 1;
  /** Width of the network. */
  alpha?: 0.25 | 0.5 | 0.75 | 1;
  /** Side of the network's input. */
  size?: 128 | 160 | 192 | 224;
  precision?: 'f16' | 'int8' | 'integers';
  /** Folder of the modules and of `weights/`; where this package is, if it is not given. */
  base?: string;
  /** The module's file; which one of `base` it is depends on browser and weights. */
  wasmUrl?: string;
  wasmData?: ArrayBuffer;
  /** Most threads, 1 if it is not given. More than 1 need a page that is cross-origin isolated. */
  threads?: number;
  workerUrl?: string | URL;
  /** `classic` for a bundle without imports. */
  workerType?: 'module' | 'classic';
  onProgress?: (progress: { loaded: number; total: number }) => void;
  signal?: AbortSignal;
}

export interface Prediction {
  className: string;
  probability: number;
  /** Number of the class. */
  index: number;
}

export interface FoundObject {
  className: string;
  /** From 0 to 1. */
  score: number;
  /** Number of the class. */
  index: number;
  /** Top, left, bottom and right in pixels of the image; shares of it, if a network's input was given. */
  box: [number, number, number, number];
}

export interface Outputs {
  /** A detector's scores. */
  logits: Float32Array;
  /** A detector's encodings of boxes. */
  features: Float32Array;
  /** Rows and columns of the image. */
  size: [number, number];
  /** Time of the network. */
  milliseconds: number;
  /** Time in which the image became the network's input. */
  preparation: number;
  /** Bytes of the module's memory. */
  memory: number;
}

export declare class MobileNet {
  readonly labels: string[];
  readonly leastProbability: number;
  readonly source: string;
  /** Number of threads that compute. */
  readonly threads: number;
  classify(image: Image, options?: number | { topk?: number; threshold?: number }): Promise<Prediction[]>;
  /** Whether it finds objects, and does not name the image. */
  readonly detects: boolean;
  /** `threshold` is 0.5, and `most` as the weights say, if they are not given. */
  detect(image: Image, options?: { threshold?: number; most?: number }): Promise<FoundObject[]>;
  /** The classes, or the objects, of what `run` gave. */
  answers(outputs: Outputs, options?: { topk?: number; threshold?: number }): Prediction[];
  objects(outputs: Outputs, options?: { threshold?: number; most?: number }): FoundObject[];
  infer(image: Image, embedding?: boolean): Promise<Float32Array>;
  run(image: Image): Promise<Outputs>;
  dispose(): void;
}

export declare function load(options?: LoadOptions): Promise<MobileNet>;
