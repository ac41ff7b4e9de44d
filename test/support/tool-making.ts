import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toolCache } from './tool-cache.ts'

/**
 * What is known of tools that are made in the background while tests run, by the names of requirements: `scripts/setup.ts` announces them,
 * `scripts/make-tools.ts` makes them, and tests that need one wait for it.
 */
interface Making {
  /** Process that makes it, or will. */
  readonly pid?: number
  /** Why it could not be made. */
  readonly failure?: string
}

const notes = (): string => join(toolCache(), 'making')

/** Says that a process makes a tool from now on. */
export const announceMaking = (name: string, pid: number): void => note(name, { pid })

/** Says that it is done with it. */
export function concludeMaking(name: string, failure?: string): void {
  if (failure === undefined) rmSync(join(notes(), name), { force: true })
  else note(name, { failure })
}

/** Whether a process that is alive makes a tool. One that was killed makes nothing. */
export function isBeingMade(name: string): boolean {
  const { pid } = read(name)
  return pid !== undefined && isMaker(pid)
}

/** Blocks the thread until nobody makes the tool: whoever asks what a machine lacks does so while test files are loaded, and needs an answer. */
export function awaitMaking(name: string): void {
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  while (isBeingMade(name)) Atomics.wait(nobody, 0, 0, POLL_MS)
}

/** What could not be made, and why. */
export function failedMakings(): readonly { readonly name: string; readonly failure: string }[] {
  try {
    return readdirSync(notes()).flatMap((name) => {
      const { failure } = read(name)
      return failure === undefined ? [] : [{ name, failure }]
    })
  } catch {
    return []
  }
}

/** By which a process that makes tools is known from one that was given its number later. */
const MAKER = 'make-tools.ts'

const POLL_MS = 200

function note(name: string, making: Making): void {
  mkdirSync(notes(), { recursive: true, mode: 0o755 })
  writeFileSync(join(notes(), name), JSON.stringify(making))
}

function read(name: string): Making {
  try {
    return JSON.parse(readFileSync(join(notes(), name), 'utf8')) as Making
  } catch {
    return {}
  }
}

function isMaker(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !existsSync('/proc/self/cmdline') || readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(MAKER)
  } catch {
    return false
  }
}
