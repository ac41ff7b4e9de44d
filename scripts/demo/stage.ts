import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'

/** Where the demonstration plays. */
export interface DemoStage {
  /** The scratch folder, which commands work in. */
  readonly folder: string
  /** Runs a command as a person would and prints it. @returns milliseconds */
  holdfast(args: readonly string[]): Promise<number>
}

/** `signal` ends the command that runs. */
export const createStage = (folder: string, program: string, signal: AbortSignal): DemoStage => ({
  folder,
  async holdfast(args) {
    console.log(`$ holdfast ${args.join(' ')}`)
    const started = monotonicMilliseconds()
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], signal })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => {
        output += data.toString()
      })
    }
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    const command = args.find((word, i) => !word.startsWith('-') && !args[i - 1]?.startsWith('-'))
    if (code !== 0) throw new Error(`holdfast ${command} ended with ${code}:\n${output}`)
    return monotonicMilliseconds() - started
  },
})

export const size = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

export function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

export function rate(milliseconds: number, bytes?: number): string {
  const seconds = `${(milliseconds / 1000).toFixed(2)} s`.padStart(8)
  return bytes === undefined ? seconds : `${seconds}   ${(bytes / 1e3 / milliseconds).toFixed(0)} MB/s`
}
