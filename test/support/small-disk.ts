import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmdirSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system of its own that is gone at the end of the block. */
export interface SmallDisk extends Disposable {
  readonly path: string
  join(...parts: string[]): string
  /** Takes all space there is, but for `leaveBytes`. */
  fill(leaveBytes?: number): void
  /** Gives back what `fill` took. */
  free(): void
  setWritable(writable: boolean): void
}

const BLOCK = new Uint8Array(4096).fill(1)

function tryMount(path: string, options: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' }).status === 0
}

const unmount = (path: string): void => {
  spawnSync('umount', ['-l', path], { stdio: 'ignore' })
  rmdirSync(path)
}

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'holdfast-disk-'))

/** Whether this process may mount a file system: root in a container often may not. */
export function canMount(): boolean {
  if (process.getuid?.() !== 0) return false
  const path = newFolder()
  if (tryMount(path, 'size=64k')) {
    unmount(path)
    return true
  }
  rmdirSync(path)
  return false
}

/** Mounts a file system of `sizeBytes` in memory. Needs `canMount`. */
export function smallDisk(sizeBytes: number): SmallDisk {
  const path = newFolder()
  if (!tryMount(path, `size=${sizeBytes},mode=755`)) throw new Error(`nothing can be mounted at ${path}`)
  const ballast = join(path, 'ballast')
  return {
    path,
    join: (...parts) => join(path, ...parts),
    fill(leaveBytes = 0) {
      const fd = openSync(ballast, 'w')
      let taken = 0
      try {
        for (;;) taken += writeSync(fd, BLOCK)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      } finally {
        closeSync(fd)
      }
      if (leaveBytes > 0) spawnSync('truncate', ['-s', String(Math.max(0, taken - leaveBytes)), ballast])
    },
    free: () => unlinkSync(ballast),
    setWritable(writable) {
      const { status } = spawnSync('mount', ['-o', `remount,${writable ? 'rw' : 'ro'}`, path], { stdio: 'ignore' })
      if (status !== 0) throw new Error(`${path} cannot be mounted anew`)
    },
    [Symbol.dispose]: () => unmount(path),
  }
}
