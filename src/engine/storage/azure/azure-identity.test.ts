import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startAzurite } from '../../../../test/support/servers/azurite.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { newFile } from '../contract-support.ts'
import { openStorage } from '../locations.ts'
import { defaultNetwork } from '../network.ts'
import { errorFrom } from '../testing.ts'

afterEach(() => vi.unstubAllEnvs())

/** A token as Azure's directory gives, but for the signature, which azurite does not check. */
function tokenFor(audience: string): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const issuer = 'https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/'
  const claims = { aud: audience, iss: issuer, iat: now - 60, nbf: now - 60, exp: now + 3600 }
  return `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}.c2ln`
}

describe.skipIf(lacks('azurite'))('an identity of the machine', () => {
  test('is found where managed identities are, and used over TLS with a certificate of our own', async () => {
    using scratch = scratchFolder()
    const tls = { cert: scratch.join('cert.pem'), key: scratch.join('key.pem') }
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    expect(spawnSync('openssl', [...request, '-keyout', tls.key, '-out', tls.cert, ...names]).status).toBe(0)
    await using server = await startAzurite({ tls })
    const asked: string[] = []
    const identities = createServer((incoming, answer) => {
      asked.push(String(incoming.headers['x-identity-header']))
      const expires = Math.floor(Date.now() / 1000) + 3600
      answer.writeHead(200, { 'content-type': 'application/json' })
      answer.end(
        JSON.stringify({
          access_token: tokenFor('https://storage.azure.com'),
          expires_on: expires,
          token_type: 'Bearer',
        }),
      )
    })
    await new Promise<void>((resolve) => identities.listen(0, '127.0.0.1', resolve))
    try {
      vi.stubEnv('IDENTITY_ENDPOINT', `http://127.0.0.1:${(identities.address() as AddressInfo).port}/token`)
      vi.stubEnv('IDENTITY_HEADER', 'header')
      const environment = {
        AZURE_STORAGE_CONNECTION_STRING: `AccountName=${server.account};BlobEndpoint=${server.endpoint}`,
      }
      const open = (caFiles: readonly string[]) =>
        openStorage('azure:backups:/', { environment, network: { ...defaultNetwork, caFiles } })
      const storage = await open([tls.cert])
      await storage.create()
      const { file, content } = newFile('data', 1000)
      await storage.put(file, content)
      expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
      expect(asked[0]).toBe('header')
      const error = await errorFrom(async () => (await open([])).get(file))
      expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
      expect(error.message).toContain('certificate')
    } finally {
      identities.closeAllConnections()
      identities.close()
    }
  })
})
