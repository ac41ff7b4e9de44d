import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { azuriteScript } from './azurite-program.ts'
import { freePort, serverFolder } from './server-folder.ts'

export interface AzuriteOptions {
  /** Serve https with these files, and take tokens of identities; their signatures are not checked. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

export interface Azurite extends AsyncDisposable {
  readonly port: number
  readonly account: string
  readonly key: string
  /** `http://127.0.0.1:PORT/ACCOUNT` */
  readonly endpoint: string
  /** Variables that name the account with its key. */
  readonly environment: { readonly AZURE_STORAGE_CONNECTION_STRING: string }
  /** Where blobs of a container lie: for looking what is stored. */
  readonly folder: string
  stop(): Promise<void>
}

const ACCOUNT = 'holdfast'
const START_MS = 60_000

/** Azurite, Microsoft's own emulator of blob storage, on a free port of 127.0.0.1, with its data in a temporary folder. */
export async function startAzurite({ tls }: AzuriteOptions = {}): Promise<Azurite> {
  const folder = serverFolder('azurite')
  const port = await freePort()
  const key = randomBytes(64).toString('base64')
  const args = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', folder]
  const flags = ['--disableTelemetry', '--silent', '--skipApiVersionCheck', '--disableProductStyleUrl']
  const secure = tls === undefined ? [] : ['--cert', tls.cert, '--key', tls.key, '--oauth', 'basic']
  const child = spawn(process.execPath, [azuriteScript(), ...args, ...flags, ...secure], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, AZURITE_ACCOUNTS: `${ACCOUNT}:${key}` },
  })
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
  let said = ''
  const listening = new Promise<boolean>((resolve) => {
    const listen = (chunk: Buffer): void => {
      said += chunk
      if (said.includes('successfully listen')) resolve(true)
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    void exited.then(() => resolve(false))
    setTimeout(() => resolve(false), START_MS).unref()
  })
  if (!(await listening)) {
    await stop()
    throw new Error(`azurite did not start: ${said}`)
  }
  const endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/${ACCOUNT}`
  const connection = `DefaultEndpointsProtocol=${tls === undefined ? 'http' : 'https'};AccountName=${ACCOUNT};AccountKey=${key};BlobEndpoint=${endpoint}`
  return {
    port,
    account: ACCOUNT,
    key,
    endpoint,
    environment: { AZURE_STORAGE_CONNECTION_STRING: connection },
    folder: join(folder, '__blobstorage__'),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
