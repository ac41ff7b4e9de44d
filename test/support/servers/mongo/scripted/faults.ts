import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from './command.ts'
import { MongoFailure } from './failure.ts'

/** Something that goes wrong with commands that match. */
export interface Fault {
  /** Of the commands it concerns; all but greetings by default. */
  readonly command?: string
  readonly db?: string
  /** The collection in the command. */
  readonly collection?: string
  /** How many that match are spared first. */
  readonly after?: number
  /** How many are hit then; all by default. */
  readonly times?: number
  /** Answer with this error. */
  readonly code?: number
  readonly message?: string
  readonly labels?: readonly string[]
  /** Answer late. */
  readonly delayMs?: number
  /** Cut the connection: without having run the command, or when it has run. */
  readonly cut?: 'before' | 'after'
  /** Called when it hits, before anything else: to change what is there at this very moment. */
  readonly run?: (command: Command) => void | Promise<void>
}

const GREETINGS: ReadonlySet<string> = new Set(['hello', 'isMaster', 'ismaster', 'ping', 'buildInfo', 'endSessions'])

interface Planned {
  readonly fault: Fault
  seen: number
}

/** What is planned to go wrong. */
export class Faults {
  #planned: Planned[] = []
  readonly #commands: string[] = []

  /** Names of all commands that came, in their order. */
  get commands(): readonly string[] {
    return this.#commands
  }

  add(fault: Fault): void {
    this.#planned.push({ fault, seen: 0 })
  }

  clear(): void {
    this.#planned = []
  }

  /** Does what is planned for a command. @throws MongoFailure when it is to fail */
  async before(command: Command, signal: AbortSignal): Promise<'cut' | 'cut-after' | undefined> {
    this.#commands.push(command.name)
    for (const planned of this.#planned) {
      if (!concerns(planned.fault, command)) continue
      const { after = 0, times = Number.POSITIVE_INFINITY, code, message, labels, delayMs, cut, run } = planned.fault
      const position = planned.seen++
      if (position < after || position >= after + times) continue
      await run?.(command)
      if (delayMs !== undefined) await delay(delayMs, undefined, { signal }).catch(() => undefined)
      if (code !== undefined)
        throw new MongoFailure(code, message ?? 'planned by the test', { ...(labels && { labels }) })
      if (cut !== undefined) return cut === 'before' ? 'cut' : 'cut-after'
    }
    return undefined
  }
}

function concerns({ command: name, db, collection }: Fault, command: Command): boolean {
  if (name === undefined ? GREETINGS.has(command.name) : name !== command.name) return false
  if (db !== undefined && db !== command.db) return false
  const named = command.name === 'getMore' ? command.string('collection') : command.text(command.name)
  return collection === undefined || collection === named
}
