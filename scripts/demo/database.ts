import { rmSync } from 'node:fs'
import { monotonicMilliseconds, systemClock } from '../../src/lib/clock.ts'
import type { SandboxFolder, SandboxProcess } from '../../src/sources/sandbox/sandbox-folder.ts'

/** A database of the demonstration. */
export interface DemoDatabase {
  /** The name of its source. */
  readonly name: string
  readonly product: string
  /** Its keys in holdfast.yaml. */
  readonly source: object
  /** Writes until it is told to stop. */
  write(signal: AbortSignal): Promise<void>
  /** How many writes are certainly in the database by now. */
  written(): number
  /** What it holds, in words. */
  describe(): string
  /** Kills the server and deletes its data. */
  destroy(): Promise<void>
  /** Starts a server on what was restored, and looks whether everything written by then is there. @returns what was found, in words */
  startAndProve(restored: string, writtenBefore: number): Promise<string>
}

export interface DemoServers {
  readonly sandbox: SandboxFolder
  readonly signal: AbortSignal
}

const START_MS = 30_000

/** Waits until a server answers. */
export async function whenReady(
  server: SandboxProcess,
  answers: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  for (const end = monotonicMilliseconds() + START_MS; ; await systemClock.sleep(50, signal)) {
    if (await answers().catch(() => false)) return
    if (server.end !== undefined || monotonicMilliseconds() > end)
      throw new Error(`a server does not start (${server.end ?? 'it does not answer'}):\n${server.log()}`)
  }
}

/** Deletes what a killed server leaves. */
export const removeData = (path: string): void =>
  rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
