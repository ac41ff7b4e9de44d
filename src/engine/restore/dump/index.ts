/** Writes directories of a snapshot as tar or zip archives that ordinary tools read, byte for byte as the names and contents are stored. */
export type { DumpEntry, DumpOptions } from './dump-entry.ts'
export { writeTar } from './tar.ts'
export { writeZip } from './zip.ts'
