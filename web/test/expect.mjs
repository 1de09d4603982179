// What tests share: counting, and files that browsers must refuse.

import { deflateSync } from 'node:zlib';

let failures = 0;

/** Runs a named check. */
export async function check(name, run) {
  try {
    const note = await run();
    console.log(`ok    ${name}${note ? `: ${note}` : ''}`);
  } catch (error) {
    failures += 1;
    console.error(`FAIL  ${name}: ${error.message}`);
  }
}

/** Ends the program, with 1 if a check failed. */
export function finish() {
  if (failures > 0) console.error(`${failures} checks failed`);
  process.exit(failures > 0 ? 1 : 0);
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** A PNG of one colour. */
export function png(width, height) {
  const line = Buffer.alloc(1 + 3 * width, 120);
  line[0] = 0;
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => line)), { level: 9 });
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  size.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', size), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(checksum(body), body.length + 4);
  return whole;
}

function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** A JPEG with an EXIF note of how it is turned. */
export function turned(jpeg, orientation) {
  const exif = Buffer.from('Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0', 'latin1');
  exif[25] = orientation;
  const head = Buffer.from([0xff, 0xd8, 0xff, 0xe1, 0, exif.length + 2]);
  return Buffer.concat([head, exif, jpeg.subarray(2)]);
}

/** A file of weights with something changed: its header, and the bytes of its tensors. */
export function changedWeights(file, change) {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length));
  const own = JSON.parse(header.__metadata__.mobilenet_web);
  const data = Buffer.from(file.subarray(8 + length));
  change({ header, own, data });
  header.__metadata__.mobilenet_web = JSON.stringify(own);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, data]);
}
