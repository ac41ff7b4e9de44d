import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { azuriteScript } from './azurite-program.ts'
import { freePort, serverFolder } from './server-folder.ts'
import { startProcess } from './server-process.ts'

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

/** Azurite, Microsoft's own emulator of blob storage, on a free port of 127.0.0.1, with its data in a temporary folder. */
export async function startAzurite({ tls }: AzuriteOptions = {}): Promise<Azurite> {
  const folder = serverFolder('azurite')
  const port = await freePort()
  const key = randomBytes(64).toString('base64')
  const args = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', folder]
  const flags = ['--disableTelemetry', '--silent', '--skipApiVersionCheck', '--disableProductStyleUrl']
  const secure = tls === undefined ? [] : ['--cert', tls.cert, '--key', tls.key, '--oauth', 'basic']
  const server = await startProcess({
    program: process.execPath,
    args: [azuriteScript(), ...args, ...flags, ...secure],
    folder,
    env: { ...process.env, AZURITE_ACCOUNTS: `${ACCOUNT}:${key}` },
    isReady: (said) => said.includes('successfully listen'),
  })
  const endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/${ACCOUNT}`
  const connection = `DefaultEndpointsProtocol=${tls === undefined ? 'http' : 'https'};AccountName=${ACCOUNT};AccountKey=${key};BlobEndpoint=${endpoint}`
  return {
    port,
    account: ACCOUNT,
    key,
    endpoint,
    environment: { AZURE_STORAGE_CONNECTION_STRING: connection },
    folder: join(folder, '__blobstorage__'),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
