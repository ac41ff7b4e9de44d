import { libc } from './libc.ts'

/** POSIX_FADV_WILLNEED on every architecture Holdfast knows. */
const WILL_NEED = 3

/**
 * Tells the system that a part of an open file will be read soon, so that it fetches it from the disk while we compute. Never fails; does
 * nothing where the system cannot be told.
 */
export function willRead(fd: number, offset: number, length: number): void {
  libc()?.posix_fadvise(fd, offset, length, WILL_NEED)
}
