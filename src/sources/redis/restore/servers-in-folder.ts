import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'

/** Servers of this machine that work in a folder, and those that cannot be seen whether they do. Linux only. */
export interface ServersInFolder {
  readonly certain: readonly number[]
  readonly unknown: readonly number[]
}

const SERVER_NAME = /^(redis|valkey|keydb)/

/** A server changes to its `dir` when it starts: it is looked for by that, whatever its configuration. */
export function serversInFolder(folder: string): ServersInFolder {
  const certain: number[] = []
  const unknown: number[] = []
  let path: string
  let pids: readonly number[]
  try {
    path = realpathSync(folder)
    pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  } catch {
    return { certain, unknown }
  }
  for (const pid of pids) {
    try {
      if (!SERVER_NAME.test(readFileSync(`/proc/${pid}/comm`, 'latin1'))) continue
    } catch {
      continue
    }
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) === path) certain.push(pid)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') unknown.push(pid)
    }
  }
  return { certain, unknown }
}
