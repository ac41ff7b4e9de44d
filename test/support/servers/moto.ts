import { motoPackages } from './moto-program.ts'
import { freePort, serverFolder } from './server-folder.ts'
import { answers, startProcess } from './server-process.ts'

export interface MotoServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Any credentials will do: moto asks nobody for any. */
  readonly environment: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string }
  stop(): Promise<void>
}

/** moto on a free port of 127.0.0.1: AWS in memory, as far as its authors got. What it keeps is gone when it stops. */
export async function startMoto(): Promise<MotoServer> {
  const folder = serverFolder('moto')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await startProcess({
    program: 'python3',
    args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
    folder,
    env: {
      PATH: process.env.PATH,
      PYTHONPATH: motoPackages(),
      PYTHONDONTWRITEBYTECODE: '1',
      HOME: folder,
      TMPDIR: folder,
    },
    isReady: () => answers(`${url}/moto-api/`),
  })
  const stop = (): Promise<void> => server.stop()
  const environment = { AWS_ACCESS_KEY_ID: 'AKIATESTTESTTESTTEST', AWS_SECRET_ACCESS_KEY: 'a secret of tests' }
  return { port, url, environment, stop, [Symbol.asyncDispose]: stop }
}
