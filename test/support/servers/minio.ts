import { chownSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { S3 } from '@aws-sdk/client-s3'
import { makeCertificate } from './certificate.ts'
import { minioProgram } from './minio-program.ts'
import type { S3Server } from './s3-server.ts'
import { freePort, serverFolder, unprivileged } from './server-folder.ts'
import { startProcess } from './server-process.ts'

export interface MinioServer extends S3Server {
  readonly port: number
  /** Its folder; buckets are folders in `data`. */
  readonly folder: string
  /** With TLS: the certificate, which is its own authority. */
  readonly certificate: string | undefined
  readonly pid: number
}

export interface MinioOptions {
  readonly tls?: boolean
  readonly region?: string
}

const USER = 'minio-owner'
const PASSWORD = 'minio-owner-secret'

/** A MinIO server on a free port of 127.0.0.1, with its data in a temporary folder. */
export async function startMinio({ tls = false, region }: MinioOptions = {}): Promise<MinioServer> {
  const folder = serverFolder('minio')
  const port = await freePort()
  for (const name of ['data', 'certs', 'home']) {
    mkdirSync(join(folder, name))
    if (unprivileged.uid !== undefined) chownSync(join(folder, name), unprivileged.uid, unprivileged.gid!)
  }
  const certificate = join(folder, 'certs', 'public.crt')
  if (tls) makeCertificate({ cert: certificate, key: join(folder, 'certs', 'private.key') })
  const address = ['--address', `127.0.0.1:${port}`, '--certs-dir', join(folder, 'certs')]
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  const s3 = new S3({
    endpoint: url,
    region: region ?? 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: USER, secretAccessKey: PASSWORD },
    maxAttempts: 1,
    ...(tls ? { requestHandler: { httpsAgent: { ca: readFileSync(certificate), keepAlive: true } } } : {}),
  })
  const server = await startProcess({
    program: minioProgram(),
    args: ['server', join(folder, 'data'), ...address, '--quiet'],
    folder,
    user: unprivileged,
    env: {
      PATH: process.env.PATH,
      HOME: join(folder, 'home'),
      MINIO_ROOT_USER: USER,
      MINIO_ROOT_PASSWORD: PASSWORD,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      ...(region === undefined ? {} : { MINIO_REGION: region }),
    },
    // What its health check says comes before it answers questions.
    isReady: () =>
      s3.listBuckets({}).then(
        () => true,
        () => false,
      ),
  })
  return {
    port,
    url,
    environment: { AWS_ACCESS_KEY_ID: USER, AWS_SECRET_ACCESS_KEY: PASSWORD },
    folder,
    certificate: tls ? certificate : undefined,
    pid: server.pid,
    s3,
    stop: async () => {
      s3.destroy()
      await server.stop()
    },
  }
}
