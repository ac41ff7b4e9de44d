import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Processes of this machine that were started with `folder` or something in it among their arguments, or work in it. Linux only. */
export function processesIn(folder: string): readonly number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid && concerns(pid, folder))
  } catch {
    return []
  }
}

function concerns(pid: number, folder: string): boolean {
  const isWithin = (path: string): boolean => `${path}/`.includes(`${folder}/`)
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').some(isWithin) ||
      isWithin(readlinkSync(`/proc/${pid}/cwd`))
    )
  } catch {
    // It has ended, or belongs to somebody else.
    return false
  }
}

/** Whether a process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  try {
    // The field behind the name is the state.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return process.platform !== 'linux'
  }
}

/** Ends processes that may have ended by themselves. */
export function killAll(pids: Iterable<number>): void {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Gone.
    }
}
