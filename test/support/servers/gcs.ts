import { fakeGcsProgram } from './gcs-program.ts'
import { freePort, serverFolder } from './server-folder.ts'
import { answers, startProcess } from './server-process.ts'

export interface FakeGcs extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly environment: { readonly STORAGE_EMULATOR_HOST: string }
  /** Makes a bucket, as its owner would. */
  makeBucket(description: object): Promise<void>
  stop(): Promise<void>
}

/** fake-gcs-server, which keeps objects in memory, on a free port of 127.0.0.1. It asks nobody for credentials. */
export async function startFakeGcs(): Promise<FakeGcs> {
  const folder = serverFolder('gcs')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const place = ['-scheme', 'http', '-host', '127.0.0.1', '-port', String(port), '-external-url', endpoint]
  const server = await startProcess({
    program: fakeGcsProgram(),
    args: [...place, '-backend', 'memory', '-log-level', 'error', '-filesystem-root', folder],
    folder,
    isReady: () => answers(`${endpoint}/storage/v1/b?project=x`),
  })
  const makeBucket = async (description: object): Promise<void> => {
    const body = JSON.stringify(description)
    const answer = await fetch(`${endpoint}/storage/v1/b?project=x`, { method: 'POST', body })
    if (!answer.ok) throw new Error(`fake-gcs-server answered ${answer.status}: ${await answer.text()}`)
  }
  const environment = { STORAGE_EMULATOR_HOST: endpoint }
  const stop = (): Promise<void> => server.stop()
  return { port, endpoint, environment, makeBucket, stop, [Symbol.asyncDispose]: stop }
}
