import { libc } from './libc.ts'

/** POSIX_FADV_WILLNEED on every architecture Holdfast knows. */
const WILL_NEED = 3

/** SYNC_FILE_RANGE_WRITE of Linux. */
const BEGIN_WRITING = 2

/**
 * Has the system begin to write a part of an open file to the disk, to its end with a length of 0, without waiting for it: whoever syncs the
 * file later waits the less. Never fails; does nothing where the system cannot be told, and promises nothing.
 */
export function beginWriteBack(fd: number, offset = 0, length = 0): void {
  libc()?.sync_file_range(fd, offset, length, BEGIN_WRITING)
}

/**
 * Tells the system that a part of an open file will be read soon, so that it fetches it from the disk while we compute. Never fails; does
 * nothing where the system cannot be told.
 */
export function willRead(fd: number, offset: number, length: number): void {
  libc()?.posix_fadvise(fd, offset, length, WILL_NEED)
}
