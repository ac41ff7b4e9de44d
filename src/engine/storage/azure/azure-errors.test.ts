import {
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type Azurite, startAzurite } from '../../../../test/support/servers/azurite.ts'
import { type FaultProxy, startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { HoldfastError } from '../../../lib/errors.ts'
import { newFile } from '../contract-support.ts'
import { openStorage } from '../locations.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { azureBackend } from './azure-backend.ts'

const config = { kind: 'config' } as const

describe.skipIf(lacks('azurite'))('what goes wrong with Azure', () => {
  let server: Azurite
  let proxy: FaultProxy
  const connect = (key: string, port: number): Record<string, string> => ({
    AZURE_STORAGE_CONNECTION_STRING: `AccountName=${server.account};AccountKey=${key};BlobEndpoint=http://127.0.0.1:${port}/${server.account}`,
  })
  const open = (environment: Record<string, string>, container = 'backups'): Promise<Storage> =>
    openStorage(`azure:${container}:/shop`, { environment })
  beforeAll(async () => {
    server = await startAzurite()
    proxy = await startFaultProxy({ port: server.port })
    await (await open(server.environment)).create()
  })
  afterAll(async () => {
    await proxy?.stop()
    await server?.stop()
  })
  afterEach(() => proxy.setFaults([]))

  /** A permanent error comes after one request, is told by name, and tells no secret. */
  const failing = async (environment: Record<string, string>, container?: string): Promise<HoldfastError> => {
    const error = await errorFrom(async () => (await open(environment, container)).get(config))
    const told = JSON.stringify([error.message, error.hint, error.context, String(error.cause)])
    for (const secret of Object.values(environment).flatMap(
      (text) => /(?:AccountKey=|sig=)([^;&]+)/.exec(text)?.[1] ?? [],
    ))
      expect(told).not.toContain(secret)
    return error
  }

  test('a wrong key fails at once', async () => {
    const before = proxy.requests.length
    const error = await failing(connect(Buffer.from('wrong').toString('base64'), proxy.port))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(error.message).toContain('does not accept the key')
    expect(proxy.requests.length - before).toBe(1)
  })

  test('a container that is missing is named', async () => {
    const missing = await failing(server.environment, 'nothing-here')
    expect(missing).toMatchObject({ code: 'HF_STORAGE_NOT_FOUND', hint: expect.stringContaining('"nothing-here"') })
    const { file, content } = newFile('data', 10)
    const refused = await errorFrom(async () => (await open(server.environment, 'nothing-here')).put(file, content))
    expect(refused).toMatchObject({ code: 'HF_REPO_NOT_FOUND', retry: 'after-fix' })
  })

  const sasUntil = (expiresOn: Date, permissions: string): Record<string, string> => {
    const sas = generateBlobSASQueryParameters(
      { containerName: 'backups', permissions: ContainerSASPermissions.parse(permissions), expiresOn },
      new StorageSharedKeyCredential(server.account, server.key),
    )
    return { AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=${server.endpoint};SharedAccessSignature=${sas}` }
  }

  test('a shared access signature works until it expires, which is told', async () => {
    const { file, content } = newFile('data', 1000)
    const storage = await open(sasUntil(new Date('2100-01-01'), 'rwdlc'))
    await storage.create()
    await storage.put(file, content)
    expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
    await storage.delete(file)
    const error = await failing(sasUntil(new Date('2020-01-01'), 'rwdlc'))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED' })
    expect(error.message).toContain('expired at 2020-01-01')
  })

  test('a permission that is missing is named', async () => {
    const { file, content } = newFile('data', 1000)
    const error = await errorFrom(async () => (await open(sasUntil(new Date('2100-01-01'), 'rl'))).put(file, content))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(`${error.message} ${error.hint}`).toContain('"c" and "w" of a SAS')
  })

  test('a file in the archive tier is told from one that is missing, and can be asked for', async () => {
    const storage = await openStorage('azure:backups:/archive', {
      environment: server.environment,
      settings: { storageClass: 'archive' },
    })
    const { file, content } = newFile('data', 1000)
    await storage.put(file, content)
    const tree = newFile('data', 1000)
    await storage.put(tree.file, tree.content, { cacheable: true })
    expect(await storage.features.classes!.state(file)).toBe('archived')
    expect(await errorFrom(() => storage.get(file))).toMatchObject({ code: 'HF_STORAGE_ARCHIVED' })
    expect(await storage.features.classes!.state(tree.file)).toBe('readable')
    const listed: string[] = []
    for await (const { storageClass } of storage.features.classes!.list()) listed.push(storageClass)
    expect(listed.sort()).toEqual(['Archive', 'Hot'])
    // azurite brings it back at once, where Azure takes hours.
    await storage.features.classes!.requestRestore(file, 1)
    expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
  })

  test('nobody who listens is passing, a name that does not exist is not', async () => {
    const refused = await errorFrom(() => openDirect(connect(server.key, 1)).get(config))
    expect(refused).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'later' })
    const nowhere = {
      AZURE_ACCOUNT_NAME: 'x',
      AZURE_ACCOUNT_KEY: 'eA==',
      AZURE_ENDPOINT_SUFFIX: 'does-not-exist.invalid',
    }
    const error = await errorFrom(() => openDirect(nowhere).get(config))
    expect(error.code).toBe('HF_STORAGE_UNREACHABLE')
  })

  // What follows no server here says; the answers are those that the documentation of the service gives.
  test.each([
    ['throttling', 503, 'ServerBusy', 'HF_STORAGE_THROTTLED', 'later'],
    ['an account that is full of calls', 500, 'OperationTimedOut', 'HF_STORAGE_THROTTLED', 'later'],
    ['a fault of the service', 500, 'InternalError', 'HF_STORAGE_IO', 'later'],
    ['a missing role', 403, 'AuthorizationPermissionMismatch', 'HF_STORAGE_DENIED', 'after-fix'],
    ['a network that is not let in', 403, 'AuthorizationFailure', 'HF_STORAGE_DENIED', 'after-fix'],
    ['an account without keys', 403, 'KeyBasedAuthenticationNotPermitted', 'HF_STORAGE_DENIED', 'after-fix'],
    ['a disabled account', 403, 'AccountIsDisabled', 'HF_STORAGE_DENIED', 'after-fix'],
    ['retention', 409, 'BlobImmutableDueToPolicy', 'HF_STORAGE_RETAINED', 'never'],
    ['a blob on its way', 409, 'BlobBeingRehydrated', 'HF_STORAGE_ARCHIVED', 'after-fix'],
  ])('%s', async (_, status, name, code, retry) => {
    const headers = { 'x-ms-error-code': name, date: new Date().toUTCString() }
    proxy.setFaults([{ effect: { type: 'answer', status, headers } }])
    const before = proxy.requests.length
    const error = await errorFrom(() => openDirect(connect(server.key, proxy.port)).get(config))
    expect(error).toMatchObject({ code, retry, context: { azureError: name } })
    expect(proxy.requests.length - before).toBe(1)
  })

  test('a clock that is wrong is told from a wrong key', async () => {
    const headers = {
      'x-ms-error-code': 'AuthenticationFailed',
      date: new Date(Date.parse('2020-01-01')).toUTCString(),
    }
    proxy.setFaults([{ effect: { type: 'answer', status: 403, headers } }])
    const error = await failing(connect(server.key, proxy.port))
    expect(error.message).toMatch(/the clock of this machine is \d+ minutes fast/)
  })

  test('connections that are cut can be tried again', async () => {
    const storage = openDirect(connect(server.key, proxy.port))
    const { file, content } = newFile('data', 200_000)
    await storage.put(file, content)
    for (const effect of [{ type: 'reset' }, { type: 'truncate', bytes: 1000 }] as const) {
      proxy.setFaults([{ effect, times: 1 }])
      const error = await errorFrom(() => storage.get(file))
      expect(error.retry).toBe('later')
      expect(['HF_STORAGE_UNREACHABLE', 'HF_STORAGE_SHORT', 'HF_STORAGE_IO']).toContain(error.code)
      expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
    }
  })

  /** Without retries. */
  function openDirect(environment: Record<string, string>): Storage {
    return azureBackend.open!({
      place: 'backups:/direct',
      options: new Map(),
      environment,
      settings: {},
      network: defaultNetwork,
      clock: systemClock,
      onNotice: () => undefined,
    })
  }
})

test.each([
  ['no account', {}],
  ['a connection string that is none', { AZURE_STORAGE_CONNECTION_STRING: 'hunter2' }],
])('%s is refused before anything is asked', async (_, environment) => {
  const error = await errorFrom(() => openStorage('azure:backups:/', { environment }))
  expect(error.code).toBe('HF_USAGE')
  expect(error.message).not.toContain('hunter2')
})

test.each(['azure:backups', 'azure::/x', 'azure:Upper:/x', 'azure:'])('%s is no location', async (location) => {
  const environment = { AZURE_ACCOUNT_NAME: 'x', AZURE_ACCOUNT_KEY: 'eA==' }
  expect((await errorFrom(() => openStorage(location, { environment }))).code).toBe('HF_STORAGE_LOCATION')
})
