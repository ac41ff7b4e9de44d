import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fakeGcsProgram } from './gcs-program.ts'
import { freePort, serverFolder } from './server-folder.ts'

export interface FakeGcs extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly environment: { readonly STORAGE_EMULATOR_HOST: string }
  /** Makes a bucket, as its owner would. */
  makeBucket(description: object): Promise<void>
  stop(): Promise<void>
}

const START_TRIES = 200

/** fake-gcs-server, which keeps objects in memory, on a free port of 127.0.0.1. It asks nobody for credentials. */
export async function startFakeGcs(): Promise<FakeGcs> {
  const folder = serverFolder('gcs')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const place = ['-scheme', 'http', '-host', '127.0.0.1', '-port', String(port), '-external-url', endpoint]
  const child = spawn(
    fakeGcsProgram(),
    [...place, '-backend', 'memory', '-log-level', 'error', '-filesystem-root', folder],
    {
      cwd: folder,
      stdio: 'ignore',
    },
  )
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', kill)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  for (let tries = 0; ; tries++) {
    const isUp = await fetch(`${endpoint}/storage/v1/b?project=x`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isUp) break
    if (tries > START_TRIES || child.exitCode !== null) {
      await stop()
      throw new Error('fake-gcs-server did not start')
    }
    await new Promise((resolve) => setTimeout(resolve, 10 + tries))
  }
  const makeBucket = async (description: object): Promise<void> => {
    const body = JSON.stringify(description)
    const answer = await fetch(`${endpoint}/storage/v1/b?project=x`, { method: 'POST', body })
    if (!answer.ok) throw new Error(`fake-gcs-server answered ${answer.status}: ${await answer.text()}`)
  }
  const environment = { STORAGE_EMULATOR_HOST: endpoint }
  return { port, endpoint, environment, makeBucket, stop, [Symbol.asyncDispose]: stop }
}
