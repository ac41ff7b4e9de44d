import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'

/** Servers of this machine that work in a folder, and those that cannot be seen whether they do. Linux only. */
export interface ServersInFolder {
  readonly certain: readonly number[]
  readonly unknown: readonly number[]
}

/** In the title a server gives itself: `/usr/bin/redis-server 127.0.0.1:6379`. */
const SERVER_TITLE = /(?:^|\/)(?:redis|valkey|keydb)-(?:server|sentinel)\b/

/** A server may have been started by another program, such as a loader. */
const MAX_WORDS = 4

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
      const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split(/[\0 ]/)
      if (!words.slice(0, MAX_WORDS).some((word) => SERVER_TITLE.test(word))) continue
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
