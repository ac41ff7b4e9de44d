import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BlobServiceClient } from '@azure/storage-blob'
import { describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../support/our-stage.ts'
import { lacks } from '../support/requirements.ts'
import { ResticProgram } from '../support/restic-program.ts'
import { startAzurite } from '../support/servers/azurite.ts'
import { startFakeGcs } from '../support/servers/gcs.ts'

/**
 * restic 0.14 reaches neither emulator (it takes no address for Azure, and wants credentials for Google), so what our program stored is
 * fetched by somebody else's client, as with `az storage blob download-batch` or `gsutil cp -r`, and restic reads the folder.
 */
const MARKER = 'a marker that must be seen nowhere'

interface Stored {
  readonly name: string
  readonly bytes: Buffer
}

async function makeRepository(stage: OurStage, environment: Record<string, string>): Promise<void> {
  mkdirSync(stage.path('tree/deep'), { recursive: true })
  writeFileSync(stage.path('tree/deep/file'), MARKER)
  writeFileSync(stage.path('tree/large'), Buffer.alloc(6 << 20, 'large '))
  await stage.must(['init'], { environment })
  await stage.must(['backup', stage.path('tree')], { environment })
  writeFileSync(stage.path('tree/second'), 'written later')
  await stage.must(['backup', stage.path('tree')], { environment })
  await stage.must(['forget', '--keep-last', '1', '--prune'], { environment })
  await stage.must(['check', '--read-data'], { environment })
}

/** Without the folders that nothing lies in, and with other modes than ours. */
function expectReadable(stage: OurStage, stored: readonly Stored[]): void {
  const copy = stage.path('copy')
  for (const { name, bytes } of stored) {
    expect(bytes.includes(MARKER)).toBe(false)
    const path = join(copy, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes, { mode: 0o644 })
  }
  const restic = new ResticProgram('restic', copy)
  restic.expectContent()
  expect(restic.run('dump', 'latest', stage.path('tree/deep/file'))).toBe(MARKER)
}

async function expectOpens(stage: OurStage): Promise<void> {
  const environment = { HOLDFAST_REPOSITORY: stage.path('copy') }
  await stage.must(['check', '--read-data'], { environment })
  expect(await stage.must(['dump', 'latest', stage.path('tree/second')], { environment })).toBe('written later')
  await stage.must(['backup', stage.path('tree')], { environment })
}

describe('a repository that was fetched from a store', () => {
  test.skipIf(lacks('azurite', 'restic'))('of Azure opens as a folder, in restic too', async () => {
    using stage = await ourStage()
    await using server = await startAzurite()
    await makeRepository(stage, { ...server.environment, HOLDFAST_REPOSITORY: 'azure:backups:/shop' })
    const { AZURE_STORAGE_CONNECTION_STRING } = server.environment
    const container = BlobServiceClient.fromConnectionString(AZURE_STORAGE_CONNECTION_STRING).getContainerClient(
      'backups',
    )
    const stored: Stored[] = []
    for await (const { name } of container.listBlobsFlat())
      stored.push({ name: name.replace(/^shop\//, ''), bytes: await container.getBlobClient(name).downloadToBuffer() })
    expectReadable(stage, stored)
    await expectOpens(stage)
  })

  test.skipIf(lacks('fake-gcs-server', 'restic'))('of Google opens as a folder, in restic too', async () => {
    using stage = await ourStage()
    await using server = await startFakeGcs()
    await makeRepository(stage, { ...server.environment, HOLDFAST_REPOSITORY: 'gs:backups:/shop' })
    const objects = `${server.endpoint}/storage/v1/b/backups/o`
    const { items } = (await (await fetch(`${objects}?maxResults=1000`)).json()) as { items: { name: string }[] }
    const stored: Stored[] = []
    for (const { name } of items) {
      const answer = await fetch(`${objects}/${encodeURIComponent(name)}?alt=media`)
      stored.push({ name: name.replace(/^shop\//, ''), bytes: Buffer.from(await answer.arrayBuffer()) })
    }
    expectReadable(stage, stored)
    await expectOpens(stage)
  })
})
