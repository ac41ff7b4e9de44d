import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { lacks, type RequirementName } from '../../../test/support/requirements.ts'
import { startAzurite } from '../../../test/support/servers/azurite.ts'
import { makeCertificate } from '../../../test/support/servers/certificate.ts'
import { startFakeGcs } from '../../../test/support/servers/gcs.ts'
import { startMinio } from '../../../test/support/servers/minio.ts'
import { startRcloneRest } from '../../../test/support/servers/rclone-rest.ts'
import { serverFolder } from '../../../test/support/servers/server-folder.ts'
import { openStorage } from './locations.ts'
import { defaultNetwork, type NetworkSettings } from './network.ts'
import { errorFrom } from './testing.ts'

/** A server without TLS, and how a store behind `port` of this machine, with TLS, is named. */
interface Plain {
  readonly port: number
  place(port: number): { readonly location: string; readonly environment: Readonly<Record<string, string>> }
  stop(): Promise<void>
}

const stores: readonly { readonly name: string; readonly needs: RequirementName; start(): Promise<Plain> }[] = [
  {
    name: 's3: (MinIO)',
    needs: 'minio',
    async start() {
      const { port, environment, stop } = await startMinio()
      return { port, stop, place: (at) => ({ location: `s3:https://127.0.0.1:${at}/bucket/prefix`, environment }) }
    },
  },
  {
    name: 'azure: (azurite)',
    needs: 'azurite',
    async start() {
      const { port, environment, stop } = await startAzurite()
      const { AZURE_STORAGE_CONNECTION_STRING: text } = environment as Record<string, string>
      const secure = (at: number): string =>
        text!.replaceAll('http:', 'https:').replaceAll('http;', 'https;').replace(`:${port}/`, `:${at}/`)
      return {
        port,
        stop,
        place: (at) => ({
          location: 'azure:container:/',
          environment: { AZURE_STORAGE_CONNECTION_STRING: secure(at) },
        }),
      }
    },
  },
  {
    name: 'gs: (fake-gcs-server)',
    needs: 'fake-gcs-server',
    async start() {
      const { port, stop } = await startFakeGcs()
      return {
        port,
        stop,
        place: (at) => ({
          location: 'gs:bucket:/',
          environment: { STORAGE_EMULATOR_HOST: `https://127.0.0.1:${at}`, GOOGLE_PROJECT_ID: 'project' },
        }),
      }
    },
  },
  {
    name: 'rest: (rclone)',
    needs: 'rclone',
    async start() {
      const { port, stop } = await startRcloneRest()
      return { port, stop, place: (at) => ({ location: `rest:https://127.0.0.1:${at}/`, environment: {} }) }
    },
  },
]

/** TLS before a server, which lets in only who shows `client`. */
async function startDoor(port: number, { own, client }: Record<'own' | 'client', { cert: string; key: string }>) {
  const door = createServer(
    {
      cert: readFileSync(own.cert),
      key: readFileSync(own.key),
      ca: readFileSync(client.cert),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (inside) => {
      const outside = connect(port, '127.0.0.1')
      inside.pipe(outside).pipe(inside)
      for (const [one, other] of [[inside, outside] as const, [outside, inside] as const]) {
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
    },
  )
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  return { port: (door.address() as AddressInfo).port, [Symbol.dispose]: () => void door.close() }
}

describe.each(stores)('a server that asks for a certificate: $name', ({ needs, start }) => {
  test.skipIf(lacks(needs))('lets in who shows it, and others learn what is missing', async () => {
    const server = await start()
    try {
      const folder = serverFolder('door')
      const files = (name: string) => ({ cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) })
      const [own, client] = [files('own'), files('client')]
      for (const pair of [own, client]) makeCertificate(pair)
      const both = join(folder, 'client.pem')
      writeFileSync(both, readFileSync(client.cert, 'utf8') + readFileSync(client.key, 'utf8'))
      using door = await startDoor(server.port, { own, client })
      const { location, environment } = server.place(door.port)
      const open = (network: Partial<NetworkSettings>) =>
        openStorage(location, { environment, network: { ...defaultNetwork, ...network } })
      for (const trust of [{ caFiles: [own.cert] }, { isInsecure: true }]) {
        const storage = await open({ ...trust, clientCertificateFile: both })
        await storage.create()
        const content = randomBytes(300_000)
        await storage.put({ kind: 'config' }, content, { replace: true })
        expect(Buffer.compare(await storage.get({ kind: 'config' }), content)).toBe(0)
        await storage.close()
      }
      const stranger = await open({ caFiles: [own.cert] })
      const error = await errorFrom(() => stranger.get({ kind: 'config' }))
      expect(error.retry).toBe('after-fix')
      expect(error.hint).toContain('--tls-client-cert')
      await stranger.close()
      const distrusting = await open({ clientCertificateFile: both })
      const untrusted = await errorFrom(() => distrusting.get({ kind: 'config' }))
      expect(untrusted.retry).toBe('after-fix')
      expect(untrusted.message).toMatch(/certificate .*not (to be )?trusted/)
      await distrusting.close()
    } finally {
      await server.stop()
    }
  })
})
