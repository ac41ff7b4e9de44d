import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as os from 'node:os'

/** What results depend on; printed beside every figure. */
export interface Machine {
  readonly processor: string
  readonly processors: number
  /** Of the instructions that matter to hashes, ciphers and copies, those this processor has. */
  readonly instructions: readonly string[]
  readonly memoryBytes: number
  readonly kernel: string
  readonly fileSystem: string
  readonly node: string
  /** Programs that wanted to run in the minute before the first measurement; other work on the machine spoils the figures. */
  readonly load: number
}

const instructionsOfInterest = ['sha_ni', 'aes', 'vaes', 'avx2', 'avx512f', 'pclmulqdq', 'sha2', 'asimd']

/** Facts of this machine, to be taken before anything is measured; `folder` is where the benchmark reads and writes. */
export function describeMachine(folder: string): Machine {
  const facts = readFileSync('/proc/cpuinfo', 'utf8')
  const flags = new Set((/^(?:flags|Features)\s*:\s*(.*)$/m.exec(facts)?.[1] ?? '').split(' '))
  return {
    processor: os.cpus()[0]?.model ?? 'unknown',
    processors: os.availableParallelism(),
    instructions: instructionsOfInterest.filter((name) => flags.has(name)),
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    fileSystem: spawnSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' }).stdout.trim(),
    node: process.version,
    load: os.loadavg()[0]!,
  }
}
