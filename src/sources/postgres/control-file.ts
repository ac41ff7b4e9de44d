/** What the head of `global/pg_control` says; it is the same in all versions we know (PostgreSQL, `src/include/catalog/pg_control.h`). */
export interface ControlFile {
  /** Of the cluster, 64 bits in decimal. */
  readonly systemId: string
  /** Of the file's format: 1300 for PostgreSQL 13 and later. */
  readonly controlVersion: number
  /** Of the system catalogs. */
  readonly catalogVersion: number
}

export const CONTROL_FILE = 'global/pg_control'
const HEAD_BYTES = 16
/** A file of a machine with another byte order has it in the upper half. */
const MAX_CONTROL_VERSION = 0xffff

/** Reads the head of a control file of a little-endian machine; undefined when it is none. Its checksum is not looked at. */
export function readControlFile(bytes: Uint8Array): ControlFile | undefined {
  if (bytes.length < HEAD_BYTES) return undefined
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, HEAD_BYTES)
  const controlVersion = head.readUInt32LE(8)
  if (controlVersion === 0 || controlVersion > MAX_CONTROL_VERSION) return undefined
  return {
    systemId: head.readBigUInt64LE(0).toString(),
    controlVersion,
    catalogVersion: head.readUInt32LE(12),
  }
}
