import { PassThrough } from 'node:stream'
import type { AnyCommand } from '../../src/cli/command.ts'
import type { CommandEntry, Registry } from '../../src/cli/registry.ts'
import { registry as realRegistry } from '../../src/cli/registry.ts'
import { run, type System } from '../../src/cli/run.ts'
import type { InputStream, OutputStream } from '../../src/cli/terminal.ts'
import { systemClock } from '../../src/lib/clock.ts'

/** Collects what is written; `failing` makes every write fail with this system error. */
export class Collector implements OutputStream {
  text = ''
  readonly isTTY: boolean
  readonly columns: number
  failing: string | undefined

  constructor(options: { readonly isTTY?: boolean; readonly columns?: number } = {}) {
    this.isTTY = options.isTTY ?? false
    this.columns = options.columns ?? 80
  }

  write(data: string | Uint8Array, written: (error?: Error | null) => void): boolean {
    if (this.failing === undefined) this.text += typeof data === 'string' ? data : Buffer.from(data).toString('utf8')
    const error =
      this.failing === undefined ? undefined : Object.assign(new Error(`write ${this.failing}`), { code: this.failing })
    queueMicrotask(() => written(error))
    return true
  }
}

/** A standard input that tests write to; a terminal when asked. */
export class TypedInput extends PassThrough implements InputStream {
  readonly isTTY: boolean
  rawModes: boolean[] = []

  constructor(isTTY = false) {
    super()
    this.isTTY = isTTY
  }

  setRawMode(raw: boolean): void {
    this.rawModes.push(raw)
  }
}

export interface Stage extends System {
  readonly stdin: TypedInput
  readonly stdout: Collector
  readonly stderr: Collector
}

/** A system without a terminal and with nothing in its environment, unless `parts` say otherwise. */
export function stage(parts: Partial<Stage> = {}): Stage {
  return {
    stdin: new TypedInput(),
    stdout: new Collector(),
    stderr: new Collector(),
    environment: {},
    clock: systemClock,
    controller: new AbortController(),
    ...parts,
  }
}

/** An entry of a registry for one command. */
export const entryOf = (command: AnyCommand): CommandEntry => ({
  name: command.name,
  describe: async () => command,
  load: async () => command,
})

export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line on a stage and tells what came out. */
export async function play(
  args: readonly string[],
  parts: Partial<Stage> = {},
  registry: Registry = realRegistry,
): Promise<Outcome> {
  const system = stage(parts)
  const exitCode = await run(args, system, registry)
  return { exitCode, stdout: system.stdout.text, stderr: system.stderr.text }
}
