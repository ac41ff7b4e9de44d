import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { workingFolder } from '../../../test/support/working-folder.ts'
import { displayLocation, openStorage } from './locations.ts'
import { errorFrom, steppedClock } from './testing.ts'

describe('locations', () => {
  test.each([
    ['/srv/backup', '/srv/backup'],
    ['local:/srv/backup', '/srv/backup'],
    ['local:backup', resolve('backup')],
    ['backup', resolve('backup')],
    ['./a:b', resolve('a:b')],
    ['../a:b', resolve('../a:b')],
    ['/srv/a:b', '/srv/a:b'],
    ['local:s3:x', resolve('s3:x')],
    ['/srv//user:word@place', '/srv/user:word@place'],
  ])('%s is the folder %s', async (location, path) => {
    const storage = await openStorage(location)
    expect(storage.location).toBe(path)
    expect(storage.properties.directory?.path).toBe(path)
  })

  test.each([
    ['b2:bucket:path', 'Backblaze'],
    ['swift:container:/path', 'Swift'],
  ])('%s is refused by name', async (location, name) => {
    const error = await errorFrom(() => openStorage(location))
    expect(error.code).toBe('HF_UNSUPPORTED')
    expect(error.message).toContain(name)
    expect(error.message).toContain('not supported by this version')
    expect(error.message).not.toContain('secret')
  })

  test.each(['', 'local:', 'foo:bar', 'https://user:secret@host/', 'S3:bucket'])(
    '%j is no location',
    async (location) => {
      const error = await errorFrom(() => openStorage(location))
      expect(error.code).toBe('HF_STORAGE_LOCATION')
      expect(error.message).not.toContain('secret')
    },
  )

  test('limits hide the directory, because threads of their own would not keep to them', async () => {
    expect((await openStorage('/srv/backup', { uploadBytesPerSecond: 1000 })).properties.directory).toBeUndefined()
    expect((await openStorage('/srv/backup', { downloadBytesPerSecond: 1000 })).properties.directory).toBeUndefined()
  })

  test('limits by the time of day are kept, too, whatever the store is', async () => {
    using scratch = scratchFolder()
    const clock = steppedClock()
    const limit = { up: [{ bytesPerSecond: 1000 }] }
    const storage = await openStorage(scratch.path, { settings: { limit }, clock })
    expect(storage.properties.directory).toBeUndefined()
    await storage.create()
    await storage.put({ kind: 'config' }, new Uint8Array(11_000))
    expect(clock.sleeps).toEqual([10_000])
  })

  test('a relative location stays where it was when the process moves on', async () => {
    const here = process.cwd()
    using elsewhere = scratchFolder()
    const storage = await openStorage('backup')
    using _ = workingFolder(elsewhere.path)
    expect(storage.location).toBe(join(here, 'backup'))
  })
})

describe('extended options', () => {
  test('the number of connections', async () => {
    expect((await openStorage('/srv/backup', { extended: ['local.connections=7'] })).properties.connections).toBe(7)
    expect((await openStorage('/srv/backup', { extended: ['Local.Connections = 8'] })).properties.connections).toBe(8)
  })

  test.each(['local.layout=default', 'b2.connections=4', 'connections=3', 'nonsense', 'local.=1'])(
    '%s is refused by name',
    async (option) => {
      const error = await errorFrom(() => openStorage('/srv/backup', { extended: [option] }))
      expect(error.code).toBe('HF_UNSUPPORTED')
      expect(error.message).toContain(JSON.stringify(option.split('=')[0]))
    },
  )

  test.each(['0', '-1', '', 'many', '1.5', '1001'])('%j connections are refused', async (value) => {
    const error = await errorFrom(() => openStorage('/srv/backup', { extended: [`local.connections=${value}`] }))
    expect(error.code).toBe('HF_USAGE')
  })
})

describe('a location as it is shown', () => {
  test.each([
    ['/srv/backup', '/srv/backup'],
    ['/srv//a:b@c', '/srv//a:b@c'],
    ['local://a:b@c', 'local://a:b@c'],
    ['s3:https://host:9000/bucket/a@b', 's3:https://host:9000/bucket/a@b'],
    ['sftp:user@host:/srv', 'sftp:user@host:/srv'],
    ['rest:https://host:8000/', 'rest:https://host:8000/'],
    ['rest:http://[::1]:8000/', 'rest:http://[::1]:8000/'],
    ['rest:https://user@host/', 'rest:https://user@host/'],
    ['rest:https://user:secret@host:8000/me@example.org/', 'rest:https://user:***@host:8000/me@example.org/'],
    ['rest:https://user:se@cr:et@host/', 'rest:https://user:***@host/'],
    ['rest:https://user:secret/slash@host/', 'rest:https://user:***@host/'],
    ['rest:https://:secret@host/', 'rest:https://:***@host/'],
    ['https://user:secret@host/', 'https://user:***@host/'],
  ])('%s', (location, shown) => {
    expect(displayLocation(location)).toBe(shown)
  })
})
