import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HoldfastError } from '../lib/errors.ts'
import { replaceRepositoryUrl, withUrl } from './replace-url.ts'

const text = `# Ours.
version: 1
repositories:
  main:   # the near one
    url:   /srv/old   # since 2024
    password: "env:P"
  far: { url: 's3:https://h/old', password: "env:P" } # far away
sources: {}
`

test('another url is written, and nothing else changes', () => {
  expect(withUrl(text, 'f', 'main', '/srv/new')).toBe(text.replace('/srv/old', '"/srv/new"'))
  expect(withUrl(text, 'f', 'far', 'gs:x: # "y"')).toBe(text.replace("'s3:https://h/old'", '"gs:x: # \\"y\\""'))
})

test.each([
  ['x: &u /srv/old\nrepositories: { main: { url: *u } }\n', 'main'],
  ['repositories: { main: { url: &u /srv/old }, far: { url: *u } }\n', 'main'],
  ['repositories: { main: { url: [] } }\n', 'main'],
  ['repositories: { main: {} }\n', 'main'],
  ['repositories: { main: { url: /srv/old } }\n', 'other'],
])('%j cannot be edited', (source, repository) => {
  expect(() => withUrl(source, 'f', repository, '/srv/new')).toThrow(HoldfastError)
})

test('the file keeps its mode and stays a link, and there is never half of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-url-'))
  try {
    const [real, link] = [join(folder, 'real.yaml'), join(folder, 'holdfast.yaml')]
    writeFileSync(real, text)
    chmodSync(real, 0o640)
    symlinkSync('real.yaml', link)
    await replaceRepositoryUrl(link, 'main', '/srv/new')
    expect(readFileSync(real, 'utf8')).toContain('url:   "/srv/new"   # since 2024')
    expect(statSync(real).mode & 0o777).toBe(0o640)
    expect(readdirSync(folder).sort()).toEqual(['holdfast.yaml', 'real.yaml'])
    await expect(replaceRepositoryUrl(link, 'none', '/srv/new')).rejects.toMatchObject({ code: 'HF_CONFIG_INVALID' })
    await expect(replaceRepositoryUrl(join(folder, 'x'), 'main', '/')).rejects.toMatchObject({
      code: 'HF_CONFIG_NOT_FOUND',
    })
    expect(readdirSync(folder).sort()).toEqual(['holdfast.yaml', 'real.yaml'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
