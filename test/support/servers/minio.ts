import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { S3 } from '@aws-sdk/client-s3'
import { minioProgram } from './minio-program.ts'
import { freePort, serverFolder, unprivileged } from './server-folder.ts'

export interface MinioServer {
  readonly port: number
  readonly url: string
  /** Of the owner of everything. */
  readonly environment: Readonly<Record<string, string>>
  /** Its folder; buckets are folders in `data`. */
  readonly folder: string
  /** With TLS: the certificate, which is its own authority. */
  readonly certificate: string | undefined
  readonly pid: number
  /** The SDK's client, as the owner. */
  readonly s3: S3
  /** Kills it and removes its folder. */
  stop(): Promise<void>
}

export interface MinioOptions {
  readonly tls?: boolean
  readonly region?: string
}

const USER = 'minio-owner'
const PASSWORD = 'minio-owner-secret'
const START_TRIES = 300

/** A MinIO server on a free port of 127.0.0.1, with its data in a temporary folder. */
export async function startMinio({ tls = false, region }: MinioOptions = {}): Promise<MinioServer> {
  const folder = serverFolder('minio')
  const port = await freePort()
  for (const name of ['data', 'certs', 'home']) {
    mkdirSync(join(folder, name))
    if (unprivileged.uid !== undefined) chownSync(join(folder, name), unprivileged.uid, unprivileged.gid!)
  }
  const certificate = tls ? makeCertificate(join(folder, 'certs')) : undefined
  const address = ['--address', `127.0.0.1:${port}`, '--certs-dir', join(folder, 'certs')]
  const child = spawn(minioProgram(), ['server', join(folder, 'data'), ...address, '--quiet'], {
    stdio: 'ignore',
    ...unprivileged,
    env: {
      PATH: process.env.PATH,
      HOME: join(folder, 'home'),
      MINIO_ROOT_USER: USER,
      MINIO_ROOT_PASSWORD: PASSWORD,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      ...(region === undefined ? {} : { MINIO_REGION: region }),
    },
  })
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', kill)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  const s3 = new S3({
    endpoint: url,
    region: region ?? 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: USER, secretAccessKey: PASSWORD },
    maxAttempts: 1,
    ...(certificate === undefined
      ? {}
      : { requestHandler: { httpsAgent: { ca: readFileSync(certificate), keepAlive: true } } }),
  })
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    s3.destroy()
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  try {
    await untilReady(child, s3)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    url,
    environment: { AWS_ACCESS_KEY_ID: USER, AWS_SECRET_ACCESS_KEY: PASSWORD },
    folder,
    certificate,
    pid: child.pid!,
    s3,
    stop,
  }
}

/** Until it answers questions: what its health check says comes earlier. */
async function untilReady(child: ChildProcess, s3: S3): Promise<void> {
  for (let tries = 0; tries < START_TRIES && child.exitCode === null; tries++) {
    await sleep(20 + tries)
    const isReady = await s3.listBuckets({}).then(
      () => true,
      () => false,
    )
    if (isReady) return
  }
  throw new Error('minio did not start')
}

function makeCertificate(folder: string): string {
  const cert = join(folder, 'public.crt')
  const key = join(folder, 'private.key')
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const { status, stderr } = spawnSync('openssl', [...request, '-keyout', key, '-out', cert, ...names], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`openssl: ${stderr}`)
  for (const file of [cert, key])
    if (unprivileged.uid !== undefined) chownSync(file, unprivileged.uid, unprivileged.gid!)
  return cert
}
