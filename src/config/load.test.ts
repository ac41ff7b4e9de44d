import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Environment } from './environment.ts'
import { loadConfiguration } from './load.ts'
import { exampleSettings, inScratchFolder } from './testing.ts'

const text = (url: string): string => `version: 1\nrepositories: { main: { url: ${url}, password: env:KEY } }\n`

/** Files `a`, `b` and `c`, and a folder `d`; `found` tells which was read, or the error. */
const withFiles = (
  choose: (folder: string) => { file?: string; environment?: Environment; places?: readonly string[] },
): Promise<string> =>
  inScratchFolder(async (folder) => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(folder, name), text(`/${name}`))
    await mkdir(join(folder, 'd'))
    try {
      const { environment = {}, ...rest } = choose(folder)
      const { repositories } = await loadConfiguration({
        sourceSettings: exampleSettings,
        places: [],
        ...rest,
        environment,
      })
      return repositories.get('main')!.url
    } catch (error) {
      return String(error).replaceAll(folder, '')
    }
  })

test('the file that is given comes first, then HOLDFAST_CONFIG, then the places in order', async () => {
  const places = (folder: string): string[] => [join(folder, 'none'), join(folder, 'c'), join(folder, 'a')]
  const variables = (folder: string): Environment => ({ HOLDFAST_CONFIG: join(folder, 'b') })
  expect(await withFiles((at) => ({ file: join(at, 'a'), environment: variables(at), places: places(at) }))).toBe('/a')
  expect(await withFiles((at) => ({ environment: variables(at), places: places(at) }))).toBe('/b')
  expect(await withFiles((at) => ({ environment: { HOLDFAST_CONFIG: '' }, places: places(at) }))).toBe('/c')
})

test('a file is the whole truth: beside it variables define nothing', async () => {
  const environment = { BACKUP_STORAGE_PATH: '/other', DB_HOST: 'a', POSTGRES_HOST: 'b' }
  expect(await withFiles((at) => ({ file: join(at, 'a'), environment }))).toBe('/a')
})

test('a file that is named must be there, whatever else is', async () => {
  const lost = (at: string): string => join(at, 'lost')
  expect(await withFiles((at) => ({ file: lost(at), places: [join(at, 'a')] }))).toContain(
    'there is no configuration file /lost',
  )
  expect(await withFiles((at) => ({ environment: { HOLDFAST_CONFIG: lost(at) }, places: [join(at, 'a')] }))).toContain(
    'there is no configuration file /lost',
  )
})

test('a place that cannot be read is not passed over', async () => {
  expect(await withFiles((at) => ({ places: [join(at, 'd'), join(at, 'a')] }))).toContain(
    'file /d cannot be read: EISDIR',
  )
})

test('without any, the error says where was looked', async () => {
  await expect(
    loadConfiguration({ environment: {}, sourceSettings: exampleSettings, places: ['/none/holdfast.yaml'] }),
  ).rejects.toMatchObject({ code: 'HF_CONFIG_NOT_FOUND', hint: expect.stringContaining('/none/holdfast.yaml') })
})
