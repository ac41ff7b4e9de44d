import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'

export interface Measurement {
  readonly wallMs: number
  /** User and system time of the command and all it waited for. */
  readonly cpuMs: number
  /** Peak resident memory of the command and its children, as the kernel counts it. */
  readonly peakBytes: number
  /** Time the hypervisor gave to others, all processors together: above a few per cent of the wall the run says little. */
  readonly stealMs: number
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface MeasureOptions {
  readonly folder?: string
  readonly environment?: NodeJS.ProcessEnv
}

const POLL_MS = 20
const TICK_MS = 10
/** The shell waits for the command, so its `times` are exact; nothing in the string comes from outside. */
const SHELL_LINE = '"$@"; code=$?; times >&3; exit "$code"'

/** Runs a command (an argument vector) to its end and measures it. Linux only: reads /proc. */
export async function measure(command: readonly string[], options: MeasureOptions = {}): Promise<Measurement> {
  const stealBefore = stealTicks()
  const started = monotonicMilliseconds()
  const shell = spawn('/bin/sh', ['-c', SHELL_LINE, 'sh', ...command], {
    cwd: options.folder,
    env: options.environment ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  let peakBytes = 0
  const poll = setInterval(() => {
    if (shell.pid !== undefined) peakBytes = Math.max(peakBytes, peakOfChildren(shell.pid))
  }, POLL_MS)
  const texts = ['', '', '', '']
  for (const number of [1, 2, 3]) {
    shell.stdio[number]?.on('data', (data: Buffer) => {
      texts[number] += data.toString()
    })
  }
  try {
    const { exitCode, wallMs } = await new Promise<{ exitCode: number; wallMs: number }>((resolve, reject) => {
      let wallMs = 0
      shell.on('error', reject)
      shell.on('exit', () => {
        wallMs = monotonicMilliseconds() - started
      })
      shell.on('close', (code) => resolve({ exitCode: code ?? -1, wallMs }))
    })
    return {
      wallMs,
      cpuMs: parseTimes(texts[3]!),
      peakBytes,
      stealMs: (stealTicks() - stealBefore) * TICK_MS,
      exitCode,
      stdout: texts[1]!,
      stderr: texts[2]!,
    }
  } finally {
    clearInterval(poll)
  }
}

/** Milliseconds of the second line that the shell's `times` prints: user and system time of its children. */
export function parseTimes(text: string): number {
  const fields = /\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s/.exec(text)
  if (fields === null) throw new Error(`not the output of times: ${JSON.stringify(text)}`)
  const [minutes, seconds, systemMinutes, systemSeconds] = fields.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return Math.round(((minutes + systemMinutes) * 60 + seconds + systemSeconds) * 1000)
}

function peakOfChildren(pid: number): number {
  let sum = 0
  for (const child of childrenOf(pid)) {
    const line = /^VmHWM:\s+(\d+) kB/m.exec(readOrEmpty(`/proc/${child}/status`))
    sum += Number(line?.[1] ?? 0) * 1024 + peakOfChildren(child)
  }
  return sum
}

function childrenOf(pid: number): readonly number[] {
  let threads: readonly string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // It has ended.
  }
  return threads.flatMap((thread) =>
    readOrEmpty(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function stealTicks(): number {
  return Number(readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/)[8] ?? 0)
}
