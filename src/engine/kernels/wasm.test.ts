import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { buildModules, committedWasm, differingModules } from '../../../scripts/build-wasm.ts'

describe('the committed WebAssembly', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-wasm-test-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is what the sources compile to, and one changed byte would be noticed', () => {
    const [built, changed] = [join(folder, 'built'), join(folder, 'changed')]
    mkdirSync(built)
    buildModules(built)
    expect(differingModules(built, committedWasm)).toEqual([])

    cpSync(committedWasm, changed, { recursive: true })
    const bytes = readFileSync(join(changed, 'sha256.wasm'))
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(join(changed, 'sha256.wasm'), bytes)
    expect(differingModules(built, changed)).toEqual(['sha256'])
  })
})
