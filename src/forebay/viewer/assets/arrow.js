// Arrow IPC streams of flat columns: integers, floats, booleans, times and text.
// Tables for the screen have no other columns; columns of other types are left out and named.

const SCHEMA = 1;
const RECORD_BATCH = 3;
const TYPE = { int: 2, float: 3, utf8: 5, bool: 6, timestamp: 10, duration: 18 };
const text = new TextDecoder();

/** A flatbuffer table at a position: fields by number; an absent field is `undefined`. */
class Table {
  constructor(view, at) {
    this.view = view;
    this.at = at;
    this.vtable = at - view.getInt32(at, true);
  }
  static root(view) {
    return new Table(view, view.getUint32(0, true));
  }
  #where(field) {
    const offset = 4 + 2 * field;
    if (offset >= this.view.getUint16(this.vtable, true)) return 0;
    const found = this.view.getUint16(this.vtable + offset, true);
    return found && this.at + found;
  }
  u8 = (field, otherwise = 0) => this.#read(field, otherwise, (at) => this.view.getUint8(at));
  i16 = (field, otherwise = 0) => this.#read(field, otherwise, (at) => this.view.getInt16(at, true));
  i32 = (field, otherwise = 0) => this.#read(field, otherwise, (at) => this.view.getInt32(at, true));
  i64 = (field) => this.#read(field, 0, (at) => Number(this.view.getBigInt64(at, true)));
  #read(field, otherwise, read) {
    const at = this.#where(field);
    return at ? read(at) : otherwise;
  }
  #target(field) {
    const at = this.#where(field);
    return at && at + this.view.getUint32(at, true);
  }
  table(field) {
    const at = this.#target(field);
    return at ? new Table(this.view, at) : undefined;
  }
  string(field) {
    const at = this.#target(field);
    if (!at) return "";
    const { buffer, byteOffset } = this.view;
    return text.decode(new Uint8Array(buffer, byteOffset + at + 4, this.view.getUint32(at, true)));
  }
  /** Positions of a vector's elements, each of `size` bytes. */
  elements(field, size) {
    const at = this.#target(field);
    if (!at) return [];
    const count = this.view.getUint32(at, true);
    return Array.from({ length: count }, (_, i) => at + 4 + i * size);
  }
  tables(field) {
    return this.elements(field, 4).map((at) => new Table(this.view, at + this.view.getUint32(at, true)));
  }
}

function readField(field) {
  const kind = field.u8(2);
  const type = field.table(3);
  const named = { name: field.string(0), kind };
  if (kind === TYPE.int) return { ...named, bits: type.i32(0), signed: type.u8(1) === 1 };
  if (kind === TYPE.float) return { ...named, bits: [16, 32, 64][type.i16(0)] };
  if (![TYPE.utf8, TYPE.bool, TYPE.timestamp, TYPE.duration].includes(kind)) {
    throw new TypeError(`column ${named.name} is of Arrow type ${kind}, which is not flat`);
  }
  return { ...named, bits: 64, signed: true };
}

function arrayOf({ kind, bits, signed }) {
  if (kind === TYPE.float) return bits === 32 ? Float32Array : Float64Array;
  const signedOnes = { 8: Int8Array, 16: Int16Array, 32: Int32Array, 64: BigInt64Array };
  const unsigned = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array, 64: BigUint64Array };
  return (signed ? signedOnes : unsigned)[bits];
}

const bit = (bytes, at) => (bytes[at >> 3] >> (at & 7)) & 1;

function readColumn(field, rows, nulls, buffers) {
  const valid = buffers.shift();
  const isNull = (row) => nulls > 0 && valid.length > 0 && !bit(valid, row);
  if (field.kind === TYPE.utf8) {
    const offsets = aligned(Int32Array, buffers.shift(), rows + 1);
    const bytes = buffers.shift();
    return Array.from({ length: rows }, (_, row) =>
      isNull(row) ? null : text.decode(bytes.subarray(offsets[row], offsets[row + 1])),
    );
  }
  const data = buffers.shift();
  if (field.kind === TYPE.bool) {
    return Array.from({ length: rows }, (_, row) => (isNull(row) ? null : bit(data, row) === 1));
  }
  const values = aligned(arrayOf(field), data, rows);
  if (!nulls) return values;
  return Array.from(values, (value, row) => (isNull(row) ? null : value));
}

/** A typed array over bytes; a copy if they are not aligned to the size of its elements. */
function aligned(kind, bytes, length) {
  if (!length || !bytes.length) return new kind(0);
  const whole = bytes.byteOffset % kind.BYTES_PER_ELEMENT ? bytes.slice() : bytes;
  return new kind(whole.buffer, whole.byteOffset, length);
}

/** Read a stream of one schema; returns `{ rows, names, columns }`, 64-bit integers as BigInt. */
export function readTable(buffer) {
  const whole = new DataView(buffer);
  let fields = [];
  let rows = 0;
  const parts = [];
  let at = 0;
  while (at + 8 <= buffer.byteLength) {
    const size = whole.getInt32(at + 4, true);
    if (size === 0) break;
    const message = Table.root(new DataView(buffer, at + 8, size));
    const body = at + 8 + size;
    const header = message.table(2);
    if (message.u8(1) === SCHEMA) fields = header.tables(1).map(readField);
    if (message.u8(1) === RECORD_BATCH) {
      const { view } = header;
      const length = header.i64(0);
      const nullCounts = header.elements(1, 16).map((e) => Number(view.getBigInt64(e + 8, true)));
      const buffers = header.elements(2, 16).map((e) => {
        const start = Number(view.getBigInt64(e, true));
        return new Uint8Array(buffer, body + start, Number(view.getBigInt64(e + 8, true)));
      });
      parts.push(fields.map((field, i) => readColumn(field, length, nullCounts[i], buffers)));
      rows += length;
    }
    at = body + message.i64(3);
  }
  const columns = {};
  fields.forEach((field, i) => {
    columns[field.name] = parts.length === 1 ? parts[0][i] : parts.flatMap((part) => [...part[i]]);
  });
  return { rows, names: fields.map((field) => field.name), columns };
}
