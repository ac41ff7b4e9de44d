import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../../../lib/errors.ts'
import { workerModule } from '../../../lib/worker-pool.ts'
import type { RedisConnection } from '../client.ts'

/** What a server is to become again that was told to replicate us. */
export interface ReplicationWatch {
  readonly connection: Omit<RedisConnection, 'signal'>
  /** Where we are its master. */
  readonly master: { readonly host: string; readonly port: number }
  /** The password for masters that we give it, and the one it had. */
  readonly token: string
  readonly masterauth: string
}

/** A process that makes a master of a server again when this one ends without having done it. */
export interface ReplicationWatchdog {
  /** The server is a master again: nothing is left to do. */
  dismiss(): Promise<void>
  /** Have it done now, and for as long as it takes: we could not. */
  release(): void
}

/**
 * Starts it. What it has to know, secrets among it, goes through its standard input, which ends when this process does, however that may be.
 * @throws HoldfastError HF_RESTORE_FAILED when it does not start
 */
export async function watchReplication(watch: ReplicationWatch): Promise<ReplicationWatchdog> {
  // A session of its own: what ends a group of processes must not end it.
  const child = spawn(
    process.execPath,
    [fileURLToPath(workerModule(import.meta.url, 'replication-watchdog-process'))],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    },
  )
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(
        new HoldfastError(
          'HF_RESTORE_FAILED',
          `a process that puts the server right if this one is killed cannot be started: ${cause.message}`,
          {
            cause,
            hint: 'the server has not been touched; the machine may have too many processes or too little memory',
          },
        ),
      )
    child.once('error', fail)
    child.stdin.once('error', fail)
    child.stdin.write(JSON.stringify(watch), (error) => (error ? fail(error) : resolve()))
  })
  child.stdin.on('error', () => undefined)
  child.unref()
  return {
    dismiss: async () => {
      child.kill('SIGKILL')
      await ended
    },
    release: () => child.stdin.end(),
  }
}
