import { spawn } from 'node:child_process'
import { openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { type KmsFaults, startKmsFaults } from './kms-faults.ts'
import { motoPackages } from './moto-program.ts'
import { freePort, serverFolder } from './server-folder.ts'

export interface KmsServer extends AsyncDisposable {
  /** Of the fault proxy, which everything should go through. */
  readonly url: string
  /** What makes clients of AWS KMS come here. */
  readonly environment: Readonly<Record<string, string>>
  /** What goes wrong on the way; moto itself denies nothing and decrypts with keys that are disabled. */
  readonly faults: KmsFaults
  /** Makes a key and resolves to its ARN. */
  createKey(): Promise<string>
  /** Makes an alias of a key and resolves to its ARN. */
  createAlias(name: string, keyArn: string): Promise<string>
  stop(): Promise<void>
}

const REGION = 'eu-central-1'
const START_TRIES = 400

/** moto's KMS on a free port of 127.0.0.1, behind a proxy that makes faults. Its keys are gone when it stops. */
export async function startKms(): Promise<KmsServer> {
  const folder = serverFolder('kms')
  const port = await freePort()
  const log = openSync(join(folder, 'log'), 'a')
  const child = spawn('python3', ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      PYTHONPATH: motoPackages(),
      PYTHONDONTWRITEBYTECODE: '1',
      HOME: folder,
      TMPDIR: folder,
    },
    stdio: ['ignore', log, log],
  })
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', kill)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let faults: KmsFaults | undefined
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    await faults?.stop()
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await answers(`http://127.0.0.1:${port}/moto-api/`, () => child.exitCode === null)
    faults = await startKmsFaults(port)
  } catch (error) {
    const reason = readFileSync(join(folder, 'log'), 'utf8').slice(-500)
    await stop()
    throw new Error(`moto: ${(error as Error).message}\n${reason}`)
  }
  const environment = {
    AWS_ENDPOINT_URL_KMS: faults.url,
    AWS_ACCESS_KEY_ID: 'AKIATESTTESTTESTTEST',
    AWS_SECRET_ACCESS_KEY: 'a secret of tests',
  }
  const admin = new KMSClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: REGION,
    credentials: {
      accessKeyId: environment.AWS_ACCESS_KEY_ID,
      secretAccessKey: environment.AWS_SECRET_ACCESS_KEY,
    },
  })
  return {
    url: faults.url,
    environment,
    faults,
    async createKey() {
      const { KeyMetadata } = await admin.send(new CreateKeyCommand({}))
      return KeyMetadata!.Arn!
    },
    async createAlias(name, keyArn) {
      await admin.send(new CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId: keyArn }))
      return keyArn.replace(/:key\/.*$/, `:alias/${name}`)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function answers(url: string, isRunning: () => boolean): Promise<void> {
  for (let tries = 0; tries < START_TRIES && isRunning(); tries++) {
    const isUp = await fetch(url).then(
      (response) => response.ok,
      () => false,
    )
    if (isUp) return
    await sleep(25 + tries)
  }
  throw new Error('it did not start')
}
