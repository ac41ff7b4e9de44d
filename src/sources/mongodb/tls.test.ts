import { expect, test } from 'vitest'
import { makeCertificates } from '../../../test/support/servers/mongo/certificates.ts'
import { startDnsDouble } from '../../../test/support/servers/mongo/dns-double.ts'
import { startScriptedMongo } from '../../../test/support/servers/mongo/scripted.ts'
import { mongoSource, takeBackup } from '../../../test/support/servers/mongo-source.ts'
import { scratchFolder } from '../../../test/support/test-repository.ts'

const password = 'env:MONGO_PASSWORD'

test('TLS: the authority is checked, and a client shows its certificate', async () => {
  using scratch = scratchFolder()
  const { ca, server: own, client } = makeCertificates(scratch.path)
  await using server = await startScriptedMongo({ replicaSet: 'rs0', tls: { ...own, ca } })
  const url = `mongodb://127.0.0.1:${server.port}/?replicaSet=rs0`
  const { manifest } = await takeBackup(mongoSource({ url, tls: { ca, ...client } }))
  expect(manifest.server.member).toBe(`127.0.0.1:${server.port}`)
  const fails = async (settings: object, hint: string): Promise<void> => {
    const failing = mongoSource({ url: `${url}&serverSelectionTimeoutMS=1000`, ...settings })
    await expect(failing.test()).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREACHABLE',
      hint: expect.stringContaining(hint),
    })
  }
  await fails({ tls: true }, 'tls: { ca: FILE }')
  await fails({ tls: { ca } }, 'a certificate it trusts')
  await fails({}, 'wants TLS or not')
  await expect(mongoSource({ url, tls: { ca: scratch.join('none') } }).test()).rejects.toMatchObject({
    code: 'HF_PATH_NOT_FOUND',
  })
})

test('TLS: a certificate for another host is refused', async () => {
  using scratch = scratchFolder()
  const { ca, server: own } = makeCertificates(scratch.path)
  await using server = await startScriptedMongo({ tls: own })
  const url = `mongodb://localhost:${server.port}/?directConnection=true&serverSelectionTimeoutMS=1000`
  await expect(mongoSource({ url, tls: { ca } }).test()).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    hint: expect.stringContaining('for other names'),
  })
})

test('mongodb+srv: members, set and authSource come from DNS, and TLS without being asked for', async () => {
  using scratch = scratchFolder()
  const { ca, server: own } = makeCertificates(scratch.path)
  await using server = await startScriptedMongo({
    replicaSet: 'rs0',
    tls: own,
    auth: { user: 'backup', password: 'secret' },
  })
  // An address for a host: only SRV and TXT records are asked for here, and it has the domain of the name.
  await using _ = await startDnsDouble({
    srv: { '_mongodb._tcp.cluster.0.0.1': [{ name: '127.0.0.1', port: server.port }] },
    txt: { 'cluster.0.0.1': 'authSource=admin&replicaSet=rs0' },
  })
  const url = 'mongodb+srv://backup@cluster.0.0.1/shop'
  const { manifest } = await takeBackup(mongoSource({ url, password, tls: { ca } }))
  expect(manifest.server).toMatchObject({ setName: 'rs0', member: `127.0.0.1:${server.port}` })
  await expect(mongoSource({ url: 'mongodb+srv://none.0.0.1/' }).test()).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    hint: expect.stringContaining('no such name'),
  })
})

test('a user of another database is one of it on every member', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0', auth: { user: 'root', password: 'other' } })
  server.users.create('shop', 'backup', 'secret', [{ role: 'root', db: 'admin' }])
  const url = `mongodb://backup@127.0.0.1:${server.port}/shop?replicaSet=rs0`
  expect((await takeBackup(mongoSource({ url, password }))).manifest.server.setName).toBe('rs0')
})
